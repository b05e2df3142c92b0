"""The scheduler's end."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Final

from latigo.domain.task import MANY_TASKS, Task
from latigo.postgres.arrays import columns
from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.runtime.off_loop import off_loop
from latigo.task_queue.envelope import HIGHEST, encode

SQL = load_statements("latigo.task_queue.postgres", "queue.sql")
#: There is one in a ledger.
CHANNEL: Final = "postgres"
#: Where receivers are notified of tasks, in the statements as well.
NOTICES: Final = "latigo_tasks"
_MOST_SHARES: Final = 2**31


class PostgresSender:
    """`TaskSender` that stores tasks in the ledger's database, and wakes its receivers."""

    channel = CHANNEL
    held = None

    def __init__(self, database: Database) -> None:
        self._database = database

    async def publish(self, tasks: Sequence[Task], version: int = HIGHEST) -> Mapping[int, str]:
        if not tasks:
            return {}
        arrays = await off_loop(len(tasks), MANY_TASKS, lambda: columns(message_of(task, version) for task in tasks))
        async with self._database.transaction() as connection:
            await connection.execute(SQL["send"], *arrays)
            await connection.execute(SQL["wake"])
        return {task.id: CHANNEL for task in tasks}


def message_of(task: Task, version: int) -> tuple[int, bytes, int, str, str]:
    """Return what the queue keeps of a task, as the statement ``send`` takes it."""
    ref = task.ref
    return task.id, encode(task, version), zlib.crc32(str(ref).encode()) % _MOST_SHARES, ref.project, task.lane.value
