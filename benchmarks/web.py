"""Cost of the web interface: real PostgreSQL, 9000 models, a month of slots with holes; and the pages in a browser.

CPU is that of all processes of the database's server, and of this process with its threads. Viewers are ten clients
that do what the page of models does: a stream of events, the grid of 7 days with its cells, its changed rows when the
stream says so, the status every 10 s, and the grid every minute; meanwhile 150 models are settled every 15 s.
"""

import asyncio
import gzip
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
from aiohttp import ClientSession, ClientTimeout

from benchmarks.pages import measure_pages
from benchmarks.planning import put_models
from benchmarks.report import Row
from benchmarks.status import PLANT, cpu_of, process_stat
from latigo.domain.receipt import Carrier, Inputs, Receipt, Score
from latigo.domain.windows import DAY, floor_to_slot
from latigo.ledger.scheduler_store import make_partitions
from latigo.postgres.database import Database
from latigo.postgres.embedded import open_embedded
from latigo.postgres.migrate import migrate
from latigo.reports.anomalies import read_anomalies
from latigo.reports.grid import Memory, read_ledger, to_image
from latigo.reports.grid_cells import Axis
from latigo.reports.grid_view import Grid, View, Wanted
from latigo.settings import Settings
from latigo.wiring.ledger import connect_to

MODELS = 9000
VIEWERS = 10
WATCHED = 60.0  #: seconds
CHANGED = 150
ANOMALOUS = 500
#: Milliseconds of CPU of the database and of this process together.
LIMITS = {timedelta(days=7): 500.0, timedelta(days=30): 1000.0}
ANOMALIES_LIMIT = 1000.0
SENT_LIMIT = 250.0  #: kilobytes
SHARE_LIMIT = 0.05  #: of a core

_HALF_HOUR = timedelta(minutes=30)
_SETTLE = """
WITH settled AS (
    UPDATE coverage SET covered = covered + tstzmultirange(tstzrange($2::timestamptz - interval '30 minutes', $2))
    WHERE model_id % 60 = $1::int % 60 RETURNING model_id
)
INSERT INTO task_history (id, model_id, revision, epoch, span, lane, outcome, attempts, starts, rows, covered,
                          planned_at, claimed_at, settled_at)
SELECT 1, model_id, '1', 1, tstzrange($2::timestamptz - interval '30 minutes', $2), 'live', 'stored', 0, 1, 3,
       '30 minutes', now(), now(), now() FROM settled
"""
_RECEIPTS = """
INSERT INTO task_history (id, model_id, revision, epoch, span, lane, outcome, attempts, starts, rows, covered,
                          planned_at, claimed_at, settled_at, receipt)
SELECT 1, n, '1', 1, tstzrange(at, at + interval '30 minutes'), 'live', 'stored', 0, 1, 3, '30 minutes', at, at,
       at + interval '36 minutes',
       (ARRAY[$1::bytea, $2::bytea])[1 + (n * 7 + extract(epoch FROM at)::bigint / 1800) % 2]
FROM generate_series(1, $3::int) AS n
CROSS JOIN generate_series(date_bin('30 minutes', now(), 'epoch') - interval '14 days', now() - interval '1 hour',
                           '30 minutes') AS at
"""


async def measure() -> list[Row]:
    """Return the rows of grids, anomalies and viewers."""
    with tempfile.TemporaryDirectory() as folder:
        async with open_embedded(Path(folder)) as url:
            await migrate(url, connect_timeout=Settings().ledger.connect_timeout)
            async with connect_to(url, Settings()) as database:
                await _fill(database)
                rows = [row for length in LIMITS for row in await _grid(database, length)]
                rows.append(await _anomalies(database))
                rows.append(await _viewers(database, url))
                async with _server(url) as (address, _):
                    rows += await measure_pages(address)
    return rows


async def _fill(database: Database) -> None:
    receipts = [
        Receipt(
            {"claim": 4, "read": 180, "frame": 2, "predict": 950, "write": 12},
            1200,
            Inputs((80,) * 20, (3,) * 20, 3, 0, 55),
            ("sink/postgres",),
            Score(1.5, over, (Carrier(3, 60), Carrier(11, 20), Carrier(0, 9))),
        ).to_bytes()
        for over in (0, 2)
    ]
    async with database.transaction() as connection:
        await make_partitions(connection)
    async with database.connection() as connection:
        await put_models(connection, MODELS)
        for statement in PLANT.values():
            await connection.execute(statement)
        for day in range(1, 16):
            start = datetime.combine(datetime.now(UTC) - day * DAY, datetime.min.time(), UTC)
            await connection.execute(
                f'CREATE TABLE IF NOT EXISTS "task_history_{start:%Y%m%d}" PARTITION OF task_history '
                f"FOR VALUES FROM ('{start.isoformat()}') TO ('{(start + DAY).isoformat()}')"
            )
        await connection.execute(_RECEIPTS, *receipts, ANOMALOUS)
        await connection.execute("VACUUM ANALYZE")


