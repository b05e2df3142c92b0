"""The stage of the benchmarks: real PostgreSQL, real InfluxDB, a stub of Gordo, and the measured programs, each in its
own process.
"""

import asyncio
import json
import os
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import aiohttp
import numpy as np

from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.series import Times, Values
from latigo.domain.task import Lane, Task
from latigo.domain.windows import DAY, Window, span_ns, to_ns
from latigo.ledger.model_protocol import ModelEntry
from latigo.ledger.model_store import PostgresModelLedger, PostgresRoster
from latigo.ledger.protocol import Planned, Term
from latigo.ledger.scheduler_store import PostgresSchedulerLedger
from latigo.postgres.database import Database
from latigo.postgres.embedded import open_embedded
from latigo.postgres.migrate import migrate
from latigo.providers.gordo import open_gordo
from latigo.sandbox.influxd import Influxd
from latigo.settings import GordoModels, Settings
from latigo.task_queue.envelope import encode
from latigo.wiring.ledger import connect_to

HERE = Path(__file__).parent
PROJECT = "plant-a"
SLOT = timedelta(minutes=30)
#: When windows begin; any day will do.
BEGIN = datetime(2025, 10, 20, tzinfo=UTC)
#: The core of what is measured, which the rest of the stage does not use.
MEASURED_CORE = 0
#: Cores that this process may use; none where the system does not report them.
CORES = frozenset(os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else ())

_LONGEST_LINE = 64 << 20
_LINES = 10_000  #: of a request that fills an InfluxDB
_ANSWERS_WITHIN_S = 600.0
_ENDS_WITHIN_S = 30.0
_LAST_OUTPUT = 2000  #: bytes that are shown of a program that has ended


class Program:
    """A process that takes requests and sends responses, a line of JSON each."""

    def __init__(self, process: Process, name: str, output: BinaryIO) -> None:
        self.pid = process.pid
        self._process = process
        self._name = name
        self._output = output  #: what it writes to standard error

    async def read(self) -> dict[str, Any]:
        """Return its next response."""
        assert self._process.stdout is not None
        async with asyncio.timeout(_ANSWERS_WITHIN_S):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._name} has ended with {await self._process.wait()}; {self._last_output()}")
        response: dict[str, Any] = json.loads(line)
        return response

    def _last_output(self) -> str:
        """Return the end of what it wrote to standard error."""
        self._output.seek(max(self._output.seek(0, os.SEEK_END) - _LAST_OUTPUT, 0))
        return f"its last output: {self._output.read().decode(errors='replace').strip() or 'none'}"

    async def ask(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request. Return the response."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        await self._process.stdin.drain()
        return await self.read()


@asynccontextmanager
async def running(*command: str, name: str) -> AsyncIterator[Program]:
    """Run a program while the context lasts."""
    pipe = asyncio.subprocess.PIPE
    with tempfile.TemporaryFile(prefix="latigo-bench-") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=HERE.parent,
            stdin=pipe,
            stdout=pipe,
            stderr=output,
            limit=_LONGEST_LINE,
            start_new_session=True,  # Ctrl-C is for us, who then end it
        )
        try:
            yield Program(process, name, output)
        finally:
            if process.returncode is None:
                process.terminate()
            try:
                async with asyncio.timeout(_ENDS_WITHIN_S):
                    await process.communicate()
            except TimeoutError:
                process.kill()
                await process.wait()


def one_core_kept_free() -> AbstractContextManager[None]:
    """Keep processes that are started meanwhile off the core of what is measured, unless they are pinned there."""
    return only_cores(CORES - {MEASURED_CORE})


@contextmanager
def only_cores(wanted: AbstractSet[int]) -> Iterator[None]:
    """Run processes that are started meanwhile on these cores, if they exist."""
    if not CORES & wanted:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, CORES & wanted)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@asynccontextmanager
async def running_stub(models: int, tags: int, *more: str) -> AsyncIterator[str]:
    """Run a stub of Gordo, whose responses cost next to nothing; yields its URL."""
    options = ("--uniform", "--project", PROJECT, "--models", str(models), "--tags", str(tags), *more)
    async with running(sys.executable, "-m", "benchmarks.gordo_stub", *options, name="the stub of Gordo") as stub:
        url: str = (await stub.read())["url"]
        yield url


def running_executor(configuration: Mapping[str, Any]) -> AbstractAsyncContextManager[Program]:
    """Run an executor in a process of its own; its requests are described in `benchmarks.executor_program`."""
    return running(sys.executable, "-m", "benchmarks.executor_program", json.dumps(configuration), name="the executor")


@dataclass(frozen=True)
class Plan:
    """Tasks that are published at once: one window of each of these models in a lane."""

    models: Sequence[str]
    window: Window
    lane: Lane = Lane.LIVE


