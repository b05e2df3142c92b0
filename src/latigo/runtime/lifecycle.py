"""Run roles together and stop them together, within a deadline."""

import asyncio
import math
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import TypeVar

from latigo.runtime.clock import Clock, SystemClock
from latigo.runtime.log import get_logger

T = TypeVar("T")
Role = Callable[[asyncio.Event], Awaitable[None]]
"""Works until the event is set, then finishes or hands back its tasks; stops at once when cancelled."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
#: Seconds in which signals are one: what ends a group of processes reaches some again, from their parent.
TOGETHER = 0.5
_log = get_logger(__name__)


class RoleEnded(RuntimeError):
    """A role returned before it was stopped: half a service is worse than none."""


class GraceExceeded(TimeoutError):
    """Roles had not ended within the grace and were cancelled."""

    def __init__(self, roles: Sequence[str], grace: timedelta) -> None:
        super().__init__(f"still running {grace.total_seconds():g} s after the stop: {', '.join(roles)}")
        self.roles = tuple(roles)


@contextmanager
def stop_on_signals(stop: asyncio.Event) -> Iterator[None]:
    """Set ``stop`` on the first SIGINT or SIGTERM; one that comes more than `TOGETHER` later kills, as by default.

    For the main thread, inside a running loop. Handlers that were there before are put back.
    """
    loop, clock = asyncio.get_running_loop(), SystemClock()
    before = {signal_: signal.getsignal(signal_) for signal_ in _SIGNALS}
    arming: asyncio.TimerHandle | None = None

    def receive(received: signal.Signals) -> None:
        nonlocal arming
        if arming is None:
            _log.info("stop.requested", signal=received.name)
            stop.set()
            arming = loop.call_later(TOGETHER, arm)
            again = partial(_kill_after, clock, clock.monotonic() + TOGETHER)
            for signal_ in _SIGNALS:
                signal.signal(signal_, again)  # for a loop that what stops keeps from running `arm`

    def arm() -> None:
        for signal_ in _SIGNALS:
            loop.remove_signal_handler(signal_)
            signal.signal(signal_, signal.SIG_DFL)  # Python's own for SIGINT would wait for whatever hangs

    for signal_ in _SIGNALS:
        loop.add_signal_handler(signal_, receive, signal_)
    try:
        yield
    finally:
        if arming is not None:
            arming.cancel()
        for signal_, handler in before.items():
            loop.remove_signal_handler(signal_)
            signal.signal(signal_, handler)


def _kill_after(clock: Clock, time: float, number: int, _frame: object) -> None:
    """Let a signal that comes after a monotonic time do what it does by default."""
    if clock.monotonic() > time:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)


async def run_until_stopped(roles: Mapping[str, Role], stop: asyncio.Event, grace: timedelta) -> None:
    """Run every role until ``stop``, then allow ``grace`` to finish; cancel those that have not.

    Args:
        roles: by name, which their tasks get.
        stop: set to end all roles; every role is given it.
        grace: from the moment ``stop`` is set.

    Raises:
        ExceptionGroup: roles raised; the others were cancelled at once.
        GraceExceeded: roles were still running when the grace was over.
    """
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_run(name, role, stop), name=name) for name, role in roles.items()]
        await stop.wait()
        if tasks:
            await asyncio.wait(tasks, timeout=grace.total_seconds())
        late = [task for task in tasks if not task.done()]
        for task in late:
            task.cancel()
    if late:
        names = [task.get_name() for task in late]
        _log.warning("stop.grace_exceeded", roles=names)
        raise GraceExceeded(names, grace)


async def _run(name: str, role: Role, stop: asyncio.Event) -> None:
    await role(stop)
    if not stop.is_set():
        raise RoleEnded(f"{name} ended before it was stopped")
    _log.info("role.stopped", role=name)


async def unless_stopped(work: Awaitable[T], stop: asyncio.Event) -> T | None:
    """Return the result of ``work``, in this task; None when ``stop`` is set before its end, which cancels it."""
    try:
        async with asyncio.timeout(None) as limit:
            watching = asyncio.create_task(_expire_at(stop, limit))
            try:
                return await work
            finally:
                watching.cancel()
    except TimeoutError:
        if not limit.expired():
            raise
        return None


async def _expire_at(stop: asyncio.Event, limit: asyncio.Timeout) -> None:
    await stop.wait()
    limit.reschedule(-math.inf)  # now


async def pause(clock: Clock, duration: timedelta, stop: asyncio.Event) -> bool:
    """Wait for ``duration``, or until ``stop`` is set if that is sooner; return whether it is set.

    What a loop does between two rounds: ``while not await pause(clock, tick, stop): ...``
    """
    if stop.is_set():
        return True
    waits = [asyncio.ensure_future(clock.sleep(duration)), asyncio.ensure_future(stop.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    return stop.is_set()