async def _grid(database: Database, length: timedelta) -> list[Row]:
    async with database.connection() as connection:
        now = await connection.fetchval("SELECT now()")
    start = floor_to_slot(now, _HALF_HOUR) - length
    axis = Axis(start, _HALF_HOUR, length // _HALF_HOUR + 1)
    memory = Memory()
    views: list[View] = []

    async def make(kept: Memory | None = None) -> None:
        grid = Grid.of(to_image(await read_ledger(database, axis, kept)))
        views[:] = [View(grid, Wanted())]
        views[0].marks()

    what = f"grid of {MODELS} models x {length.days} d, half hours"
    rows = []
    for name, kept in (("", None), (f", {CHANGED} models changed", memory)):
        if kept is not None:
            await make(kept)
            await database.execute(_SETTLE, 7, floor_to_slot(now, _HALF_HOUR))
        theirs, own = await cpu_of(database, lambda kept=kept: make(kept))  # type: ignore[misc]  # no type of a default
        took, limit = theirs + own, LIMITS[length]
        measured = f"{took:.0f} ms ({theirs:.0f} of the database)"
        rows.append(Row(f"{what}{name}, CPU", measured, f"<= {limit:g} ms", took / limit, at_most=1))
    sent = len(gzip.compress(views[0].cells.tobytes(), 5)) / 1e3
    if length == DAY * 7:
        rows.append(Row(f"{what}, sent", f"{sent:.0f} kB", f"<= {SENT_LIMIT:g} kB", sent / SENT_LIMIT, at_most=1))
    return rows


async def _anomalies(database: Database) -> Row:
    async with database.connection() as connection:
        now = await connection.fetchval("SELECT now()")
        await connection.execute("UPDATE model SET state = 'disabled' WHERE id > $1", ANOMALOUS)
    try:
        report = await read_anomalies(database, None, now - 7 * DAY, now, now)
        if report.total != ANOMALOUS or report.items[0].share_before is None:
            raise RuntimeError(f"{report.total} models have anomalies")
        theirs, own = await cpu_of(database, lambda: read_anomalies(database, None, now - 7 * DAY, now, now))
    finally:
        await database.execute("UPDATE model SET state = 'active'")
    took = theirs + own
    what = f"anomalies of {ANOMALOUS} models, 7 d against the 7 d before, CPU"
    measured = f"{took:.0f} ms ({theirs:.0f} of the database)"
    return Row(what, measured, f"<= {ANOMALIES_LIMIT:g} ms", took / ANOMALIES_LIMIT, at_most=1)


@asynccontextmanager
async def _server(url: str) -> AsyncIterator[tuple[str, int]]:
    """Serve in a process of its own; yield its address and number."""
    program = (sys.executable, "-m", "benchmarks.web_program", url)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*program, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL)
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("it has no pipes")
    try:
        address = ""
        while not address.startswith("http"):
            address = (await process.stdout.readline()).decode().strip()
            if not address:
                raise RuntimeError("it did not start")
        yield address, process.pid
    finally:
        process.stdin.close()
        await process.wait()


async def _viewers(database: Database, url: str) -> Row:
    async with database.connection() as connection:
        now = await connection.fetchval("SELECT now()")
    async with _server(url) as (address, pid):
        async with asyncio.TaskGroup() as group:
            began, ticks = time.monotonic(), _ticks(pid)
            group.create_task(_settling(database, floor_to_slot(now, _HALF_HOUR), began))
            for _ in range(VIEWERS):
                group.create_task(_view(address, began))
        share = (_ticks(pid) - ticks) / (time.monotonic() - began)
    what = f"{VIEWERS} viewers of {MODELS} models for {WATCHED:g} s, CPU of the server"
    return Row(what, f"{share:.1%} of a core", f"<= {SHARE_LIMIT:.0%}", share / SHARE_LIMIT, at_most=1)


def _ticks(pid: int) -> float:
    fields = process_stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _settling(database: Database, end: object, began: float) -> None:
    number = 0
    while time.monotonic() < began + WATCHED - 15:
        await database.execute(_SETTLE, number, end)
        number += 1
        await asyncio.sleep(15)


async def _view(address: str, began: float) -> None:
    async with ClientSession(address, timeout=ClientTimeout(WATCHED * 2)) as session:

        async def get(path: str, **query: str) -> bytes:
            async with session.get(f"/api/v1{path}", params=query) as answer:
                answer.raise_for_status()
                return await answer.read()

        grid = {}

        async def load() -> None:
            grid.update(orjson.loads(await get("/grid", **{"from": "-7d"})))
            await get("/grid/cells", version=grid["version"])

        async def follow() -> None:
            async with session.get("/api/v1/events") as stream:
                event = b""
                async for line in stream.content:
                    if line.startswith(b"event:"):
                        event = line.split()[1]
                    elif line.startswith(b"data:") and event == b"grid":
                        change = orjson.loads(line[5:])
                        if change["reload"]:
                            await load()
                        elif shown := [str(each) for each in change["rows"] if each in set(grid["ids"][:200])]:
                            await get("/grid/rows", version=grid["version"], ids=",".join(shown))

        await load()
        following = asyncio.create_task(follow())
        while time.monotonic() < began + WATCHED:
            await asyncio.sleep(10)
            await get("/status")
        await get("/grid", **{"from": "-7d"})
        following.cancel()
        await asyncio.wait((following,))
