"""Accept a list that has lost many models at once."""

from datetime import timedelta

from latigo.actions.record import SQL, record
from latigo.postgres.database import Database

#: A quarantine that has lasted for so long is over.
_LONG_ENOUGH = timedelta(days=1)


async def accept_loss(database: Database, who: str, project: str) -> bool:
    """Accept the project's next list, however short. Return False, changing nothing, if it is not quarantined."""
    async with database.transaction() as connection:
        quarantined = await connection.fetchrow(SQL["accept_loss"], project) is not None
        if quarantined:
            await record(connection, "accept_loss", who, {"project": project}, "accepted")
    return quarantined


async def accept_discovery_loss(database: Database, who: str) -> bool:
    """Accept the list of projects by ``models.discover``, as it is. Return False if it is not quarantined."""
    async with database.transaction() as connection:
        quarantined = await connection.fetchrow(SQL["accept_discovery_loss"], _LONG_ENOUGH) is not None
        if quarantined:
            await record(connection, "accept_loss", who, {"discovery": True}, "accepted")
    return quarantined
