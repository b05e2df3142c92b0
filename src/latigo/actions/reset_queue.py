"""Forget the checkpoints of an event hub that was deleted and created again."""

from latigo.actions.record import record
from latigo.postgres.database import Database


async def reset_queue(database: Database, who: str, channel: str, group: str) -> int:
    """Let executors read the hub from its beginning. Return how many checkpoints were forgotten."""
    from latigo.task_queue.eventhub.lag import reset_checkpoints  # noqa: PLC0415 - an extra

    async with database.transaction() as connection:
        count = await reset_checkpoints(connection, channel, group)
        selector = {"channel": channel, "consumer_group": group}
        await record(connection, "reset_queue", who, selector, f"{count} checkpoints forgotten")
    return count
