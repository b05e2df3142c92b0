"""Why the ledger takes no writes, for those that only read."""

from latigo.domain.errors import Unavailable
from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements

SQL = load_statements("latigo.reports", "trouble.sql")


async def read_trouble(database: Database) -> str:
    """Return why the ledger takes no writes; empty if it does.

    What this process met lately is known; another one finds a full disk by a query that does not fit into memory.

    Raises:
        Unavailable: it cannot be read either.
    """
    if database.trouble:
        return database.trouble
    try:
        async with database.transaction() as connection:
            await connection.execute(SQL["use_little_memory"])
            await connection.execute(SQL["spill_to_disk"])
    except Unavailable as error:
        if not error.alarm:
            raise
        return database.trouble
    return ""
