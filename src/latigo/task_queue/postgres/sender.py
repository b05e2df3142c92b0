"""The scheduler's end."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Final

from latigo.domain.task import Task
from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
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
        ids = [task.id for task in tasks]
        bodies = [encode(task, version) for task in tasks]
        shares = [zlib.crc32(str(task.ref).encode()) % _MOST_SHARES for task in tasks]
        projects, lanes = [task.ref.project for task in tasks], [task.lane.value for task in tasks]
        async with self._database.transaction() as connection:
            await connection.execute(SQL["send"], ids, bodies, shares, projects, lanes)
            await connection.execute(SQL["wake"])
        return dict.fromkeys(ids, CHANNEL)
