"""A plant of real processes on a clock that is faster than the machine's: `run` lets days pass, and judges them.

Scheduler and executors are processes of ``latigo serve``, the ledger, its queue and the sink a PostgreSQL of their own.
The model server is the sandbox's, in this process, so that its calls can be counted.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg

from chaos.days.gordo import REVISION, CountedPredictions
from chaos.days.judge import DELAY, SLOT, Verdict, beginning_at, judge, read_found
from chaos.days.pace import Pace
from chaos.days.source import KIND, write_day
from chaos.days.timetable import BEGIN, Absence, Part, Release, Timetable
from chaos.processes import Party
from latigo.postgres.embedded import EmbeddedServer
from latigo.postgres.migrate import migrate
from latigo.sandbox.gordo import ProjectDefinition, SandboxGordo, Scope, open_sandbox_gordo
from latigo.sandbox.gordo.controls import unavailable
from latigo.settings.reference import to_toml

#: After the processes have started, until time begins to fly. Where they take longer, they miss the first slots.
_HEAD_START_S = 8.0
_KNOWS_MODELS_WITHIN_S = 180.0
#: Once the day is over, for what is left to do.
_RECOVERS_WITHIN_S = 120.0
_MOMENTS = timedelta(minutes=5)
_POSTGRES = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

Say = Callable[[str], None]


@dataclass
class Outcome:
    """What came of it."""

    name: str
    verdict: Verdict
    calls: int
    seconds: float  #: that it took
    complaints: Sequence[str] = ()

    @property
    def ratio(self) -> float:
        """Calls, as a multiple of those that were needed at least."""
        return self.calls / self.verdict.fewest

    def __str__(self) -> str:
        wrong = [*self.verdict.wrong, *self.complaints]
        return (
            f"{self.name}: {self.verdict.slots} slots, {len(wrong)} faults, {self.calls} calls where"
            f" {self.verdict.fewest} are needed ({self.ratio:.2f}), in {self.seconds:.0f} s"
        )


@dataclass
class _World:
    timetable: Timetable
    pace: Pace
    server: EmbeddedServer
    gordo: SandboxGordo
    predictions: CountedPredictions
    parties: Mapping[str, Party]
    troubles: dict[Absence, AsyncExitStack] = field(default_factory=dict)
    begins: Mapping[str, datetime] = field(default_factory=dict)  #: of the models of the beginning

    def of(self, role: str) -> Sequence[Party]:
        return [party for name, party in self.parties.items() if name.startswith(role)]


async def run(folder: Path, timetable: Timetable, *, executors: int = 1, say: Say = print) -> Outcome:
    """Let a timetable pass, in an empty folder that the account of PostgreSQL can reach."""
    began = time.monotonic()
    async with _open_world(folder, timetable, executors) as world:
        await _until(lambda: _knows_models(world), _KNOWS_MODELS_WITHIN_S, "the models are known")
        for at, what, act in sorted(_steps(world), key=lambda step: step[0]):
            await asyncio.sleep(world.pace.second_of(at) - time.time())
            say(f"{at:%a %H:%M}  {what}")
            await act()
        await asyncio.sleep(world.pace.second_of(timetable.end) - time.time())
        await _until(lambda: _is_done(world), _RECOVERS_WITHIN_S)
        complaints = await _unlisted(world)
        await asyncio.gather(*(party.stop() for party in world.parties.values()))
        return Outcome(
            timetable.name,
            await _judge(world),
            len(world.predictions.calls),
            time.monotonic() - began,
            [*complaints, *(complaint for party in world.parties.values() for complaint in party.complaints)],
        )


def _steps(world: _World) -> Iterator[tuple[datetime, str, Callable[[], Any]]]:
    for absence in world.timetable.absences:
        what = absence.project or absence.part.value
        yield absence.window.start, f"{what} goes", partial(_leave, world, absence)
        yield absence.window.end, f"{what} returns", partial(_return, world, absence)
    for release in world.timetable.releases:
        what = f"{release.project} has a new revision, and {len(release.more)} new models"
        yield release.at, what, partial(_release, world, release)


async def _leave(world: _World, absence: Absence) -> None:
    match absence.part:
        case Part.SCHEDULER | Part.EXECUTORS:
            await asyncio.gather(*(party.kill() for party in world.of(absence.part.value.removesuffix("s"))))
        case Part.LEDGER:
            await asyncio.to_thread(world.server.close)
        case Part.GORDO:
            gone = world.troubles[absence] = AsyncExitStack()
            gone.enter_context(world.gordo.controls.trouble(unavailable(), Scope(project=absence.project)))
        case Part.SOURCE:
            pass  # it goes by the clock


async def _return(world: _World, absence: Absence) -> None:
    match absence.part:
        case Part.SCHEDULER | Part.EXECUTORS:
            await asyncio.gather(*(party.start() for party in world.of(absence.part.value.removesuffix("s"))))
        case Part.LEDGER:
            await asyncio.to_thread(world.server.open)
        case Part.GORDO:
            await world.troubles.pop(absence).aclose()
        case Part.SOURCE:
            pass


async def _release(world: _World, release: Release) -> None:
    project = world.gordo.projects[release.project]
    project.publish(release.revision, [*project.revisions[project.latest].values(), *release.more])


async def _knows_models(world: _World) -> bool:
    wanted = sum(len(models) for models in world.timetable.projects.values())
    async with _connected(world) as connection:
        world.begins = (await read_found(connection)).since
    return len(world.begins) >= wanted


async def _unlisted(world: _World) -> Sequence[str]:
    """Return a sentence on executors that run and are not in the ledger's list."""
    async with _connected(world) as connection:
        listed = await connection.fetchval("SELECT count(*) FROM executor")
    running = len(world.of("executor"))
    return [] if listed == running else [f"{running} executors run, and the ledger lists {listed}"]


