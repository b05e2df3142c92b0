"""One model over time, over HTTP: its states, its predictions and its readings."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from aiohttp import ClientSession

from latigo.domain.errors import Unavailable
from latigo.domain.model import ModelRef
from latigo.domain.receipt import Inputs, Receipt
from latigo.domain.series import Column, Predictions, Series
from latigo.domain.windows import DAY, Window, to_ns
from latigo.ledger.protocol import ExecutorInfo
from latigo.postgres.ranges import to_range
from latigo.providers.memory import MemoryPredictions, MemorySensors
from latigo.providers.postgres import PostgresPredictions
from latigo.settings import PostgresSink
from latigo.testing.predictions import FENCE
from tests.support.api import ask, serve_api
from tests.support.build import NOW, an_entry, at, window
from tests.support.clock import ManualClock
from tests.support.ledgers import Ledgers

PUMP = ModelRef("plant", "pump")
TOTAL, CONFIDENCE = Column("total-anomaly-scaled", ""), Column("total-anomaly-confidence", "")
OUT_A, OUT_B = Column("model-output", "a"), Column("model-output", "b")
ODD_A, ODD_B = Column("tag-anomaly-scaled", "a"), Column("tag-anomaly-scaled", "b")
COLUMNS = (OUT_A, OUT_B, ODD_A, ODD_B, TOTAL, CONFIDENCE)
TEN = timedelta(minutes=10)
EIGHT = at("08:00")


class Unreadable(MemoryPredictions):
    """A sink that cannot be read, or cannot be reached."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    async def get_predictions(self, model: ModelRef, window: Window) -> Sequence[Predictions]:  # noqa: ARG002
        raise self.error


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    await ledgers.set_clock(NOW)
    await ledgers.scheduler.acquire_lease("scheduler-1", timedelta(days=1))
    await ledgers.executor.register(ExecutorInfo("executor-1", "test", 1, 1, 8))
    await ledgers.models.put_models([an_entry("pump"), an_entry("fan")])
    return ledgers


@pytest.fixture
def sink(ledger: Ledgers) -> PostgresPredictions:
    return PostgresPredictions(ledger.database.pool, PostgresSink())


@pytest.fixture
async def client(ledger: Ledgers, sink: PostgresPredictions) -> AsyncIterator[ClientSession]:
    async with serve_api(ledger, ManualClock(NOW), stores=[sink], readings=readings()) as session:
        yield session


def readings() -> MemorySensors:
    times = np.array([to_ns(at("11:00") + timedelta(seconds=second)) for second in range(0, 3600, 10)], np.int64)
    values = np.sin(np.arange(len(times)))
    values[100] = 50.0
    return MemorySensors(
        {"a": Series(times, values), "b": Series(times[:0], values[:0]), "other": Series(times, values)}
    )


def rows(count: int, start: datetime = EIGHT, revision: str = "1", **changed: float) -> Predictions:
    times = np.array([to_ns(start + number * TEN) for number in range(count)], np.int64)
    values = np.tile([1.0, 2.0, 0.3, 0.4, 0.5, 0.25], (count, 1))
    for place, value in changed.items():
        row, column = place.removeprefix("at_").split("_")
        values[int(row), int(column)] = value
    return Predictions(PUMP, revision, times, COLUMNS, values)


async def predicted(client: ClientSession, **query: Any) -> Any:
    return await ask(
        client, "/predictions/plant/pump", **{"from": "2026-03-01T08:00Z", "to": "2026-03-01T12:00Z", **query}
    )


def column(series: dict[str, Any], wanted: Column, kind: str = "mean") -> list[float | None]:
    place = [tuple(each.values()) for each in series["columns"]].index(tuple(wanted))
    numbers: list[float | None] = series[kind][place]
    return numbers