class Ledger:
    """A migrated ledger with models, and tasks that a benchmark plans."""

    def __init__(self, url: str, database: Database) -> None:
        self.url = url
        self.database = database
        self.models = PostgresModelLedger(database)
        self.scheduler = PostgresSchedulerLedger(database)
        self._term: Term | None = None
        self._ids: dict[str, int] = {}

    async def describe(self, specs: Iterable[ModelSpec]) -> None:
        """Add models, as the scheduler does."""
        entries = [ModelEntry(spec, SLOT, delay=timedelta(0), fold=DAY, horizon=DAY) for spec in specs]
        await self.models.put_models(entries)
        for project in {entry.spec.ref.project for entry in entries}:
            self._ids |= {known.name: known.id for known in await self.models.known_models(project)}

    async def plan(self, plans: Iterable[Plan]) -> Sequence[Task]:
        """Plan tasks, as the scheduler does. Return them as they are to be published."""
        term = await self._lease()
        planned = [Planned(self._ids[name], 1, plan.window, plan.lane) for plan in plans for name in plan.models]
        if await self.scheduler.plan(term, planned) != len(planned):
            raise RuntimeError("not everything could be planned")
        return await self.scheduler.unpublished(term, len(planned))

    async def mark_published(self, places: Mapping[int, str]) -> None:
        """Record where tasks were published, by their ids."""
        await self.scheduler.mark_published(await self._lease(), places)

    async def envelopes(self, plans: Iterable[Plan]) -> list[str]:
        """Plan and publish. Return the tasks as an executor receives them."""
        tasks = await self.plan(plans)
        await self.mark_published({task.id: "benchmark" for task in tasks})
        return [encode(task).decode() for task in tasks]

    async def _lease(self) -> Term:
        if self._term is None:
            self._term = await self.scheduler.acquire_lease("benchmark", timedelta(hours=1))
        assert self._term is not None
        return self._term

    async def check_stored(self, tasks: int) -> None:
        """Raise if a task did not end with predictions in the sink: then nothing was measured."""
        async with self.database.connection() as connection:
            ended = await connection.fetch(
                "SELECT outcome, count(*) AS tasks, min(rows) AS rows FROM task_history GROUP BY 1"
            )
        outcomes = {row["outcome"]: row["tasks"] for row in ended}
        if outcomes != {"stored": tasks} or not all(row["rows"] for row in ended):
            raise RuntimeError(f"{tasks} tasks should have been stored, and these are the outcomes: {outcomes}")


@asynccontextmanager
async def open_ledger(settings: Mapping[str, str] | None = None) -> AsyncIterator[Ledger]:
    """Open a ledger on PostgreSQL of its own."""
    with tempfile.TemporaryDirectory(prefix="latigo-bench-") as folder:
        async with open_embedded(Path(folder), settings=settings) as url:
            await migrate(url, connect_timeout=Settings().ledger.connect_timeout)
            async with connect_to(url, Settings()) as database:
                await PostgresSchedulerLedger(database).maintain(history=timedelta(days=30))
                yield Ledger(url, database)


async def specs_of(
    url: str, project: str, database: Database, *, names: Sequence[str] | None = None
) -> list[ModelSpec]:
    """Responses of a model server about its models."""
    roster = PostgresRoster(database, "benchmark")
    async with open_gordo(GordoModels(url=url, projects=(project,)), roster) as (catalogue, _):
        (listing,) = await catalogue.get_model_list([project])
        wanted = [name for name in listing.models if names is None or name in names]
        return [await catalogue.get_model_spec(ModelRef(project, name), listing.revision) for name in wanted]


def write_readings(path: Path, specs: Iterable[ModelSpec], period: Window, step: timedelta) -> None:
    """Write readings of every tag: a few series that all tags share, so that they need little memory."""
    tags = sorted({tag for spec in specs for tag in spec.dataset.tags})
    times, values = _some_readings(period, step)
    np.savez(path, tags=np.array(tags), times=times, values=values)


def _some_readings(period: Window, step: timedelta) -> tuple[Times, Values]:
    times = np.arange(to_ns(period.start), to_ns(period.end), span_ns(step), dtype=np.int64)
    hours = (times - times[0]) / 3.6e12
    noise = np.random.default_rng(7).normal(size=(20, len(times)))
    return times, 50.0 + np.arange(20)[:, None] + 5.0 * np.sin(hours + np.arange(20)[:, None]) + noise


@asynccontextmanager
async def running_influxd(*databases: str) -> AsyncIterator[Influxd]:
    """Run an InfluxDB of its own, with these databases."""
    with tempfile.TemporaryDirectory(prefix="latigo-bench-", ignore_cleanup_errors=True) as folder:
        server = Influxd(Path(folder))
        try:
            await asyncio.to_thread(server.open)
            for name in databases:
                await influxql(server.url, f'CREATE DATABASE "{name}"')
            yield server
        finally:
            await asyncio.to_thread(server.kill)  # its files are not needed again


async def influxql(url: str, statement: str, database: str = "") -> list[dict[str, Any]]:
    """Return the series of a statement, in the form of the server."""
    form = {"q": statement, "db": database, "epoch": "ns"}
    async with aiohttp.request("POST", f"{url}/query", data=form) as response:
        (result,) = (await response.json())["results"]
    if "error" in result:
        raise RuntimeError(f"{statement}: {result['error']}")
    series: list[dict[str, Any]] = result.get("series", [])
    return series


async def fill_influx(url: str, database: str, tags: Sequence[str], period: Window, step: timedelta) -> None:
    """Write the readings of `write_readings` to where Gordo and Latigo look for them by default."""
    times, values = _some_readings(period, step)
    ends = [
        [f" Value={value!r} {time}\n" for time, value in zip(times.tolist(), each, strict=True)]
        for each in values.tolist()
    ]
    lines = (f"sensors,tag={tag}{end}" for number, tag in enumerate(tags) for end in ends[number % len(ends)])
    async with aiohttp.ClientSession() as session:
        while some := "".join(islice(lines, _LINES)):
            async with session.post(f"{url}/write", params={"db": database}, data=some) as response:
                if response.status != 204:
                    raise RuntimeError(f"readings were not taken: {await response.text()}")
