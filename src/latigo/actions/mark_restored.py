"""Give a ledger that was restored from a backup a new incarnation, so that messages from before count for nothing."""

from latigo.actions.record import SQL, lock_planner, record
from latigo.postgres.database import Database
from latigo.reports.base import Report


class Restored(Report):
    """A ledger in its new incarnation."""

    ledger: str  #: its identity, which stays
    incarnation: int
    replanned: int  #: tasks that are planned again


async def mark_restored(database: Database, who: str) -> Restored:
    """Raise the incarnation, and plan all outstanding tasks again under numbers that no message has ever named."""
    async with database.transaction() as connection:
        await lock_planner(connection)
        identity = await connection.fetchrow(SQL["raise_incarnation"])
        incarnation = identity["incarnation"]
        await connection.execute(SQL["raise_task_numbers"], incarnation)
        await connection.execute(SQL["lock_tasks"])
        states = [row["state"] for row in await connection.fetch(SQL["plan_again"], None)]
        restored = Restored(
            ledger=str(identity["id"]), incarnation=incarnation, replanned=len(states) - states.count("waiting")
        )
        result = f"incarnation {incarnation}, {restored.replanned} tasks planned again"
        await record(connection, "ledger_restored", who, {"ledger": restored.ledger}, result)
    return restored
