"""Executors as processes of their own below one parent, which starts, watches, restarts and drains them.

Each child serves its probes and metrics on a socket of the parent's, on loopback. It ends by itself when the parent
does, however that ends: then the other end of its lifeline is closed.
"""

import asyncio
import os
import signal
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import aiohttp
from prometheus_client import CollectorRegistry

from latigo.domain.errors import ConfigurationError, Unavailable
from latigo.runtime.clock import Clock
from latigo.runtime.lifecycle import pause
from latigo.runtime.log import get_logger
from latigo.runtime.merged_metrics import as_text, encoded, merge
from latigo.runtime.metrics import exposition
from latigo.runtime.retry import backoff

_log = get_logger(__name__)

CONFIGURATION: Final = 78  #: exit code of a process whose configuration cannot be used
_ASKING = aiohttp.ClientTimeout(total=2.0)
_MOST_METRICS: Final = 4 << 20  #: bytes of one child
#: Between two looks at whether a child is alive, and how many that fail in a row make it be killed.
WATCH: Final = timedelta(seconds=10)
_FAILURES: Final = 6
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=1), timedelta(seconds=30)
#: A child that ran for so long did not fail at its start.
_HAS_STARTED: Final = timedelta(minutes=1)


@dataclass
class _Child:
    number: int
    listener: socket.socket  #: outlives its processes, so that its address stays
    process: asyncio.subprocess.Process | None = None
    lifeline: int = -1  #: closed when the process has to end
    ended_with: str = "is starting"
    failures: int = 0
    last_metrics: str = ""
    past: deque[str] = field(default_factory=lambda: deque(maxlen=1))  #: of its processes that have ended

    @property
    def url(self) -> str:
        host, port = self.listener.getsockname()[:2]
        return f"http://{host}:{port}"


