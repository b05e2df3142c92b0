"""Duration of planning, and cost of status and lists: real PostgreSQL, thousands of models, a month of slots."""

import statistics
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.report import Row
from benchmarks.status import measure_lists, measure_status
from latigo.domain.lane_share import LaneShare
from latigo.domain.limits import LARGEST_OUTSTANDING
from latigo.domain.task import Lane
from latigo.ledger.scheduler_store import PostgresSchedulerLedger
from latigo.postgres.database import Database
from latigo.postgres.embedded import open_embedded
from latigo.postgres.migrate import migrate
from latigo.scheduler.loop import BACKGROUND_PART, LONGEST_RUN
from latigo.scheduler.plan import Agenda, in_runs
from latigo.settings import Settings
from latigo.wiring.ledger import connect_to

DAYS = 30
CATCH_UP = timedelta(days=DAYS)
ROUNDS = 5

_MODELS = """
INSERT INTO model (project, name, revision, since, slot, delay, fold, spec, first_seen)
SELECT 'plant-' || n % 10, 'model-' || n, '1764547200000', date_bin('30 minutes', now() - interval '29 days', 'epoch'),
       '30 minutes', '5 minutes', '1 day', $2, now()
FROM generate_series(1, $1::int) AS n
"""
_COVERED = {
    "nothing to do": "tstzmultirange(tstzrange(since, date_bin(slot, now() - delay, 'epoch') + interval '1 day'))",
    "one gap each": """tstzmultirange(tstzrange(since, date_bin(slot, now() - delay, 'epoch') + interval '1 day'))
        - tstzmultirange(tstzrange(date_bin(slot, now(), 'epoch') - slot * (2 + id % 1000)::int,
                                   date_bin(slot, now(), 'epoch') - slot * (1 + id % 1000)::int))""",
    "every other slot missing": """(SELECT range_agg(tstzrange(at, at + slot))
        FROM generate_series(since, now(), slot * 2) AS at)""",
    "everything missing": "'{}'::tstzmultirange",
}


#: Requests of all models for a year each, that nothing else covers.
_REQUESTED = """
WITH made AS (
    INSERT INTO request (kind, who, at, selector, state, low, high)
    SELECT CASE WHEN n % 4 = 0 THEN 'replace' ELSE 'fill' END, 'bench', now(), '{}', 'active',
           now() - interval '30 days' - interval '1 year' * n, now() - interval '30 days' - interval '1 year' * (n - 1)
    FROM generate_series(1, $1::int) AS n
    RETURNING id, low, high
)
INSERT INTO request_model (request_id, model_id, wanted, slots)
SELECT r.id, m.id, tstzmultirange(tstzrange(date_bin(m.slot, r.low, 'epoch'), date_bin(m.slot, r.high, 'epoch'))), 17520
FROM made r CROSS JOIN model m
"""


async def measure() -> list[Row]:
    """Needs read, put in order, and as many tasks as may be out planned and published; medians of several rounds."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        async with open_embedded(Path(folder)) as url:
            await migrate(url, connect_timeout=Settings().ledger.connect_timeout)
            async with connect_to(url, Settings()) as database:
                ledger = PostgresSchedulerLedger(database)
                await ledger.maintain(history=CATCH_UP)
                for models, case, requests, limit in (
                    (9000, "nothing to do", 0, 0.1),
                    (9000, "one gap each", 0, 0.5),
                    (9000, "nothing to do", 20, 0.5),
                    (9000, "every other slot missing", 0, 4.0),
                    (100_000, "nothing to do", 0, 0.2),
                    (100_000, "everything missing", 0, 2.5),
                    (100_000, "one gap each", 0, 1.5),
                ):
                    await _fill(database, models, _COVERED[case], requests)
                    took = await _plan(ledger, database)
                    name = f"planning, {models} models x {DAYS} d, {case}"
                    name += f", {requests} requests for a year of each" if requests else ""
                    rows.append(Row(name, f"{took:.3f} s", f"< {limit:g} s", took / limit, at_most=1.0))
                rows += await measure_lists(database, url)
                for models in (9000, 100_000):
                    await _fill_models(database, models)
                    rows += await measure_status(ledger, database)
    return rows


async def _fill(database: Database, models: int, covered: str, requests: int) -> None:
    async with database.connection() as connection:
        await put_models(connection, models)
        await connection.execute(f"INSERT INTO coverage (model_id, covered) SELECT id, {covered} FROM model")
        await connection.execute(_REQUESTED, requests)
        await connection.execute("VACUUM ANALYZE")


async def _fill_models(database: Database, models: int) -> None:
    async with database.connection() as connection:
        await put_models(connection, models)


async def put_models(connection: Any, models: int) -> None:
    """Replace all models of a ledger by so many of ten projects."""
    await connection.execute("TRUNCATE model, request, freshness, freshness_total RESTART IDENTITY CASCADE")
    await connection.execute(_MODELS, models, SPEC)


async def _plan(ledger: PostgresSchedulerLedger, database: Database) -> float:
    """Return how long a round of the scheduler takes, with what backfill continues, and without sending."""
    term = await ledger.acquire_lease("bench", timedelta(minutes=10))
    if term is None:
        raise RuntimeError("someone else plans")
    took, run = [], 1.0
    for _ in range(ROUNDS):
        began = time.perf_counter()
        out = await ledger.outstanding()
        agenda = Agenda.of(await ledger.needs(CATCH_UP))
        room, room_in_background = LARGEST_OUTSTANDING - out.total, int(LARGEST_OUTSTANDING * BACKGROUND_PART)
        firsts = agenda.take(room, room_in_background, LaneShare(Settings().backfill.min_share), run=run)
        filling = [task for task in firsts if task.lane is Lane.BACKFILL]
        continued = await ledger.continued(filling, CATCH_UP, min(room_in_background, LONGEST_RUN) - 1)
        run = 1 + sum(map(len, continued.values())) / len(filling) if filling else run
        if planned := in_runs(firsts, continued, room, room_in_background):
            await ledger.plan(term, planned)
            tasks = await ledger.unpublished(term, LARGEST_OUTSTANDING)
            await ledger.mark_published(term, {task.id: "bench" for task in tasks})
        took.append(time.perf_counter() - began)
        async with database.connection() as connection:
            await connection.execute("TRUNCATE task")
    return statistics.median(took)


SPEC: dict[str, Any] = {
    "tag_list": [f"1902.TT-{n:04d}.PV" for n in range(20)],
    "target_tag_list": [f"1902.TT-{n:04d}.PV" for n in range(20)],
    "resolution": 600.0,
    "aggregation": "mean",
    "interpolation_method": "linear_interpolation",
    "interpolation_limit": 172800.0,
    "row_filter": "",
    "filter_tags": [],
    "model_offset": 0,
    "accepts_nan": False,
    "assets": {},
}