async def _is_done(world: _World) -> bool:
    return not (await _judge(world)).wrong


async def _judge(world: _World) -> Verdict:
    timetable = world.timetable
    async with _connected(world) as connection:
        found = beginning_at(await read_found(connection), world.begins)
    end = world.pace.at(time.time()) + SLOT
    moments = [BEGIN - SLOT + number * _MOMENTS for number in range((end - BEGIN + 2 * SLOT) // _MOMENTS)]
    models = {name: project.revisions[project.latest].values() for name, project in world.gordo.projects.items()}
    # A model is first listed when it has been so for its horizon of one slot.
    return judge(
        models,
        found,
        timetable.fates,
        moments,
        timetable.works,
        lambda name: found.since[name] + SLOT,
        timetable.end,
        timetable.oldest_revision,
    )


@asynccontextmanager
async def _connected(world: _World) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(world.server.url, timeout=30)
    try:
        yield connection
    finally:
        await connection.close()


async def _until(holds: Callable[[], Any], within: float, what: str = "") -> None:
    """Wait until something holds; what has to hold is named, what may fail is judged afterwards."""
    deadline = time.monotonic() + within
    while not await holds():
        if time.monotonic() > deadline:
            if what:
                raise TimeoutError(f"not within {within:.0f} s: {what}")
            return
        await asyncio.sleep(0.5)


@asynccontextmanager
async def _open_world(folder: Path, timetable: Timetable, executors: int) -> AsyncIterator[_World]:
    predictions = CountedPredictions()
    served = [ProjectDefinition(name, tuple(models), REVISION) for name, models in timetable.projects.items()]
    server = EmbeddedServer(folder / "postgres", _POSTGRES)
    async with AsyncExitStack() as opened:
        opened.callback(server.close)
        await asyncio.to_thread(server.open)
        await migrate(server.url, connect_timeout=timedelta(seconds=30))
        pace = Pace(BEGIN, time.time() + _HEAD_START_S, timetable.pieces)
        pace.write(folder / "pace.json")
        sources = [absence.window for absence in timetable.absences if absence.part is Part.SOURCE]
        write_day(folder / "source.json", timetable.fates, sources)
        connection = await asyncpg.connect(server.url)
        await connection.execute(pace.ledger_clock())
        await connection.close()
        gordo = await opened.enter_async_context(open_sandbox_gordo(served, canned=predictions))
        config = folder / "latigo.toml"
        config.write_text(to_toml(_settings(pace, server.url, gordo.url, list(timetable.projects), folder)))
        names = ["scheduler", *(f"executor-{number}" for number in range(1, executors + 1))]
        parties = {name: _party(folder, name, config) for name in names}
        for party in parties.values():
            opened.push_async_callback(party.close)
            await party.start()
        async with asyncio.TaskGroup() as group:
            watching = [group.create_task(party.watch()) for party in parties.values()]
            try:
                yield _World(timetable, pace, server, gordo, predictions, parties)
            finally:
                for task in watching:
                    task.cancel()


def _party(folder: Path, name: str, config: Path) -> Party:
    role = name.partition("-")[0]
    command = (sys.executable, "-m", "chaos.days.latigo_program", str(folder / "pace.json"))
    return Party(name, lambda: (*command, "serve", "--role", role, "--config", str(config)), folder / f"{name}.log")


def _settings(pace: Pace, ledger: str, gordo: str, projects: Sequence[str], folder: Path) -> Mapping[str, Any]:
    """What has to do with data is as by default; what has to do with the work of processes is so in real time."""
    return {
        "schedule": {"interval": _minutes(SLOT), "delay": _minutes(DELAY)},
        "backfill": {"horizon": _minutes(SLOT)},
        "late_data": {"sweep": True},
        "planner": {"lease": pace.real(15), "renew": "5m", "max_clock_difference": pace.real(15)},
        "ledger": {"kind": "postgres", "url": ledger, "pool_size": 5},
        "task_queue": {"kind": "postgres", "expiration": pace.real(15)},
        "models": {"kind": "gordo", "url": gordo, "projects": list(projects)},
        "sensors": {"kind": KIND, "options": {"path": str(folder / "source.json")}},
        "predictions": [{"kind": "postgres"}],
        "executor": {
            "concurrency": 8,
            "lease": pace.real(30),
            "renew": "20m",  # of executors that were not seen for an hour nothing is known
            "hard_limit": pace.real(900),
        },
        "http": {"enabled": False},
        "log": {"format": "json", "level": "info"},
    }


def _minutes(duration: timedelta) -> str:
    return f"{duration // timedelta(minutes=1)}m"
