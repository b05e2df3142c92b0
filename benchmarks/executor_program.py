"""An executor in a process of its own, on readings in memory or on any source that settings can name.

Started with a configuration as JSON, ``settings`` in it as the product knows them; then it reads requests, line by
line, ``{"tasks": [envelope, ...]}``. It responds with the CPU and wall seconds from the first envelope to the last
settle, and with its memory, now and at most; with ``watched``, also with the longest pause of its event loop.
"""

import asyncio
import gc
import json
import os
import sys
import time
from collections.abc import Callable, Collection, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import SecretStr

from latigo.domain.model import ModelRef
from latigo.domain.series import Readings, Series
from latigo.domain.windows import DAY, Window, span_ns, to_ns
from latigo.executor import turns
from latigo.providers.memory import MemorySensors
from latigo.runtime.event_loop import run_async
from latigo.runtime.log import configure_logging
from latigo.settings import GordoModels, HttpSettings, PostgresLedger, Settings
from latigo.task_queue.envelope import decode
from latigo.task_queue.internal import InternalDelivery, InternalQueue
from latigo.wiring.resources import open_resources
from latigo.wiring.roles import create_executor

_LONGEST_LINE = 64 << 20
_AHEAD = 256  #: tasks that are decoded and not done: 32 of each of 8 partitions


class RepeatedSensors(MemorySensors):
    """The same readings day after day, in copies, which take the memory of readings from a network."""

    def __init__(self, readings: MutableMapping[str, Series]) -> None:
        super().__init__(readings)
        self._first = int(next(iter(readings.values())).times[0])

    async def get_data_for_range(self, tags: Sequence[str], window: Window, *, max_bytes: int) -> Readings:
        shift = (to_ns(window.start) - self._first) // span_ns(DAY) * DAY
        window = Window(window.start - shift, window.end - shift)
        readings = await super().get_data_for_range(tags, window, max_bytes=max_bytes)
        ns = span_ns(shift)
        return {tag: Series(series.times + ns, series.values.copy()) for tag, series in readings.items()}


class RoundRobin:
    """The order of servers without affinity: each call goes to the server after that of the last call."""

    def __init__(self, servers: Callable[[], Collection[str]]) -> None:
        self._servers = servers
        self._calls = 0

    def __call__(self, _: ModelRef) -> Sequence[str]:
        servers = sorted(self._servers())
        first = self._calls % len(servers)
        self._calls += 1
        return [*servers[first:], *servers[:first]]


class Pauses:
    """The longest time between two turns of a task that always wants one."""

    def __init__(self) -> None:
        self.clock = self.cpu = 0.0  #: seconds; the CPU time is that of the thread of the loop alone

    async def watch(self) -> None:
        clock, cpu = time.perf_counter(), time.thread_time()
        while True:
            await asyncio.sleep(1e-3)
            now, used = time.perf_counter(), time.thread_time()
            self.clock, self.cpu = max(self.clock, now - clock), max(self.cpu, used - cpu)
            clock, cpu = now, used


class CountedQueue(InternalQueue):
    """A queue that signals when everything that was put in is done."""

    def __init__(self) -> None:
        super().__init__()
        self._room = asyncio.Semaphore(_AHEAD)
        self._left = 0
        self.all_done = asyncio.Event()

    async def put(self, envelopes: Sequence[str]) -> None:
        self.all_done.clear()
        self._left = len(envelopes)
        for envelope in envelopes:
            await self._room.acquire()
            await self.publish([decode(envelope.encode())])

    def _ended(self, delivery: InternalDelivery) -> None:
        super()._ended(delivery)
        self._room.release()
        self._left -= 1
        if not self._left:
            self.all_done.set()


def read_readings(path: Path) -> MutableMapping[str, Series]:
    """Read what `stage.write_readings` wrote."""
    with np.load(path) as arrays:
        times, values = arrays["times"], arrays["values"]
        series = [Series(times, each) for each in values]
        return {tag: series[number % len(series)] for number, tag in enumerate(arrays["tags"].tolist())}


def memory() -> tuple[float, float]:
    """Return resident memory, now and at most, in MB."""
    result = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    now, most = (int(result[key].split()[0]) / 1024 for key in ("VmRSS", "VmHWM"))
    return now, most


async def work(configuration: dict[str, Any]) -> None:
    settings = Settings(
        ledger=PostgresLedger(url=SecretStr(configuration["ledger"])),
        models=GordoModels(
            url=configuration["gordo"],
            projects=(configuration["project"],),
            workers_per_server=configuration.get("workers_per_server", 0),
        ),
        http=HttpSettings(enabled=False),
        **configuration.get("settings", {}),
    )
    queue, stop = CountedQueue(), asyncio.Event()
    orders = asyncio.StreamReader(_LONGEST_LINE)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    async with open_resources(settings, sensors=_sensors(configuration)) as resources, asyncio.TaskGroup() as group:
        if configuration.get("by_window"):
            turns.RUN = 1  # no model goes on while others wait
        if configuration.get("round_robin"):
            resources.models.servers = RoundRobin(resources.models.all_servers)  # type: ignore[assignment,method-assign]  # to compare with
        gc.freeze()  # as `latigo serve` does
        group.create_task(create_executor(resources, queue).run(stop))
        pauses = Pauses()
        watching = group.create_task(pauses.watch()) if configuration.get("watched") else None
        while line := await orders.readline():
            envelopes = json.loads(line)["tasks"]
            pauses.clock = pauses.cpu = 0.0
            cpu, wall = time.process_time(), time.perf_counter()
            await queue.put(envelopes)
            await queue.all_done.wait()
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            rss, peak = memory()
            longest = {"pause": pauses.clock, "pause_cpu": pauses.cpu}
            print(json.dumps({"cpu": cpu, "wall": wall, "rss": rss, "peak": peak, **longest}), flush=True)
        stop.set()
        if watching is not None:
            watching.cancel()


def _sensors(configuration: dict[str, Any]) -> MemorySensors | None:
    """Return readings in memory; None to use the settings."""
    if "readings" not in configuration:
        return None
    readings = read_readings(Path(configuration["readings"]))
    return RepeatedSensors(readings) if configuration.get("repeated") else MemorySensors(readings)


def main() -> None:
    configuration = json.loads(sys.argv[1])
    if configuration.get("pinned") and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(configuration["pinned"])})
    configure_logging("json")
    run_async(lambda: work(configuration))


if __name__ == "__main__":
    main()
