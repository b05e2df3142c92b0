"""Drain executors, and let them work again."""

from typing import Any

from latigo.actions.record import SQL, record
from latigo.domain.errors import Misused
from latigo.domain.names import unknown_name
from latigo.postgres.database import Database


async def drain(database: Database, who: str, name: str, reason: str, *, stop: bool = False) -> tuple[str, int]:
    """Let an executor finish its tasks and start none; with ``stop``, let its process end then.

    Args:
        database: the ledger's.
        who: ``user@host``.
        name: of a running executor, or the beginning of only one of them.
        reason: why.
        stop: whether the process ends.

    Returns:
        the executor, and how many tasks it had in flight when it last reported.

    Raises:
        UnknownName: no such executor is running.
    """
    async with database.transaction() as connection:
        executor = await find_executor(connection, name)
        row = await connection.fetchrow(SQL["drain_executor"], executor, who, reason, stop)
        selector = {"executor": executor, "reason": reason, "stop": stop}
        await record(connection, "executors_drain", who, selector, f"{row['in_flight']} tasks in flight")
    return executor, row["in_flight"]


async def resume_executor(database: Database, who: str, name: str, reason: str) -> str:
    """Let a drained executor start tasks again; return its name.

    Raises:
        UnknownName: no such executor is running.
        Misused: it is not drained.
    """
    async with database.transaction() as connection:
        executor = await find_executor(connection, name)
        if await connection.fetchrow(SQL["resume_executor"], executor) is None:
            raise Misused(f"{executor} is not drained")
        await record(connection, "executors_resume", who, {"executor": executor, "reason": reason}, "resumed")
    return executor


async def find_executor(connection: Any, name: str) -> str:
    """Return the running executor of this name, or of which it is the beginning.

    Raises:
        UnknownName: none is; with the nearest one.
        Misused: several are.
    """
    known: list[str] = [row["id"] for row in await connection.fetch(SQL["running_executors"])]
    meant = [each for each in known if each == name] or [each for each in known if name and each.startswith(name)]
    if not meant:
        raise unknown_name("executor", name, known, none=": none is running")
    if len(meant) > 1:
        raise Misused(f"{name} is the beginning of {len(meant)} executors: {', '.join(meant[:5])}")
    return meant[0]
