"""What a task costs the ledger from end to end: CPU of PostgreSQL, write-ahead log, and disk.

Waves of one live slot of every model go through the code of the roles: planned and published to the queue in the
ledger, as many at a time as may be outstanding; taken by a receiver, claimed, recorded before they are written, settled
with a receipt, and deleted from the queue. As in operation, tasks end one by one: 32 are at work at once, each for
about a tenth of a second. Predictions go to a sink that is not in the ledger and cannot compare writers, such as
InfluxDB; in the last wave but one, to one that compares them, for which no write is recorded.

There is no checkpoint but the one right before the last wave, which then writes each page whole that it changes for the
first time. Waves follow each other at once, and autovacuum runs more often than in production, and is counted. When it
has run last differs, and with it the size of tables right after a wave: that has no limit.
"""

import asyncio
import statistics
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from benchmarks.ledger import committed
from benchmarks.planning import SPEC
from benchmarks.report import Row
from benchmarks.stage import BEGIN, PROJECT, SLOT, Ledger, Plan, open_ledger
from benchmarks.status import cpu_of_children, parent_of
from latigo import __version__
from latigo.domain.limits import LARGEST_OUTSTANDING
from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.outcome import Stored
from latigo.domain.receipt import Carrier, Inputs, Receipt, Score, Stage
from latigo.domain.windows import Window
from latigo.executor.claimer import Claimer
from latigo.executor.settler import Settler
from latigo.executor.writes import Writes
from latigo.ledger.executor_store import PostgresExecutorLedger
from latigo.runtime.clock import SystemClock
from latigo.settings import Settings
from latigo.task_queue.postgres import PostgresReceiver, PostgresSender, open_receiver
from latigo.task_queue.protocol import Delivery
from latigo.wiring.roles import retry_rules

MODELS = 2 * LARGEST_OUTSTANDING
WAVES = 10
WARM = 2  #: waves that fill caches and make room in pages, and are not counted
CONCURRENCY = 32
SECONDS = (0.05, 0.15)  #: of a task between its claim and its end
TAGS, ROWS = 20, 30
LEASE = Settings().executor.lease

CPU_MS, LOG_KB, LOG_AFTER_CHECKPOINT_KB, HISTORY_KB = 1.0, 3.0, 6.0, 0.4
_COMPARED = 3  #: waves at the begin and at the end, of which the one that left the largest tables is taken

_SETTINGS = {"checkpoint_timeout": "1h", "max_wal_size": "8GB", "autovacuum_naptime": "4s"}
_SIZES = """
SELECT regexp_replace(c.relname, '_[0-9]{8}$', '') AS name, sum(pg_total_relation_size(c.oid))::bigint AS size
FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace GROUP BY 1
"""
_HISTORY = "task_history"


class Cost(NamedTuple):
    """Milliseconds of CPU of PostgreSQL, and bytes of its log, for one task."""

    cpu: float
    log: float


@dataclass(frozen=True)
class Wave:
    """What one wave has cost, and what it has left."""

    planned: Cost  #: and published
    done: Cost  #: from the queue to the settlement
    transactions: float  #: for one task
    whole_pages: float  #: in the log, for one task
    sizes: Mapping[str, int]  #: bytes by table, with indexes

    @property
    def cpu(self) -> float:
        """Of a task from end to end."""
        return self.planned.cpu + self.done.cpu

    @property
    def log(self) -> float:
        """Of a task from end to end."""
        return self.planned.log + self.done.log

    @property
    def live(self) -> int:
        """Bytes of all tables but the history."""
        return sum(size for name, size in self.sizes.items() if name != _HISTORY)