async def test_few_rows_are_sent_as_they_are_with_gaps_as_null(client: ClientSession, sink: PostgresPredictions):
    await sink.put_predictions(rows(6, at_2_0=np.nan), FENCE)

    series = await predicted(client)

    assert (series["bucket_s"], series["rows"], series["min"], series["source"]) == (None, 6, [], "sink/postgres")
    assert series["time"] == [1000 * (at("08:00").timestamp() + 600 * number) for number in range(6)]
    assert column(series, OUT_A) == [1.0, 1.0, None, 1.0, 1.0, 1.0]
    assert series["columns"][:2] == [{"group": group, "tag": ""} for group in (TOTAL.group, CONFIDENCE.group)]
    assert series["thresholds"] == {"total-anomaly-scaled": 2.0}
    assert series["shares"] == [{"tag": "b", "share": 0.64}, {"tag": "a", "share": 0.36}]


async def test_many_rows_become_buckets_in_which_no_peak_is_lost(client: ClientSession, sink: PostgresPredictions):
    await sink.put_predictions(rows(2000, at("00:00", day=1) - 10 * DAY, at_777_0=90.0, at_778_0=-90.0), FENCE)

    series = await predicted(client, **{"from": "-10d", "points": "100"})

    low, high, mean = (column(series, OUT_A, kind) for kind in ("min", "max", "mean"))
    assert len(series["time"]) == len(low) <= 100
    assert (min(low), max(high)) == (-90.0, 90.0)  # type: ignore[type-var]
    starts = np.array(series["time"]) // 1000
    assert set(np.diff(starts)) == {series["bucket_s"]}
    assert not (starts % series["bucket_s"]).any()
    for start, *three in zip(starts, low, mean, high, strict=True):
        own = [
            {777: 90.0, 778: -90.0}.get(row, 1.0)
            for row in range(2000)
            if start <= (at("00:00") - 10 * DAY + row * TEN).timestamp() < start + series["bucket_s"]
            and (at("00:00") - 10 * DAY + row * TEN) >= NOW - 10 * DAY
            and (at("00:00") - 10 * DAY + row * TEN) < at("12:00")
        ]
        assert three == [min(own), pytest.approx(sum(own) / len(own), rel=1e-5), max(own)]


async def test_of_two_revisions_the_newer_one_is_shown_where_both_have_rows(ledger: Ledgers):
    store = MemoryPredictions()
    await store.put_predictions(rows(3, revision="9"), FENCE)
    await store.put_predictions(rows(1, at("08:10"), revision="10", at_0_0=7.0), FENCE)
    async with serve_api(ledger, ManualClock(NOW), stores=[store]) as client:
        assert column(await predicted(client), OUT_A) == [1.0, 7.0, 1.0]


@pytest.mark.parametrize(
    ("query", "columns"),
    [
        ({"columns": "total"}, [TOTAL, CONFIDENCE]),
        ({"columns": "worst1"}, [TOTAL, CONFIDENCE, OUT_B, ODD_B]),
        ({"tag": "a", "group": "model-output"}, [OUT_A]),
        ({"group": "tag-anomaly-scaled"}, [ODD_B, ODD_A]),
        ({"tag": "unknown"}, [TOTAL, CONFIDENCE]),
    ],
)
async def test_columns_are_chosen_those_that_carry_most_first(
    client: ClientSession, sink: PostgresPredictions, query: dict[str, str], columns: list[Column]
):
    await sink.put_predictions(rows(3), FENCE)

    series = await predicted(client, **query)

    assert [Column(**each) for each in series["columns"]] == columns


async def test_tags_are_ranked_by_the_rows_over_the_threshold_where_there_are_any(
    client: ClientSession, sink: PostgresPredictions
):
    await sink.put_predictions(rows(9, at_4_2=3.0, at_4_3=0.0, at_4_5=1.5), FENCE)

    assert (await predicted(client))["shares"] == [{"tag": "a", "share": 1.0}, {"tag": "b", "share": 0.0}]


