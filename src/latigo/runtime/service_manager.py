"""The service manager that has started this process, and waits to hear from it: systemd (``Type=notify``)."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final, Self

from latigo.runtime.clock import Clock
from latigo.runtime.lifecycle import pause
from latigo.runtime.log import get_logger
from latigo.runtime.redaction import excerpt

_log = get_logger(__name__)

#: Between two notices at most; sooner where the watchdog is impatient.
EVERY: Final = timedelta(seconds=5)
_LONGEST_STATUS = 200


class ServiceManager:
    """Sends notices to a service manager; a process that none has started sends nothing.

    Args:
        address: of its socket, as in ``$NOTIFY_SOCKET``; empty for none.
        watchdog: it ends this process when it does not hear from it for so long; zero: it does not watch.
    """

    def __init__(self, address: str = "", watchdog: timedelta = timedelta(0)) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watchdog = watchdog
        self._last: dict[str, str] = {}

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        """Return the one that has started this process, by what sd_notify(3) and sd_watchdog_enabled(3) define."""
        address, usec = environ.get("NOTIFY_SOCKET", ""), environ.get("WATCHDOG_USEC", "")
        for_us = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        watchdog = timedelta(microseconds=int(usec)) if usec.isdecimal() and for_us else timedelta(0)
        return cls(address if address[:1] in {"/", "@"} else "", watchdog)

    def ready(self) -> None:
        """Report that the process has started."""
        self._send(READY="1")

    def stopping(self) -> None:
        """Report that the process is about to end."""
        self._send(STOPPING="1", STATUS="draining")

    @asynccontextmanager
    async def watching(
        self, not_live: Callable[[], Sequence[str]], status: Callable[[], str], clock: Clock, stop: asyncio.Event
    ) -> AsyncIterator[None]:
        """Report while the context lasts that the process is alive, and its status when that has changed.

        Args:
            not_live: returns the reasons why the process should be restarted: while there are any, it is not reported
                as alive. A blocked event loop reports nothing either.
            status: returns one line for people.
            clock: the machine's.
            stop: set when the process is about to end.
        """
        if not self._address:
            yield
            return
        ended = asyncio.Event()
        tasks = [
            asyncio.create_task(self._report(not_live, status, clock, ended, stop), name="watchdog"),
            asyncio.create_task(self._report_stop(stop), name="stopping"),
        ]
        try:
            yield
        finally:
            ended.set()
            tasks[1].cancel()
            await asyncio.wait(tasks)

    async def _report(
        self,
        not_live: Callable[[], Sequence[str]],
        status: Callable[[], str],
        clock: Clock,
        ended: asyncio.Event,
        stop: asyncio.Event,
    ) -> None:
        every = min(EVERY, self._watchdog / 3) if self._watchdog else EVERY
        while True:
            if self._watchdog and not not_live():
                self._send(WATCHDOG="1")
            line = excerpt(" ".join(status().split()), _LONGEST_STATUS)  # another line would be another variable
            if not stop.is_set() and self._last.get("STATUS") != line:
                self._send(STATUS=line)
            if await pause(clock, every, ended):
                return

    async def _report_stop(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.stopping()

    def _send(self, **state: str) -> None:
        if not self._address:
            return
        text = "\n".join(f"{name}={value}" for name, value in state.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.sendto(text.encode(), self._address)
        except OSError as error:
            _log.warning("manager.not_notified", error=str(error))
            return
        self._last |= state
