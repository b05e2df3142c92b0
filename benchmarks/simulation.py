"""Hours in seconds: the real scheduler on the real ledger, under a clock that is set by hand.

Executors are simulated: they take tasks in the order of the queue, as many as a benchmark says, and settle them as
covered. Nothing is read, predicted or written.
"""

from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import SecretStr

from benchmarks.planning import SPEC
from benchmarks.stage import Ledger, open_ledger
from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.outcome import Stored
from latigo.domain.task import Task
from latigo.domain.windows import DAY
from latigo.ledger.executor_store import PostgresExecutorLedger
from latigo.ledger.model_protocol import ModelEntry
from latigo.ledger.protocol import Term
from latigo.ledger.scheduler_store import make_partitions
from latigo.providers.memory import MemorySensors
from latigo.runtime.clock import SystemClock
from latigo.scheduler.loop import Scheduler
from latigo.settings import HttpSettings, PostgresLedger, Settings
from latigo.task_queue.envelope import HIGHEST
from latigo.task_queue.internal import InternalQueue
from latigo.wiring.resources import open_resources
from latigo.wiring.roles import create_scheduler, retry_rules

SLOT = timedelta(minutes=30)
DELAY = timedelta(minutes=5)
MAX_WINDOW = DAY
#: A slot falls due at this moment.
BEGIN = datetime(2025, 10, 20, 6, tzinfo=UTC) + DELAY
#: Models of several projects, as they come.
PROJECTS = 3

_LEASE = timedelta(days=1000)
#: The ledger looks at a table, so that setting the clock changes no function and prepared statements stay.
CLOCK = """
CREATE TABLE virtual_clock (at timestamptz NOT NULL);
INSERT INTO virtual_clock VALUES (now());
CREATE OR REPLACE FUNCTION ledger_now() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL SAFE
AS $$ SELECT at FROM public.virtual_clock $$;
"""


class VirtualClock(SystemClock):
    """A clock that stands at the time that it was set to."""

    def __init__(self, now: datetime) -> None:
        self.time = now

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()


class Line(InternalQueue):
    """A queue whose content can be inspected."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: deque[Task] = deque()

    async def publish(self, tasks: Sequence[Task], version: int = HIGHEST) -> Mapping[int, str]:  # noqa: ARG002 - nothing is written down
        self.waiting.extend(tasks)
        return {task.id: self.channel for task in tasks}


@dataclass
class Simulation:
    """A plant with a scheduler, and simulated executors."""

    clock: VirtualClock
    ledger: Ledger
    line: Line
    scheduler: Scheduler
    executors: PostgresExecutorLedger
    term: Term

    async def set_clock(self, time: datetime) -> None:
        """Set the clock of all parts."""
        if time.date() != self.clock.time.date():
            await self._turn(time)
            async with self.ledger.database.transaction() as connection:
                await make_partitions(connection)
        else:
            await self._turn(time)

    async def _turn(self, time: datetime) -> None:
        self.clock.time = time
        async with self.ledger.database.connection() as connection:
            await connection.execute("UPDATE virtual_clock SET at = $1", time)

    async def add_models(self, count: int, horizon: timedelta) -> None:
        """Add models that are listed for the first time now."""
        specs = [
            ModelSpec.from_json(ModelRef(f"plant-{number % PROJECTS}", f"model-{number}"), "1764547200000", True, SPEC)
            for number in range(count)
        ]
        await self.ledger.models.put_models([ModelEntry(spec, SLOT, DELAY, MAX_WINDOW, horizon) for spec in specs])

    async def plan(self) -> None:
        """A round of the scheduler, and its look for lost tasks."""
        await self.ledger.scheduler.recover(self.term, self.line.channel, isolated_starts=3, version="benchmark")
        await self.scheduler.plan_once(self.term)

    async def work(self, most: int) -> list[Task]:
        """Let executors take tasks and settle them. Return the tasks."""
        done = []
        for _ in range(min(most, len(self.line.waiting))):
            task = self.line.waiting.popleft()
            claim = await self.executors.claim(task, "executor", _LEASE)
            if claim is None:
                raise RuntimeError(f"task {task.id} was in the queue and could not be claimed")
            done.append((task, claim))
        if done:
            await self.executors.settle([(claim, Stored.in_full(task.window, rows=3)) for task, claim in done])
        return [task for task, _ in done]

    async def count(self, sql: str) -> int:
        """Return a number from the ledger."""
        async with self.ledger.database.connection() as connection:
            number: int = await connection.fetchval(sql)
            return number


@asynccontextmanager
async def simulation(now: datetime = BEGIN) -> AsyncIterator[Simulation]:
    """Open an empty simulation at this time."""
    # Nothing outlives the benchmark, so nothing has to survive a power cut.
    async with open_ledger({"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}) as ledger:
        async with ledger.database.connection() as connection:
            await connection.execute(CLOCK)
        settings = Settings(ledger=PostgresLedger(url=SecretStr(ledger.url)), http=HttpSettings(enabled=False))
        clock, line = VirtualClock(datetime.min.replace(tzinfo=UTC)), Line()
        async with open_resources(settings, sensors=MemorySensors(), clock=clock) as resources:
            executors = PostgresExecutorLedger(ledger.database, retry_rules(settings.executor), "benchmark")
            await ledger.scheduler.release_lease(Term("nobody", 0))
            clock.time = now - DAY
            simulated = Simulation(
                clock, ledger, line, create_scheduler(resources, line), executors, Term("benchmark", 0)
            )
            await simulated.set_clock(now)
            term = await ledger.scheduler.acquire_lease("benchmark", _LEASE)
            assert term is not None
            simulated.term = term
            yield simulated