async def test_an_arrow_stream_has_the_same_numbers(client: ClientSession, sink: PostgresPredictions):
    await sink.put_predictions(rows(500, at("00:00") - 3 * DAY, at_3_0=np.nan), FENCE)
    query = {"from": "-4d", "points": "50"}
    series = await predicted(client, **query)
    headers = {"Accept": "application/vnd.apache.arrow.stream"}
    asked = {"from": "-4d", "to": "2026-03-01T12:00Z", "points": "50"}
    async with client.get("/api/v1/predictions/plant/pump", params=asked, headers=headers) as answer:
        assert answer.content_type == "application/vnd.apache.arrow.stream"
        table = pa.ipc.open_stream(await answer.read()).read_all()

    assert table["time"].cast(pa.int64()).to_pylist() == series["time"]
    assert table["model-output|a|max"].to_pylist() == column(series, OUT_A, "max")
    assert table["total-anomaly-scaled||mean"].to_pylist() == column(series, TOTAL)


async def test_an_arrow_stream_may_have_no_rows(client: ClientSession):
    arrow = {"Accept": "application/vnd.apache.arrow.stream"}
    async with client.get("/api/v1/predictions/plant/pump", headers=arrow) as answer:
        assert answer.status == 200
        assert pa.ipc.open_stream(await answer.read()).read_all().num_rows == 0


async def test_more_numbers_than_memory_is_meant_for_are_refused(
    client: ClientSession, sink: PostgresPredictions, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("latigo.reports.series.PREDICTIONS_OCTETS", 6 * 6 * 8)
    await sink.put_predictions(rows(6), FENCE)
    assert (await predicted(client))["rows"] == 6

    await sink.put_predictions(rows(7), FENCE)
    problem = await ask(client, "/predictions/plant/pump", 400, **{"from": "-23h"})

    assert "less than" in problem["detail"]


async def test_the_first_sink_that_can_be_read_is_read(ledger: Ledgers):
    store = MemoryPredictions()
    await store.put_predictions(rows(2), FENCE)
    down = Unreadable(Unavailable("is down", downstream="sink/influx"))
    for others in ([Unreadable(NotImplementedError())], [down], []):
        async with serve_api(ledger, ManualClock(NOW), stores=[*others, store]) as client:
            assert (await predicted(client))["rows"] == 2


async def test_without_a_sink_that_can_be_read_the_answer_says_so(ledger: Ledgers):
    path = "/predictions/plant/pump"
    async with serve_api(ledger, ManualClock(NOW), stores=[Unreadable(NotImplementedError())]) as client:
        assert "can be read back" in (await ask(client, path, 400))["detail"]
    down = Unreadable(Unavailable("is down", downstream="sink/influx"))
    async with serve_api(ledger, ManualClock(NOW), stores=[down]) as client:
        assert "is down" in (await ask(client, path, 503))["detail"]
    async with serve_api(ledger, ManualClock(NOW)) as client:
        assert "no sink" in (await ask(client, path, 400))["detail"]
        assert "no source" in (await ask(client, "/readings/plant/pump", 503))["detail"]


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/predictions/plant/pmp", 404, "pump"),
        ("/predictions/plant/pump?from=-93d", 400, "92 days"),
        ("/predictions/plant/pump?from=now", 400, "before"),
        ("/predictions/plant/pump?columns=best", 400, "columns"),
        ("/readings/plant/pump?from=-25h", 400, "24 h"),
        ("/readings/plant/pump?tag=other", 400, "other"),
        ("/models/plant/pump/coverage?from=-500d", 400, "400 days"),
        ("/models/plant/none/coverage", 404, "none"),
        ("/cell?project=plant&model=pump&at=soon", 400, "soon"),
    ],
)
async def test_what_cannot_be_asked_is_refused_by_name(client: ClientSession, path: str, status: int, words: str):
    problem = await ask(client, path, status)

    assert words in problem["detail"] + "".join(problem["errors"])


async def test_readings_share_their_buckets_and_a_tag_without_any_is_empty(client: ClientSession):
    asked = {"from": "2026-03-01T11:00Z", "to": "2026-03-01T12:00Z", "points": "40"}
    series = await ask(client, "/readings/plant/pump", **asked)

    twice = await ask(client, "/readings/plant/pump?tag=a&tag=a", **asked)

    assert [each["tag"] for each in series["columns"]] == ["a", "b"]
    assert [each["tag"] for each in twice["columns"]] == ["a"]
    assert (series["bucket_s"], series["rows"]) == (120, 360)
    place = series["time"].index(1000 * at("11:16").timestamp())
    assert (series["max"][0][place], series["max"][0][place - 1] <= 1) == (50.0, True)
    assert series["min"][0][place] == pytest.approx(min(np.sin(np.arange(96, 108))), rel=1e-5)
    assert set(series["mean"][1]) == {None}