class LedgerWork:
    """What an executor does in the ledger, and nothing else of it."""

    def __init__(self, ledger: PostgresExecutorLedger, receiver: PostgresReceiver) -> None:
        self._receiver = receiver
        self._claimer = Claimer(ledger, "benchmark", LEASE)
        self._writes = Writes(ledger, LEASE)
        self._settler = Settler(ledger, SystemClock())
        self.records_writes = True  #: as for a sink that cannot compare writers
        self._chance = Random(7)
        self._left = 0
        self._all_done = asyncio.Event()

    async def run(self) -> None:
        """Work on tasks until cancelled."""
        room = asyncio.Semaphore(CONCURRENCY)
        async with asyncio.TaskGroup() as group, aclosing(self._receiver.receive()) as deliveries:
            group.create_task(self._claimer.run())
            group.create_task(self._writes.run())
            group.create_task(self._settler.run())
            async for delivery in deliveries:
                await room.acquire()
                group.create_task(self._work(delivery)).add_done_callback(lambda _: room.release())

    def rest(self) -> None:
        """Take no more tasks."""
        self._receiver.limit(0)

    async def work(self, tasks: int) -> None:
        """Take tasks again; return when so many are done."""
        self._left = tasks
        self._all_done.clear()
        self._receiver.limit(CONCURRENCY)
        await self._all_done.wait()

    async def _work(self, delivery: Delivery) -> None:
        task = delivery.task
        claim = await self._claimer.claim(task)
        if claim is None:
            raise RuntimeError(f"task {task.id} was not claimed")
        await asyncio.sleep(self._chance.uniform(*SECONDS))
        if self.records_writes and not await self._writes.begin(claim):
            raise RuntimeError(f"task {task.id} was not written")
        if not await self._settler.settle(claim, Stored.in_full(task.window, ROWS), self._receipt()):
            raise RuntimeError(f"task {task.id} was not settled")
        await delivery.done()
        self._left -= 1
        if not self._left:
            self._all_done.set()

    def _receipt(self) -> Receipt:
        """Return a receipt as long as those of an anomaly model with readings every ten seconds."""
        chance = self._chance
        readings = tuple(chance.randrange(180, 240) for _ in range(TAGS))
        inputs = Inputs(readings, (ROWS,) * TAGS, ROWS, chance.randrange(5), chance.randrange(60))
        carriers = tuple(Carrier(chance.randrange(TAGS), 30) for _ in range(3))
        stages: dict[Stage, int] = {"claim": 6, "read": 40, "frame": 5, "predict": 150, "write": 20}
        return Receipt(stages, 240, inputs, ("predictions/influx",), Score(chance.random(), 0, carriers))


async def measure() -> list[Row]:
    """Run the waves; medians of those that are counted."""
    waves, history = await _waves()
    usual, compares, last = waves[WARM:-2], waves[-2], waves[-1]
    cpu, planned, log, log_planned, transactions, whole_pages = (
        statistics.median(values)
        for values in zip(
            *((w.cpu, w.planned.cpu, w.log, w.planned.log, w.transactions, w.whole_pages) for w in usual), strict=True
        )
    )
    what = f"a task from plan to settlement, {MODELS} models, queue in the ledger"
    early, late = (
        max(some, key=lambda wave: wave.live) for some in (waves[WARM : WARM + _COMPARED], waves[-_COMPARED:])
    )
    return [
        Row(
            f"{what}: CPU of PostgreSQL",
            f"{cpu:.2f} ms (planned and published {planned:.2f}; {transactions:.1f} transactions)",
            f"<= {CPU_MS:g} ms",
            cpu / CPU_MS,
            at_most=1.0,
        ),
        Row(
            f"{what}: CPU of PostgreSQL, for a sink that compares writers",
            f"{compares.cpu:.2f} ms ({compares.transactions:.1f} transactions)",
            f"{cpu:.2f} ms",
            compares.cpu / cpu,
        ),
        Row(
            f"{what}: write-ahead log",
            f"{log / 1e3:.2f} kB (planned and published {log_planned / 1e3:.2f}; {whole_pages:.2f} whole pages)",
            f"<= {LOG_KB:g} kB",
            log / 1e3 / LOG_KB,
            at_most=1.0,
        ),
        Row(
            f"{what}: write-ahead log right after a checkpoint",
            f"{last.log / 1e3:.2f} kB ({last.whole_pages:.2f} whole pages)",
            f"<= {LOG_AFTER_CHECKPOINT_KB:g} kB",
            last.log / 1e3 / LOG_AFTER_CHECKPOINT_KB,
            at_most=1.0,
        ),
        Row(
            f"a task in the history, receipts of {TAGS} tags: disk",
            f"{history / 1e3:.2f} kB with indexes",
            f"<= {HISTORY_KB:g} kB",
            history / 1e3 / HISTORY_KB,
            at_most=1.0,
        ),
        Row(
            f"all other tables of {MODELS} models: disk after the last of {len(waves)} waves, against the first ones",
            f"{late.live / 1e6:.1f} MB ({_largest(late.sizes)})",
            f"{early.live / 1e6:.1f} MB",
            late.live / early.live,
        ),
    ]