class ExecutorProcesses:
    """A number of executor processes.

    Args:
        command: runs one; the descriptors of its listener and its lifeline are added.
        count: how many.
        grace: time that each has to drain.
        clock: the machine's.
        jitter: returns a number from 0 to 1, for the pauses between restarts.
    """

    def __init__(
        self, command: Sequence[str], count: int, grace: timedelta, clock: Clock, jitter: Callable[[], float]
    ) -> None:
        self._command = command
        self._grace = grace
        self._clock = clock
        self._jitter = jitter
        self._children = [_Child(number, socket.create_server(("127.0.0.1", 0))) for number in range(1, count + 1)]

    def __len__(self) -> int:
        return len(self._children)

    @property
    def pids(self) -> Sequence[int]:
        """The processes that run now."""
        return [child.process.pid for child in self._children if child.process is not None]

    async def run(self, stop: asyncio.Event) -> None:
        """Keep all of them running until ``stop``, then drain them.

        Raises:
            ConfigurationError: one of them cannot use its configuration.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for child in self._children:
                    group.create_task(self._keep(child, stop), name=f"executor-{child.number}")
        except* ConfigurationError as errors:
            raise errors.exceptions[0] from None
        finally:
            for child in self._children:
                child.listener.close()

    async def check(self) -> None:
        """Look whether every child is ready.

        Raises:
            Unavailable: one is not, and why.
        """
        reasons = [reason for reason in await self._of_all(self._not_ready) if reason]
        if reasons:
            raise Unavailable("; ".join(reasons), downstream="executors")

    async def metrics(self, registry: CollectorRegistry, accept: str = "") -> tuple[bytes, str]:
        """Return the metrics of this process and of all children as one exposition, see `exposition`."""
        texts = await self._of_all(self._metrics_of)
        own, _ = exposition(registry)
        past = [text for child in self._children for text in child.past]
        try:
            return encoded(merge([own.decode(), *filter(None, texts), *past]), accept)
        except ValueError as error:
            _log.error("executor.not_measured", error=repr(error))
            return exposition(registry, accept)

    async def _of_all(self, ask: "Callable[[_Child, aiohttp.ClientSession], Awaitable[str]]") -> Sequence[str]:
        async with aiohttp.ClientSession(timeout=_ASKING) as session:
            return await asyncio.gather(*(ask(child, session) for child in self._children))

    async def _not_ready(self, child: _Child, session: aiohttp.ClientSession) -> str:
        name = f"executor {child.number}"
        if child.process is None:
            return f"{name} {child.ended_with}"
        try:
            async with session.get(f"{child.url}/readyz") as response:
                reasons = (await response.json()).get("reasons", [])
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return f"{name} does not answer"
        return f"{name}: {'; '.join(map(str, reasons))}" if reasons else ""

    async def _metrics_of(self, child: _Child, session: aiohttp.ClientSession) -> str:
        if child.process is None:
            return ""
        try:
            async with session.get(f"{child.url}/metrics") as response:
                child.last_metrics = (await response.content.read(_MOST_METRICS)).decode()
        except (aiohttp.ClientError, TimeoutError, UnicodeError) as error:
            _log.warning("executor.not_measured", executor=child.number, error=repr(error))
        return child.last_metrics

    async def _keep(self, child: _Child, stop: asyncio.Event) -> None:
        attempt = 0
        while not stop.is_set():
            began = self._clock.monotonic()
            code = await self._run_once(child, stop)
            if stop.is_set():
                return
            if code == CONFIGURATION:
                raise ConfigurationError(f"executor {child.number} cannot use the configuration: see its log")
            child.ended_with = f"ended with {code}"
            attempt = 1 if self._clock.monotonic() - began > _HAS_STARTED.total_seconds() else attempt + 1
            duration = backoff(attempt, _FIRST_PAUSE, _LONGEST_PAUSE, self._jitter)
            _log.error("executor.ended", executor=child.number, code=code, restarts_in_s=duration.total_seconds())
            await pause(self._clock, duration, stop)

    async def _run_once(self, child: _Child, stop: asyncio.Event) -> int:
        """Run a process of a child until it ends, or is drained; return its exit code."""
        held, child.lifeline = os.pipe()
        descriptors = (child.listener.fileno(), held)
        try:
            process = await asyncio.create_subprocess_exec(
                *(*self._command, "--supervised", ",".join(map(str, descriptors))),
                pass_fds=descriptors,
                start_new_session=True,  # Ctrl-C is for this process, which then drains the others
            )
        finally:
            os.close(held)
        child.process, child.failures = process, 0
        _log.info("executor.started", executor=child.number, pid=process.pid)
        ended = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(stop.wait())
        try:
            while not ended.done() and not stop.is_set():
                await asyncio.wait(
                    [ended, stopping], timeout=WATCH.total_seconds(), return_when=asyncio.FIRST_COMPLETED
                )
                if not ended.done() and not stop.is_set():
                    await self._watch(child, process)
            if not ended.done():
                await self._drain(process, ended)
            return await ended
        finally:
            stopping.cancel()
            if not ended.done():
                _signal(process, signal.SIGKILL)
                await ended
            os.close(child.lifeline)
            child.process = None
            self._remember(child)

    async def _watch(self, child: _Child, process: asyncio.subprocess.Process) -> None:
        """Kill a process that has not been alive for a while."""
        try:
            async with (
                aiohttp.ClientSession(timeout=_ASKING) as session,
                session.get(f"{child.url}/livez") as response,
            ):
                is_alive = response.ok
        except (aiohttp.ClientError, TimeoutError):
            is_alive = False
        child.failures = 0 if is_alive else child.failures + 1
        if child.failures >= _FAILURES:
            _log.error("executor.stuck", executor=child.number, pid=process.pid)
            _signal(process, signal.SIGKILL)

    async def _drain(self, process: asyncio.subprocess.Process, ended: "asyncio.Task[int]") -> None:
        _signal(process, signal.SIGTERM)
        await asyncio.wait([ended], timeout=self._grace.total_seconds())
        if not ended.done():
            _log.warning("executor.killed", pid=process.pid)
            _signal(process, signal.SIGKILL)

    def _remember(self, child: _Child) -> None:
        """Keep what has been counted, or counters would fall."""
        texts = [text for text in (*child.past, child.last_metrics) if text]
        child.last_metrics = ""
        with suppress(ValueError):
            child.past.append(as_text(merge(texts, only_rising=True)))


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(number)
