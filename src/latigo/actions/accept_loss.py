"""Accept a model list that has lost many models at once."""

from latigo.actions.record import SQL, record
from latigo.postgres.database import Database


async def accept_loss(database: Database, who: str, project: str) -> bool:
    """Accept the project's next list, however short. Return False, changing nothing, if it is not quarantined."""
    async with database.transaction() as connection:
        quarantined = await connection.fetchrow(SQL["accept_loss"], project) is not None
        if quarantined:
            await record(connection, "accept_loss", who, {"project": project}, "accepted")
    return quarantined
