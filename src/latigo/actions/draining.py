"""Drain executors, and let them work again."""

from typing import Any, NamedTuple

from latigo.actions.record import SQL, Order, record
from latigo.domain.errors import Misused
from latigo.domain.names import unknown_name
from latigo.postgres.database import Database


class Drained(NamedTuple):
    """An executor that starts no tasks."""

    executor: str
    in_flight: int  #: tasks, when it last reported
    stops: bool  #: its process ends when they have ended
    already: Order | None  #: by which it was drained before, and which stays


async def drain(database: Database, who: str, name: str, reason: str, *, stop: bool = False) -> Drained:
    """Let an executor finish its tasks and start none; with ``stop``, let its process end then.

    One that is drained already keeps who, when and why, and that it stops; the second order is recorded.

    Args:
        database: the ledger's.
        who: ``user@host``.
        name: of a running executor, or the beginning of only one of them.
        reason: why.
        stop: whether the process ends.

    Raises:
        UnknownName: no such executor is running.
    """
    async with database.transaction() as connection:
        executor = await find_executor(connection, name)
        row = await connection.fetchrow(SQL["drain_executor"], executor, who, reason, stop)
        selector = {"executor": executor, "reason": reason, "stop": stop}
        await record(connection, "executors_drain", who, selector, f"{row['in_flight']} tasks in flight")
    already = Order(who=row["who"], at=row["at"], reason=row["reason"]) if row["at"] else None
    return Drained(executor, row["in_flight"], row["stops"], already)


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