async def _waves() -> tuple[list[Wave], float]:
    """Return the waves, and the bytes of a task in the history."""
    async with AsyncExitStack() as opened:
        ledger = await opened.enter_async_context(open_ledger(_SETTINGS))
        specs = [ModelSpec.from_json(ModelRef(PROJECT, f"model-{n}"), "1", True, SPEC) for n in range(MODELS)]
        await ledger.describe(specs)
        database = ledger.database
        receiver = await opened.enter_async_context(open_receiver(database, SystemClock(), "benchmark", CONCURRENCY))
        store = PostgresExecutorLedger(database, retry_rules(Settings().executor), __version__)
        work = LedgerWork(store, receiver)
        group = await opened.enter_async_context(asyncio.TaskGroup())
        working = group.create_task(work.run())
        names = [spec.ref.name for spec in specs]
        empty = (await _sizes(ledger))[_HISTORY]
        waves = []
        for number in range(WARM + WAVES):
            work.records_writes = number != WARM + WAVES - 2
            if number == WARM + WAVES - 1:
                await _execute(ledger, "CHECKPOINT")
            waves.append(await _wave(ledger, work, names, Window(BEGIN + number * SLOT, BEGIN + (number + 1) * SLOT)))
        await ledger.check_stored(MODELS * len(waves))
        await _execute(ledger, "VACUUM")
        history = ((await _sizes(ledger))[_HISTORY] - empty) / (MODELS * len(waves))
        working.cancel()
    return waves, history


async def _wave(ledger: Ledger, work: LedgerWork, names: Sequence[str], window: Window) -> Wave:
    sender = PostgresSender(ledger.database)
    transactions, whole_pages = await committed(ledger), await _whole_pages(ledger)
    planned, done = [], []
    for first in range(0, len(names), LARGEST_OUTSTANDING):
        some = names[first : first + LARGEST_OUTSTANDING]
        work.rest()
        before = await _cost(ledger)
        tasks = await ledger.plan([Plan(some, window)])
        await ledger.mark_published(await sender.publish(tasks))
        published = await _cost(ledger)
        await work.work(len(tasks))
        after = await _cost(ledger)
        planned.append(Cost(published.cpu - before.cpu, published.log - before.log))
        done.append(Cost(after.cpu - published.cpu, after.log - published.log))
    return Wave(
        planned=Cost(*(sum(each) / len(names) for each in zip(*planned, strict=True))),
        done=Cost(*(sum(each) / len(names) for each in zip(*done, strict=True))),
        transactions=(await committed(ledger) - transactions) / len(names),
        whole_pages=(await _whole_pages(ledger) - whole_pages) / len(names),
        sizes=await _sizes(ledger),
    )


async def _cost(ledger: Ledger) -> Cost:
    """Return what the server has taken so far."""
    async with ledger.database.connection() as connection:
        log = await connection.fetchval("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
        server = parent_of(await connection.fetchval("SELECT pg_backend_pid()"))
    return Cost(cpu_of_children(server) * 1e3, float(log))


async def _whole_pages(ledger: Ledger) -> int:
    """Return how many pages the log has whole; sessions report with a delay, for which `committed` waits."""
    async with ledger.database.connection() as connection:
        await connection.execute("SELECT pg_stat_clear_snapshot()")
        pages: int = await connection.fetchval("SELECT wal_fpi FROM pg_stat_wal")
        return pages


async def _sizes(ledger: Ledger) -> Mapping[str, int]:
    async with ledger.database.connection() as connection:
        return {row["name"]: row["size"] for row in await connection.fetch(_SIZES)}


async def _execute(ledger: Ledger, statement: str) -> None:
    async with ledger.database.connection() as connection:
        await connection.execute(statement)


def _largest(sizes: Mapping[str, int]) -> str:
    """Return the largest tables but the history, with their sizes."""
    largest = sorted(((size, name) for name, size in sizes.items() if name != _HISTORY), reverse=True)[:3]
    return ", ".join(f"{name} {size / 1e6:.1f}" for size, name in largest)
