"""Cost of a status: real PostgreSQL, 9000 models, a month of slots with holes."""

import os
from datetime import timedelta
from pathlib import Path

from benchmarks.report import Row
from latigo.ledger.freshness_store import PostgresFreshnessLedger
from latigo.ledger.scheduler_store import PostgresSchedulerLedger
from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.reports.status import read_status

PLANT = load_statements("benchmarks", "plant.sql")
LIMIT = 50.0  #: milliseconds of the database's CPU
ROUNDS = 40


async def measure_status(ledger: PostgresSchedulerLedger, database: Database) -> Row:
    """Return the CPU of the database for one status of a ledger with models and nothing else, which is filled first.

    A scheduler keeps the sums over all slots, as one does that plans. The CPU is that of all processes of the server.
    """
    async with database.connection() as connection:
        for statement in PLANT.values():
            await connection.execute(statement)
        await connection.execute("VACUUM ANALYZE")
        models = await connection.fetchval("SELECT count(*) FROM model")
        server = parent_of(await connection.fetchval("SELECT pg_backend_pid()"))
    term = await ledger.acquire_lease("bench", timedelta(minutes=10))
    if term is None:
        raise RuntimeError("someone else plans")
    await PostgresFreshnessLedger(database).sum_slots(term, timedelta(minutes=10))
    await read_status(database, "bench")
    began = cpu_of_children(server)
    for _ in range(ROUNDS):
        await read_status(database, "bench")
    took = (cpu_of_children(server) - began) / ROUNDS * 1000
    name = f"status, {models} models x 30 d with holes, CPU of the database"
    return Row(name, f"{took:.1f} ms", f"<= {LIMIT:g} ms", took / LIMIT, at_most=1.0)


def process_stat(pid: int) -> list[str]:
    """The fields of a process from its state on: see proc(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def parent_of(process: int) -> int:
    """Return the parent of a process."""
    return int(process_stat(process)[1])


def cpu_of_children(parent: int) -> float:
    """Seconds of CPU of all processes that a process has started and that run."""
    ticks = 0
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = process_stat(int(folder.name))
            except OSError:  # it has ended
                continue
            if int(fields[1]) == parent:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