# --- states ----------------------------------------------------------------------------------------------------------


async def cover(ledger: Ledgers, *stretches: tuple[str, str], revision: str, late: timedelta) -> None:
    await ledger.fetch("UPDATE coverage SET covered = '{}' FROM model WHERE id = model_id AND name <> 'pump'")
    for start, end in stretches:
        span = window(start, end)
        await ledger.fetch(
            "UPDATE coverage SET covered = covered + tstzmultirange($1)"
            " FROM model WHERE id = model_id AND name = 'pump'",
            to_range(span),
        )
        await ledger.fetch(
            "INSERT INTO task_history (id, model_id, revision, epoch, span, lane, outcome, attempts, starts, covered,"
            " planned_at, settled_at) SELECT 1, id, $1, 1, $2, 'live', 'stored', 0, 1, '30 min', $3, $3"
            " FROM model WHERE name = 'pump'",
            *(revision, to_range(span), span.end + timedelta(minutes=5) + late),
        )


async def test_states_revisions_and_lateness_of_a_model(ledger: Ledgers, client: ClientSession):
    await cover(ledger, ("10:00", "10:30"), ("10:30", "11:00"), revision="1000", late=timedelta(seconds=40))
    await cover(ledger, ("10:30", "11:00"), revision="1001", late=timedelta(minutes=20))

    coverage = await ask(client, "/models/plant/pump/coverage", **{"from": "2026-03-01T09:00Z"})

    def z(clock: str) -> str:
        return f"2026-03-01T{clock}:00Z"

    assert coverage["stretches"] == [
        {"start": z("10:00"), "end": z("11:00"), "state": "covered", "cause": ""},
        {"start": z("11:00"), "end": z("12:00"), "state": "missing", "cause": "waits for its turn"},
    ]
    assert coverage["revisions"] == [
        {"start": z("10:00"), "end": z("10:30"), "revision": "1000"},
        {"start": z("10:30"), "end": z("11:00"), "revision": "1001"},
    ]
    assert coverage["lateness"] == [{"end": z("10:30"), "late_s": 40}, {"end": z("11:00"), "late_s": 40}]
    assert coverage["coarse"] is False


async def test_a_model_in_too_many_pieces_is_shown_coarser(ledger: Ledgers, client: ClientSession):
    await ledger.fetch(
        "UPDATE coverage SET covered = (SELECT range_agg(tstzrange(t, t + interval '1 minute')) FROM"
        " generate_series($1::timestamptz, $1::timestamptz + interval '3 days', '2 minutes') AS t)",
        NOW - 4 * DAY,
    )

    coverage = await ask(client, "/models/plant/pump/coverage", **{"from": "-5d"})

    assert coverage["coarse"] is True
    assert len(coverage["stretches"]) <= 2000
    covered = [each for each in coverage["stretches"] if each["state"] == "covered"]
    assert covered[0]["start"] <= "2026-02-25T12:07:00Z" <= covered[0]["end"]


async def test_a_cell_says_what_the_grid_shows_and_why(ledger: Ledgers, client: ClientSession):
    await cover(ledger, ("10:00", "10:30"), revision="1000", late=timedelta(seconds=40))
    cell = {"project": "plant", "model": "pump"}

    covered = await ask(client, "/cell", **cell, at="2026-03-01T10:10Z")
    missing = await ask(client, "/cell", **cell, at="2026-03-01T11:10Z")
    before = await ask(client, "/cell", **cell, at="2026-02-01T00:00Z")

    assert (covered["state"], covered["code"], covered["task"], covered["revision"]) == ("covered", 1, 1, "1000")
    assert (covered["start"], covered["settled_at"]) == ("2026-03-01T10:00:00Z", "2026-03-01T10:35:40Z")
    assert (missing["state"], missing["cause"], missing["task"]) == ("missing", "waits for its turn", None)
    assert "no predictions for the slot 2026-03-01T11:00:00Z" in missing["text"]
    assert (before["state"], before["cause"]) == ("not_desired", "")


