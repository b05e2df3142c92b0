"""Cost of a status and of lists: real PostgreSQL, a month of slots with holes."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path

from benchmarks.report import Row
from latigo.ledger.freshness_store import PostgresFreshnessLedger
from latigo.ledger.scheduler_store import PostgresSchedulerLedger
from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.reports.failures import read_failures
from latigo.reports.models import MOST_MODELS, read_models
from latigo.reports.plan import read_plan
from latigo.reports.status import read_status

PLANT = load_statements("benchmarks", "plant.sql")
ROUNDS = 20
#: Milliseconds of CPU of the database and of this process, by number of models; the database's share of it.
LIMITS = {9000: 300.0, 100_000: 600.0}
DATABASE_LIMIT = 50.0  #: at 9000 models
LIST_LIMIT = 1000.0
LIST_MEMORY_MB = 250.0  #: at 100 000 models, which are read as a whole, and written one by one
#: A tenth of all models, as in life: most because of a sensor that several of them have, the others after timeouts.
_PARK = """
INSERT INTO parked (model_id, revision, reason, detail, windows, since, version, tags)
SELECT id, revision, reason, detail, tstzmultirange(tstzrange(due - slot * 3, due)),
       now() - interval '1 hour' * (id % 700), 'bench',
       CASE WHEN reason = 'unknown_sensor' THEN ARRAY[tag] ELSE '{}' END
FROM (SELECT *, date_bin(slot, now() - delay, 'epoch') AS due, '1902.TT-' || id % 1000 || '.PV' AS tag,
             CASE WHEN id % 3 = 0 THEN 'attempts' ELSE 'unknown_sensor' END AS reason FROM model) m
CROSS JOIN LATERAL (SELECT CASE WHEN reason = 'attempts' THEN 'predict: no answer of Gordo within 30 s, 5 attempts'
                                ELSE 'read: no source has the sensor ' || tag END) AS d (detail)
WHERE id % 10 = 7
"""
#: Runs Latigo, and prints the most memory that it had: what the system counts of a child includes its parent's.
_PEAK = """
import runpy, sys
try:
    runpy.run_module("latigo", run_name="__main__", alter_sys=True)
finally:
    sys.stdout.flush()
    print(*(line for line in open("/proc/self/status") if line.startswith("VmHWM")), file=sys.stderr)
"""


async def measure_status(ledger: PostgresSchedulerLedger, database: Database) -> list[Row]:
    """Return the CPU of one status of a ledger with models and nothing else, which is filled first.

    A scheduler keeps the sums over all slots, as one does that plans; at 9000 models there is also a status
    without them. The database's CPU is that of all processes of its server.
    """
    async with database.connection() as connection:
        for statement in PLANT.values():
            await connection.execute(statement)
        await connection.execute("VACUUM ANALYZE")
        models = await connection.fetchval("SELECT count(*) FROM model")
    term = await ledger.acquire_lease("bench", timedelta(minutes=10))
    if term is None:
        raise RuntimeError("someone else plans")
    await PostgresFreshnessLedger(database).sum_slots(term, timedelta(minutes=10))
    name = f"status, {models} models x 30 d with holes"
    theirs, own = await cpu_of(database, lambda: read_status(database, "bench"))
    rows = [_row(f"{name}, CPU", theirs, own, LIMITS[models])]
    if models == min(LIMITS):
        what = f"{name}, CPU of the database"
        rows.append(Row(what, f"{theirs:.1f} ms", f"<= {DATABASE_LIMIT:g} ms", theirs / DATABASE_LIMIT, at_most=1.0))
        await database.execute("UPDATE tally SET summed_until = '-infinity'")
        alone = await cpu_of(database, lambda: read_status(database, "bench"))
        rows.append(_row(f"{name}, made anew without a scheduler, CPU", *alone, LIMITS[models]))
    return rows


async def measure_lists(database: Database, url: str) -> list[Row]:
    """Return the CPU of the lists of windows, models and failures, and the memory of the commands that ask for them.

    Of a ledger as it is; for the list of failures, a tenth of its models is parked.
    """
    async with database.connection() as connection:
        models = await connection.fetchval("SELECT count(*) FROM model")
    gaps = f"{models} models, one gap each"
    plan = await cpu_of(database, lambda: read_plan(database))
    listed = await cpu_of(database, lambda: read_models(database, most=MOST_MODELS))
    memory = [await _memory_of(command, gaps, url) for command in ("plan", "models list")]
    await database.execute(_PARK)
    await database.execute("ANALYZE parked")
    failures = await cpu_of(database, lambda: read_failures(database))
    parked = f"{gaps}, a tenth parked"
    memory.append(await _memory_of("failures", parked, url))
    return [
        _row(f"plan, {gaps}, CPU", *plan, LIST_LIMIT),
        _row(f"models list, {gaps}, CPU", *listed, LIST_LIMIT),
        _row(f"failures, {parked}, CPU", *failures, LIST_LIMIT),
        *memory,
    ]


async def _memory_of(command: str, ledger: str, url: str) -> Row:
    """Return the most memory of a command that asks a ledger which is described."""
    what = f"latigo {command} --json, {ledger}, most memory of the command"
    peak = await asyncio.to_thread(_peak_of, (*command.split(), "--json"), url)
    return Row(what, f"{peak:.0f} MB", f"<= {LIST_MEMORY_MB:g} MB", peak / LIST_MEMORY_MB, at_most=1.0)


def _peak_of(command: Sequence[str], url: str) -> float:
    """Return the most resident memory, in MB, of a command that asks a ledger."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LATIGO")}
    environment |= {"LATIGO_LEDGER__KIND": "postgres", "LATIGO_LEDGER__URL": url}
    run = subprocess.run(
        (sys.executable, "-c", _PEAK, *command),
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    return int(run.stderr.split("VmHWM:")[1].split()[0]) / 1024


def _row(name: str, theirs: float, own: float, limit: float) -> Row:
    took = theirs + own
    return Row(name, f"{took:.0f} ms ({theirs:.0f} of the database)", f"<= {limit:g} ms", took / limit, at_most=1.0)


async def cpu_of(database: Database, work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Return milliseconds of CPU of the database and of this process, for one of several rounds."""
    async with database.connection() as connection:
        server = parent_of(await connection.fetchval("SELECT pg_backend_pid()"))
    await work()
    theirs, own = cpu_of_children(server), time.process_time()
    for _ in range(ROUNDS):
        await work()
    return (cpu_of_children(server) - theirs) / ROUNDS * 1e3, (time.process_time() - own) / ROUNDS * 1e3


def process_stat(pid: int) -> list[str]:
    """The fields of a process from its state on: see proc(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def parent_of(process: int) -> int:
    """Return the parent of a process."""
    return int(process_stat(process)[1])


def cpu_of_children(parent: int) -> float:
    """Seconds of CPU of all processes that a process has started: those that run, and those that have ended."""
    ticks = sum(map(int, process_stat(parent)[13:15]))
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = process_stat(int(folder.name))
            except OSError:  # it has ended
                continue
            if int(fields[1]) == parent:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
