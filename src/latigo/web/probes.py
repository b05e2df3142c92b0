"""The probes of a process: live, and ready."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta

from latigo.domain.errors import LatigoError
from latigo.runtime.heartbeat import Heartbeat

_LIMIT = timedelta(seconds=5)


class Probes:
    """A `ProbeSource` made of checks.

    Args:
        heartbeat: of the event loop.
        overdue: returns the tasks that are beyond their hard limit.
        checks: by name, what has to be usable; each does what the system is used for and no more, and raises a
            `LatigoError` with the reason why it is not usable.
        limit: time limit of each check.
    """

    def __init__(
        self,
        heartbeat: Heartbeat,
        *,
        overdue: Callable[[], Sequence[str]] = tuple,
        checks: Mapping[str, Callable[[], Awaitable[object]]] | None = None,
        limit: timedelta = _LIMIT,
    ) -> None:
        self._heartbeat = heartbeat
        self._overdue = overdue
        self._checks = dict(checks or {})
        self._limit = limit

    def not_live(self) -> Sequence[str]:
        """Return the reasons why the process should be restarted."""
        reasons = [f"task beyond its hard limit: {task}" for task in self._overdue()]
        if self._heartbeat.stuck:
            reasons.append(f"event loop has been blocked for {self._heartbeat.age.total_seconds():.0f} s")
        return reasons

    async def not_ready(self) -> Sequence[str]:
        """Return the reasons why the process cannot work now."""
        reasons = await asyncio.gather(*(self._run(name, check) for name, check in self._checks.items()))
        return [reason for reason in reasons if reason]

    async def _run(self, name: str, check: Callable[[], Awaitable[object]]) -> str:
        try:
            async with asyncio.timeout(self._limit.total_seconds()):
                await check()
        except TimeoutError:
            return f"{name}: no answer within {self._limit.total_seconds():g} s"
        except LatigoError as error:
            return f"{name}: {error}"
        return ""
