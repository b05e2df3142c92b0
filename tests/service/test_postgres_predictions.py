"""What the PostgreSQL sink does beyond what every prediction store promises."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import asyncpg
import numpy as np
import numpy.typing as npt
import pytest
from structlog.testing import capture_logs

from latigo.domain.errors import Failed, Reason, Rejected, TimedOut, Unavailable
from latigo.domain.fence import Fence
from latigo.domain.model import ModelRef
from latigo.domain.series import Column, Predictions
from latigo.domain.task import Lane
from latigo.domain.windows import DAY, Window, to_ns
from latigo.ledger.protocol import Claim, Planned
from latigo.postgres.database import Database
from latigo.postgres.errors import translated_errors
from latigo.providers.postgres import PostgresPredictions
from latigo.providers.postgres.errors import TRANSLATIONS
from latigo.providers.postgres.retention import keep_retention
from latigo.settings import PostgresSink
from latigo.testing.predictions import FENCE
from latigo.wiring.resources import open_sink
from tests.support.build import NOW, an_entry
from tests.support.clock import ManualClock
from tests.support.ledgers import Ledgers, open_ledgers
from tests.support.postgres import execute
from tests.support.prediction_stores import prediction_pool
from tests.support.waiting import eventually

PUMP = ModelRef("plant-a", "pump-1")
A, B, SCORE = Column("model-output", "A"), Column("model-output", "B"), Column("total-anomaly-scaled", "")
MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)
ALWAYS = Window(MIDNIGHT - 400 * DAY, MIDNIGHT + 400 * DAY)

Pool: TypeAlias = asyncpg.Pool


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with prediction_pool(database_url) as pool:
        yield pool


def predictions(
    *rows: list[float],
    columns: tuple[Column, ...] = (A, SCORE),
    start: datetime = MIDNIGHT,
    step: timedelta = timedelta(minutes=10),
    revision: str = "1",
    model: ModelRef = PUMP,
) -> Predictions:
    times = np.array([to_ns(start + number * step) for number in range(len(rows))], np.int64)
    return Predictions(model, revision, times, columns, np.array(rows, np.float64))


async def days(pool: Pool) -> list[str]:
    result = await pool.fetch(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = 'prediction'::regclass ORDER BY 1"
    )
    return [each["relname"] for each in result]


async def test_the_view_shows_one_line_a_finite_point(pool: Pool):
    await PostgresPredictions(pool, PostgresSink()).put_predictions(predictions([1.5, np.nan], [np.inf, 2.5]), FENCE)

    seen = await pool.fetch("SELECT * FROM v_predictions ORDER BY time")

    assert [tuple(each) for each in seen] == [
        ("plant-a", "pump-1", "1", "model-output", "A", MIDNIGHT, 1.5),
        ("plant-a", "pump-1", "1", "total-anomaly-scaled", "", MIDNIGHT + timedelta(minutes=10), 2.5),
    ]


async def test_a_row_is_one_model_and_time_so_a_newer_revision_replaces_all_of_it(pool: Pool):
    store = PostgresPredictions(pool, PostgresSink())
    await store.put_predictions(predictions([1, 2], [3, 4], revision="1"), FENCE)

    await store.put_predictions(predictions([5, 6, 7], columns=(A, B, SCORE), revision="2"), FENCE)

    older, newer = await store.get_predictions(PUMP, ALWAYS)
    assert (older.revision, older.times.tolist()) == ("1", [to_ns(MIDNIGHT + timedelta(minutes=10))])
    assert (newer.revision, newer.values.tolist()) == ("2", [[5, 6, 7]])


async def test_columns_that_change_within_a_revision_are_united(pool: Pool):
    store = PostgresPredictions(pool, PostgresSink())
    await store.put_predictions(predictions([1, 2]), FENCE)

    await store.put_predictions(predictions([3, 4], columns=(B, A), start=MIDNIGHT + timedelta(hours=1)), FENCE)

    (stored,) = await store.get_predictions(PUMP, ALWAYS)
    assert stored.columns == (A, SCORE, B)
    np.testing.assert_array_equal(stored.values, [[1, 2, np.nan], [4, np.nan, 3]])


async def test_more_values_than_a_statement_has_are_written_in_several(pool: Pool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("latigo.providers.postgres.predictions._VALUES_AT_ONCE", 5)
    store = PostgresPredictions(pool, PostgresSink())
    whole = predictions(*([float(number), -float(number)] for number in range(1, 8)))
    newer = predictions([10, 20], start=MIDNIGHT + timedelta(minutes=30))
    await store.put_predictions(newer, FENCE._replace(epoch=FENCE.epoch + 1))

    written = await store.put_predictions(whole, FENCE)

    (stored,) = await store.get_predictions(PUMP, ALWAYS)
    rest = [0, 1, 2, 4, 5, 6]
    assert (written.times.tolist(), written.newer) == (whole.times[rest].tolist(), 1)
    assert stored.times.tolist() == whole.times.tolist()
    assert stored.values[rest].tolist() == whole.values[rest].tolist()
    assert stored.values[3].tolist() == [10, 20]


async def test_of_rows_with_the_same_time_the_last_one_counts(pool: Pool):
    twice = predictions([1, 2], [3, 4], [5, 6], step=timedelta(0))

    assert len(await PostgresPredictions(pool, PostgresSink()).put_predictions(twice, FENCE)) == 1

    (stored,) = await PostgresPredictions(pool, PostgresSink()).get_predictions(PUMP, ALWAYS)
    assert stored.values.tolist() == [[5, 6]]


async def test_writing_the_same_again_does_not_touch_the_row(pool: Pool):
    store = PostgresPredictions(pool, PostgresSink())
    await store.put_predictions(predictions([1, np.nan]), FENCE)
    before = await pool.fetchval("SELECT xmin FROM prediction")

    await store.put_predictions(predictions([1, np.nan]), FENCE)

    assert await pool.fetchval("SELECT xmin FROM prediction") == before


async def test_days_get_their_partition_when_their_first_row_comes(pool: Pool):
    store = PostgresPredictions(pool, PostgresSink())

    await store.put_predictions(predictions([1, 2], [3, 4], start=MIDNIGHT - timedelta(minutes=10)), FENCE)

    assert await days(pool) == ["prediction_20260228", "prediction_20260301"]


async def test_a_backfill_over_thirty_days_by_several_processes_makes_thirty_partitions(pool: Pool):
    processes = [PostgresPredictions(pool, PostgresSink()) for _ in range(4)]
    month = predictions(*([[1.0, 2.0]] * 30), step=DAY)

    written = await asyncio.gather(*(process.put_predictions(month, FENCE) for process in processes))

    assert [each.times.tolist() for each in written] == [month.times.tolist()] * 4
    assert len(await days(pool)) == 30


async def test_a_new_day_does_not_wait_for_those_who_read_the_others(pool: Pool):
    store = PostgresPredictions(pool, PostgresSink(write_timeout=timedelta(seconds=60)))
    await store.put_predictions(predictions([1, 2]), FENCE)

    async with pool.acquire() as reader, reader.transaction():
        await reader.fetch("SELECT * FROM prediction")
        await store.put_predictions(predictions([1, 2], start=MIDNIGHT + DAY), FENCE)

    assert len(await days(pool)) == 2


async def test_old_days_are_dropped_whole_and_the_rest_stays(pool: Pool):
    store = PostgresPredictions(pool, PostgresSink())
    await store.put_predictions(predictions(*([[1.0, 2.0]] * 4), step=DAY), FENCE)

    assert await store.drop_older_than(MIDNIGHT + 2.5 * DAY) == 2

    assert await days(pool) == ["prediction_20260303", "prediction_20260304"]
    (stored,) = await store.get_predictions(PUMP, ALWAYS)
    assert len(stored) == 2
    assert await store.drop_older_than(MIDNIGHT + 2.5 * DAY) == 0


async def test_columns_go_with_the_last_day_that_used_them(pool: Pool):
    store = PostgresPredictions(pool, PostgresSink())
    await store.put_predictions(predictions([1, 2], revision="1"), FENCE)
    await store.put_predictions(predictions([1, 2], revision="2"), FENCE)
    await store.put_predictions(predictions([1, 2], revision="2", start=MIDNIGHT + 3 * DAY), FENCE)

    await store.drop_older_than(MIDNIGHT + 3 * DAY)

    assert [each["revision"] for each in await pool.fetch("SELECT revision FROM prediction_columns")] == ["2"]


async def test_a_day_that_others_dropped_is_made_again(pool: Pool):
    store, sweeper = PostgresPredictions(pool, PostgresSink()), PostgresPredictions(pool, PostgresSink())
    await store.put_predictions(predictions([1, 2]), FENCE)
    await sweeper.drop_older_than(MIDNIGHT + DAY)

    assert len(await store.put_predictions(predictions([3, 4]), FENCE)) == 1

    (stored,) = await store.get_predictions(PUMP, ALWAYS)
    assert stored.values.tolist() == [[3, 4]]


async def test_ids_remembered_from_before_a_restore_never_name_another_model(pool: Pool):
    store = PostgresPredictions(pool, PostgresSink())
    await store.put_predictions(predictions([1, 2]), FENCE)
    await pool.execute("TRUNCATE prediction_series, prediction_columns, prediction RESTART IDENTITY CASCADE")
    other = ModelRef("plant-a", "other")
    await PostgresPredictions(pool, PostgresSink()).put_predictions(predictions([5, 6], model=other), FENCE)

    await store.put_predictions(predictions([3, 4]), FENCE)

    (mine,) = await store.get_predictions(PUMP, ALWAYS)
    (theirs,) = await store.get_predictions(other, ALWAYS)
    assert (mine.values.tolist(), theirs.values.tolist()) == ([[3, 4]], [[5, 6]])


async def test_dropping_waits_a_moment_for_a_reader_and_then_leaves_it_for_the_next_time(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("latigo.providers.postgres.predictions._LOCK_WAIT", "50ms")
    store = PostgresPredictions(pool, PostgresSink())
    await store.put_predictions(predictions([1, 2]), FENCE)

    async with pool.acquire() as reader, reader.transaction():
        await reader.fetch("SELECT * FROM prediction")
        with pytest.raises(TimedOut):
            await store.drop_older_than(MIDNIGHT + DAY)

    assert await store.drop_older_than(MIDNIGHT + DAY) == 1
    assert await days(pool) == []


async def test_writers_do_not_queue_behind_a_drop_that_waits_for_a_reader(pool: Pool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("latigo.providers.postgres.predictions._LOCK_WAIT", "10min")
    store = PostgresPredictions(pool, PostgresSink(write_timeout=timedelta(seconds=60)))
    await store.put_predictions(predictions([1, 2], [3, 4], step=DAY), FENCE)

    async with pool.acquire() as reader:
        await reader.execute("BEGIN; SELECT FROM prediction")
        dropping = asyncio.ensure_future(PostgresPredictions(pool, PostgresSink()).drop_older_than(MIDNIGHT + DAY))
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        await eventually(lambda: reader.fetchval(waiting), what="the drop waits")

        written = await store.put_predictions(predictions([5, 6], start=MIDNIGHT + DAY + timedelta(hours=1)), FENCE)
        await reader.execute("ROLLBACK")

    assert len(written) == 1
    assert await dropping == 1


async def test_what_a_cut_short_drop_left_behind_is_cleared_away(pool: Pool):
    store = PostgresPredictions(pool, PostgresSink())
    await store.put_predictions(predictions([1, 2], [3, 4], step=DAY), FENCE)
    await pool.execute("ALTER TABLE prediction DETACH PARTITION prediction_20260301")

    assert await store.drop_older_than(MIDNIGHT) == 1
    await pool.execute("ALTER TABLE prediction DETACH PARTITION prediction_20260302")
    await PostgresPredictions(pool, PostgresSink()).put_predictions(predictions([5, 6], start=MIDNIGHT + DAY), FENCE)

    (stored,) = await store.get_predictions(PUMP, ALWAYS)
    assert stored.values.tolist() == [[5, 6]]
    assert await pool.fetchval("SELECT to_regclass('prediction_20260301')") is None


async def test_what_is_too_old_goes_at_once_and_every_hour_again(pool: Pool):
    store = PostgresPredictions(pool, PostgresSink())
    await store.put_predictions(predictions([1, 2], [3, 4], [5, 6], step=DAY), FENCE)
    clock, stop = ManualClock(MIDNIGHT + 3 * DAY), asyncio.Event()

    keeping = asyncio.create_task(keep_retention([(store, 2 * DAY)], clock, stop))
    await eventually(lambda: clock.sleepers, what="it has looked")
    at_once = await days(pool)
    clock.jump(DAY)
    await clock.advance(timedelta(hours=1))
    await eventually(lambda: clock.sleepers, what="it has looked again")
    later = await days(pool)
    stop.set()
    await keeping

    assert at_once == ["prediction_20260302", "prediction_20260303"]
    assert later == ["prediction_20260303"]


async def test_while_old_days_cannot_be_dropped_it_is_logged_and_retried(pool: Pool):
    store = PostgresPredictions(pool, PostgresSink())
    await store.put_predictions(predictions([1, 2]), FENCE)
    await pool.execute("ALTER TABLE prediction_columns RENAME TO hidden")
    clock, stop = ManualClock(MIDNIGHT + 3 * DAY), asyncio.Event()

    with capture_logs() as logs:
        keeping = asyncio.create_task(keep_retention([(store, DAY)], clock, stop))
        await eventually(lambda: clock.sleepers, what="it has looked")
        await pool.execute("ALTER TABLE hidden RENAME TO prediction_columns")
        await clock.advance(timedelta(hours=1))
        await eventually(lambda: clock.sleepers, what="it has looked again")
        stop.set()
        await keeping

    assert [log["event"] for log in logs] == ["retention.delayed"]
    assert await pool.fetchval("SELECT count(*) FROM prediction_columns") == 0


async def test_a_thousand_columns_are_no_different(pool: Pool):
    wide = tuple(Column("model-output", f"a rather long name of a tag, as plants have them {n}") for n in range(1000))
    row = np.random.default_rng(1).normal(size=1000).tolist()

    await PostgresPredictions(pool, PostgresSink()).put_predictions(predictions(row, row, columns=wide), FENCE)

    (stored,) = await PostgresPredictions(pool, PostgresSink()).get_predictions(PUMP, ALWAYS)
    assert stored.columns == wide
    assert stored.values.tolist() == [row, row]


async def test_what_the_server_refuses_for_good_is_rejected_naming_the_model(pool: Pool):
    with pytest.raises(Rejected, match="plant-a/pump-1") as refused:
        await PostgresPredictions(pool, PostgresSink()).put_predictions(
            predictions([1, 2], columns=(Column("g", "a\0b"), SCORE)), FENCE
        )

    assert refused.value.reason is Reason.WRITE_REFUSED


async def test_times_that_it_cannot_name_are_rejected(pool: Pool):
    odd = Predictions(PUMP, "1", np.array([1], np.int64), (A,), np.array([[1.0]]))

    with pytest.raises(Rejected, match="microsecond"):
        await PostgresPredictions(pool, PostgresSink()).put_predictions(odd, FENCE)


async def test_a_call_that_waits_too_long_is_timed_out_and_the_connection_goes_on(pool: Pool):
    patient, hasty = (
        PostgresPredictions(pool, PostgresSink()),
        PostgresPredictions(pool, PostgresSink(write_timeout=timedelta(seconds=0.2))),
    )
    await patient.put_predictions(predictions([1, 2]), FENCE)

    async with pool.acquire() as other, other.transaction():
        await other.execute("LOCK TABLE prediction")
        with pytest.raises(TimedOut) as timed_out:
            await hasty.put_predictions(predictions([3, 4]), FENCE)

    assert timed_out.value.downstream == "sink/postgres"
    assert len(await patient.put_predictions(predictions([3, 4]), FENCE)) == 1


async def test_a_server_that_breaks_off_is_unavailable(pool: Pool, postgres_server: str):
    store = PostgresPredictions(pool, PostgresSink())
    await store.put_predictions(predictions([1, 2]), FENCE)
    async with pool.acquire() as held:
        await held.execute("BEGIN; LOCK TABLE prediction")
        writing = asyncio.ensure_future(store.put_predictions(predictions([3, 4]), FENCE))
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        await eventually(lambda: held.fetchval(waiting), what="the writer waits")

        await execute(
            postgres_server,
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted",
        )

        with pytest.raises(Unavailable) as raised:
            await writing
        await held.execute("ROLLBACK")
    assert raised.value.downstream == "sink/postgres"
    assert not raised.value.alarm


async def test_tables_that_are_missing_call_an_operator(database_url: str):
    async with asyncpg.create_pool(database_url, min_size=0, max_size=1) as pool:
        with pytest.raises(Unavailable, match="prediction") as missing:
            await PostgresPredictions(pool, PostgresSink()).put_predictions(predictions([1, 2]), FENCE)

    assert missing.value.alarm


async def test_a_sink_with_a_name_of_its_own_is_called_by_it(pool: Pool):
    async with open_sink(PostgresSink(name="history"), Database(pool, "ledger", timedelta(seconds=1))) as sink:
        assert sink.store.downstream == "sink/history"
        await pool.execute("DROP VIEW v_predictions; DROP TABLE prediction")
        with pytest.raises(Unavailable) as missing:
            await sink.store.put_predictions(predictions([1, 2]), FENCE)

    assert missing.value.downstream == "sink/history"


@pytest.mark.parametrize(
    ("code", "becomes", "alarm"),
    [
        ("53100", Unavailable, True),  # disk full
        ("57P03", Unavailable, False),  # starting up
        ("28P01", Unavailable, True),  # wrong password
        ("25006", Unavailable, False),  # read only: a standby
        ("57014", TimedOut, False),  # statement_timeout
        ("22003", Rejected, None),
        ("42501", Unavailable, True),  # no right to the table
        ("40P01", Failed, None),  # deadlock
        ("P0001", Failed, None),
    ],
)
async def test_what_the_server_says_is_sorted_by_what_to_do_next(
    pool: Pool, code: str, becomes: type[Exception], alarm: bool | None
):
    with (
        pytest.raises(becomes) as raised,
        translated_errors("trying", downstream="sink/postgres", translations=TRANSLATIONS),
    ):
        await pool.execute(f"DO $$ BEGIN RAISE 'no' USING ERRCODE = '{code}'; END $$")

    assert getattr(raised.value, "alarm", None) is alarm
    assert isinstance(raised.value.__cause__, asyncpg.PostgresError)


async def test_a_server_that_is_not_there_is_unavailable():
    async with asyncpg.create_pool("postgresql://x@/x?host=/nonexistent", min_size=0) as pool:
        with pytest.raises(Unavailable):
            await PostgresPredictions(pool, PostgresSink()).put_predictions(predictions([1, 2]), FENCE)


def bits(values: npt.NDArray[np.float64]) -> list[str]:
    return [float(value).hex() for value in values.ravel()]


async def test_values_keep_every_bit(pool: Pool):
    values = np.random.default_rng(2).integers(0, 2**63, size=200, dtype=np.uint64).view(np.float64)
    values = values[np.isfinite(values)]
    columns = tuple(Column("model-output", str(number)) for number in range(len(values)))

    await PostgresPredictions(pool, PostgresSink()).put_predictions(
        predictions(values.tolist(), columns=columns), FENCE
    )

    (stored,) = await PostgresPredictions(pool, PostgresSink()).get_predictions(PUMP, ALWAYS)
    assert bits(stored.values) == bits(values)


# --- a program that does not know who wrote a row ---------------------------------------------------------------------

#: As it was before rows had a fence, for one row of two values.
WRITTEN_BEFORE = """
    INSERT INTO prediction (series_id, time, columns_id, values)
    SELECT series_id, $2::timestamptz, id, $3::float8[] FROM prediction_columns WHERE id = $1
    ON CONFLICT (series_id, time) DO UPDATE SET columns_id = EXCLUDED.columns_id, values = EXCLUDED.values
    WHERE (prediction.columns_id, prediction.values) IS DISTINCT FROM (EXCLUDED.columns_id, EXCLUDED.values)