async def settled(ledger: Ledgers, start: datetime, end: datetime, rows_of: tuple[int, int], when: datetime) -> None:
    """A receipt of pump: of three labels, so many rows of a and b had readings of their own."""
    filled = sum(3 - rows for rows in rows_of)
    receipt = Receipt({"read": 3}, 10, Inputs((9, 9), rows_of, 3, filled, 60), ("sink/postgres",)).to_bytes()
    await ledger.fetch(
        "INSERT INTO task_history (id, model_id, revision, epoch, span, lane, outcome, attempts, starts, rows,"
        " planned_at, settled_at, receipt)"
        " SELECT 1, id, '1', 1, $1, 'live', 'stored', 0, 1, 3, $2, $2, $3 FROM model WHERE name = 'pump'",
        *(to_range(Window(start, end)), when, receipt),
    )


@pytest.fixture
async def tags(ledger: Ledgers) -> Sequence[str]:
    (row,) = await ledger.fetch(
        "SELECT tags_of_spec(spec) ->> 0 AS a, tags_of_spec(spec) ->> 1 AS b FROM model LIMIT 1"
    )
    return [str(row["a"]), str(row["b"])]


def rows_of(tags: Sequence[str], count: int, step: timedelta = TEN) -> Predictions:
    columns = tuple(Column("model-output", tag) for tag in tags)
    times = np.array([to_ns(EIGHT + number * step) for number in range(count)], np.int64)
    return Predictions(PUMP, "1", times, columns, np.ones((count, len(tags))))


async def test_what_was_filled_is_what_the_newest_receipt_of_a_window_says(
    client: ClientSession, ledger: Ledgers, sink: PostgresPredictions, tags: Sequence[str]
):
    a, b = tags
    await sink.put_predictions(rows_of(tags, 9), FENCE)
    await settled(ledger, EIGHT, at("08:30"), (0, 0), at("08:36"))
    await settled(ledger, EIGHT, at("08:30"), (3, 1), at("10:00"))
    await settled(ledger, at("08:30"), at("09:00"), (0, 2), at("09:06"))

    filled = (await predicted(client))["filled"]

    assert filled[a] == [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, None, None, None]
    assert filled[b] == pytest.approx([2 / 3] * 3 + [1 / 3] * 3 + [None] * 3, abs=1e-5)


async def test_a_bucket_is_as_filled_as_its_worst_window(
    client: ClientSession, ledger: Ledgers, sink: PostgresPredictions, tags: Sequence[str]
):
    await sink.put_predictions(rows_of(tags, 24), FENCE)
    await settled(ledger, EIGHT, at("08:30"), (3, 0), at("08:36"))
    await settled(ledger, at("08:30"), at("09:00"), (0, 3), at("09:06"))
    await settled(ledger, at("09:00"), at("09:30"), (3, 3), at("09:36"))

    series = await predicted(client, points="5")

    assert series["bucket_s"] == 3600
    assert series["filled"] == {tags[0]: [1.0, 0.0, None, None], tags[1]: [1.0, 0.0, None, None]}


async def test_thresholds_of_tags_are_what_their_confidences_were_made_with(
    client: ClientSession, sink: PostgresPredictions
):
    columns = tuple(Column(group, tag) for group in ("tag-anomaly-unscaled", "anomaly-confidence") for tag in "ab")
    times = np.array([to_ns(EIGHT + number * TEN) for number in range(3)], np.int64)
    values = np.array([[2.0, 0.0, 4.0, 0.0], [1.0, np.nan, 2.0, 1.0], [5.0, 3.0, 10.0, np.nan]])
    await sink.put_predictions(Predictions(PUMP, "1", times, columns, values), FENCE)

    assert (await predicted(client))["tag_thresholds"] == {"a": 0.5}  # of b, no row has both