"""


async def write_as_before(pool: Pool, values: list[float]) -> None:
    """Write the row at midnight as an older program does."""
    columns_id = await pool.fetchval("SELECT max(id) FROM prediction_columns")
    await pool.execute(WRITTEN_BEFORE, columns_id, MIDNIGHT, values)


async def row_at_midnight(pool: Pool) -> tuple[list[float], Fence | None]:
    (row,) = await pool.fetch("SELECT values, incarnation, epoch, task_id, claim FROM prediction")
    values, *fence = row
    return values, None if fence == [None] * 4 else Fence(*fence)


@pytest.fixture
async def ledgers(ledger_url: str) -> AsyncIterator[Ledgers]:
    async with open_ledgers(ledger_url) as ledgers:
        await ledgers.set_clock(NOW)
        yield ledgers


async def claimed(ledgers: Ledgers, window: Window) -> Claim:
    """A claim on a task for this window of `PUMP`, which is known from now on."""
    entry = an_entry(PUMP.name, project=PUMP.project, horizon=DAY)
    await ledgers.models.put_models([entry])
    term = await ledgers.scheduler.acquire_lease("scheduler-1", timedelta(seconds=30))
    assert term is not None
    (need,) = await ledgers.scheduler.needs(30 * DAY)
    assert await ledgers.scheduler.plan(term, [Planned(need.model_id, need.epoch, window, Lane.MANUAL)]) == 1
    (task,) = await ledgers.scheduler.unpublished(term, 10)
    claim = await ledgers.executor.claim(task, "executor-1", timedelta(seconds=30))
    assert claim is not None
    return claim


async def test_a_row_of_an_older_program_is_the_oldest_and_one_of_a_newer_writer_stays(ledgers: Ledgers):
    pool = ledgers.database.pool
    store = PostgresPredictions(pool, PostgresSink())
    await store.put_predictions(predictions([1, 2]), FENCE)
    await pool.execute("DELETE FROM prediction")

    await write_as_before(pool, [3, 4])
    assert await row_at_midnight(pool) == ([3, 4], None)
    await write_as_before(pool, [5, 6])
    assert await row_at_midnight(pool) == ([5, 6], None)
    await store.put_predictions(predictions([7, 8]), FENCE)
    await write_as_before(pool, [9, 10])

    assert await row_at_midnight(pool) == ([7, 8], FENCE)


async def test_an_older_program_that_holds_the_newest_claim_replaces_a_row_and_counts_as_its_writer(ledgers: Ledgers):
    pool = ledgers.database.pool
    store = PostgresPredictions(pool, PostgresSink())
    now = datetime(2026, 3, 1, tzinfo=UTC)
    claim = await claimed(ledgers, Window(now, now + timedelta(hours=1)))
    before = claim.fence._replace(task_id=claim.task_id - 1)
    await store.put_predictions(predictions([1, 2]), before)

    await write_as_before(pool, [3, 4])

    assert await row_at_midnight(pool) == ([3, 4], claim.fence)
    assert len(await store.put_predictions(predictions([5, 6]), before)) == 0


@pytest.mark.parametrize("stands", [False, True], ids=["first", "again"])
async def test_a_newer_program_that_was_overtaken_by_an_older_one_replaces_nothing(ledgers: Ledgers, stands: bool):
    pool = ledgers.database.pool
    store = PostgresPredictions(pool, PostgresSink())
    await store.put_predictions(predictions([1, 2]), FENCE)
    await pool.execute("DELETE FROM prediction")
    if stands:
        await write_as_before(pool, [1, 2])
    claim = await claimed(ledgers, Window(MIDNIGHT, MIDNIGHT + timedelta(hours=1)))
    overtaken = claim.fence._replace(task_id=claim.task_id - 1)

    await write_as_before(pool, [3, 4])

    assert len(await store.put_predictions(predictions([5, 6]), overtaken)) == 0
    assert await row_at_midnight(pool) == ([3, 4], claim.fence)


@pytest.mark.parametrize("hour", [1, -1], ids=["after", "before"])
async def test_a_claim_on_another_window_is_no_excuse_for_an_older_program(ledgers: Ledgers, hour: int):
    pool = ledgers.database.pool
    start = MIDNIGHT + timedelta(hours=hour)
    claim = await claimed(ledgers, Window(start, start + timedelta(hours=1)))
    before = claim.fence._replace(task_id=claim.task_id - 1)
    await PostgresPredictions(pool, PostgresSink()).put_predictions(predictions([1, 2]), before)

    await write_as_before(pool, [3, 4])

    assert await row_at_midnight(pool) == ([1, 2], before)


async def test_a_claim_that_is_older_than_the_row_is_no_excuse_for_an_older_program(ledgers: Ledgers):
    pool = ledgers.database.pool
    claim = await claimed(ledgers, Window(MIDNIGHT, MIDNIGHT + timedelta(hours=1)))
    newer = claim.fence._replace(incarnation=claim.fence.incarnation + 1, epoch=1, task_id=1)
    await PostgresPredictions(pool, PostgresSink()).put_predictions(predictions([1, 2]), newer)

    await write_as_before(pool, [3, 4])

    assert await row_at_midnight(pool) == ([1, 2], newer)
