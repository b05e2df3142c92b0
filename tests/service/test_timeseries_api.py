"""The Timeseries API as source and sink, on the emulator: its limits and errors, and what the original got wrong.

What the original Latigo got wrong with this API, and the test that would notice it here:

======================================= =============================================================================
the status "0": a text, and bad         `test_only_finite_points_are_written_good_and_as_numbers`
names kept as not found, for a day      `test_unknown_tags_are_named_all_at_once_and_found_as_soon_as_they_exist`
new series not kept, so in conflict     `test_series_are_created_once_in_batches_and_written_in_parts`
another facility's series, for writing  `test_predictions_go_to_the_series_of_their_facility`
... and for reading                     `test_a_name_at_several_facilities_is_refused_unless_the_facility_is_given`
points beyond the first page left out   `test_more_points_than_one_answer_holds_come_on_further_pages`
a bare TypeError for an unknown tag     `test_unknown_tags_are_named_all_at_once_and_found_as_soon_as_they_exist`
the asset asked for as a second name    `test_one_request_reads_a_model_once_its_ids_are_known`
infinity written                        `test_only_finite_points_are_written_good_and_as_numbers`
requests to write nothing               `test_only_finite_points_are_written_good_and_as_numbers`
writes of any size                      `test_series_are_created_once_in_batches_and_written_in_parts`
a setting without effect (async)        `test_what_is_written_is_there_when_the_write_has_ended`
no repetitions                          `test_what_passes_is_not_noticed`
no time limits                          `test_a_call_that_takes_too_long_is_given_up`
a look-up for each output column        `test_series_are_created_once_in_batches_and_written_in_parts`
a look-up for each tag of each run      `test_ids_survive_a_restart_in_the_ledger_and_belong_to_their_base_url`
======================================= =============================================================================
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from latigo.domain.errors import Failed, Reason, Rejected, TimedOut, TooLarge, Unavailable
from latigo.domain.fence import Fence
from latigo.domain.model import ModelRef
from latigo.domain.series import Column, Predictions, Series
from latigo.domain.windows import Window, to_ns
from latigo.providers.bad_readings import BadReadings
from latigo.providers.protocols import SensorSample
from latigo.providers.timeseries import Savings, TimeseriesSensors, open_sensors, sharing
from latigo.runtime.clock import SystemClock
from latigo.sandbox.timeseries import FaultKind, Reading, SandboxTimeseries, open_sandbox_timeseries
from latigo.settings import Settings
from latigo.settings import TimeseriesSensors as TimeseriesSettings
from latigo.telemetry.metrics import Metrics
from latigo.wiring.ledger import open_ledger
from latigo.wiring.resources import open_resources
from tests.support.entra import CREDENTIAL, Directory, directory
from tests.support.prediction_stores import timeseries_predictions
from tests.support.sensor_sources import fill_timeseries
from tests.support.waiting import eventually

TEN = datetime(2026, 3, 1, 10, tzinfo=UTC)
HOUR = Window(TEN, TEN + timedelta(hours=1))
PLENTY = 10**8
FENCE = Fence(incarnation=1, epoch=1, task_id=1, claim=1)
PUMP = ModelRef("plant", "pump")
LOGIN: dict[str, Any] = {**CREDENTIAL, "token": None}
TAGS = tuple(f"1903.R{number}" for number in range(1, 6))


@pytest.fixture
async def server() -> AsyncIterator[SandboxTimeseries]:
    async with open_sandbox_timeseries() as running:
        yield running


def minutes(*values: float, begin: datetime = TEN) -> Series:
    """Readings a minute apart."""
    start, minute = to_ns(begin), 60 * 10**9
    return Series(np.arange(start, start + len(values) * minute, minute), np.array(values, np.float64))


@asynccontextmanager
async def sensors_on(
    server: SandboxTimeseries,
    *,
    bad: BadReadings | None = None,
    database: Any = None,
    savings: Savings | None = None,
    **options: Any,
) -> AsyncIterator[TimeseriesSensors]:
    section = TimeseriesSettings(**{"url": server.url, "token": SecretStr("a-token"), **options})
    async with open_sensors(section, SystemClock(), bad, database, savings) as sensors:
        yield sensors


async def read(sensors: TimeseriesSensors, tags: Sequence[str] = TAGS, window: Window = HOUR) -> dict[str, list[float]]:
    readings = await sensors.get_data_for_range(tags, window, max_bytes=PLENTY)
    return {tag: series.values.tolist() for tag, series in readings.items()}


def each_of(tags: Sequence[str], values: list[float]) -> dict[str, list[float]]:
    return dict.fromkeys(tags, values)


def predicted(rows: Sequence[Sequence[float]], *columns: Column, model: ModelRef = PUMP) -> Predictions:
    times = minutes(*range(len(rows))).times
    return Predictions(model, "1", times, columns or (Column("model-output", TAGS[0]),), np.array(rows, np.float64))


async def test_one_request_reads_a_model_once_its_ids_are_known(server: SandboxTimeseries) -> None:
    fill_timeseries(server, {tag: minutes(1, 2, 3) for tag in TAGS})
    async with sensors_on(server) as sensors:
        first = await read(sensors)
        second = await read(sensors)

    assert first == second == each_of(TAGS, [1, 2, 3])
    assert server.controls.count("/query/data") == 2
    assert server.controls.count("/", "GET") == 1 + len(TAGS)  # the facility of the first tag, and each at it
    asked = [list(request.query["name"]) for request in server.controls.requests[:6]]
    assert sorted(asked) == sorted([[TAGS[0]], *([tag] for tag in TAGS)])


async def test_tasks_that_run_together_share_requests_and_read_the_same_once(server: SandboxTimeseries) -> None:
    fill_timeseries(server, {f"1903.T{number}": minutes(number) for number in range(40)})
    models = [tuple(f"1903.T{(first + step) % 40}" for step in range(10)) for first in range(40)]
    savings = Savings()
    async with sensors_on(server, savings=savings, facility="1903") as sensors:
        await asyncio.gather(*(read(sensors, tags) for tags in models))
        before = server.controls.count("/query/data")
        answers = await asyncio.gather(*(read(sensors, tags) for tags in models))

    assert [answer[f"1903.T{number}"] for number, answer in enumerate(answers)] == [[number] for number in range(40)]
    assert server.controls.count("/query/data") - before <= 2  # 40 ids; what waits goes together
    assert server.controls.count("/", "GET") == 40
    assert server.controls.most_in_flight <= 4
    assert (savings.asked, savings.alone) == (800, 80)
    sent = [request.body for request in server.controls.requests if request.path == "/query/data"]
    assert savings.saved_requests() == 80 - len(sent)
    assert savings.saved_reads() == 800 - sum(map(len, sent)) >= 800 - 160


async def test_metrics_have_what_sharing_saves(server: SandboxTimeseries, ledger_url: str) -> None:
    fill_timeseries(server, {tag: minutes(1) for tag in TAGS})
    settings = Settings.model_validate(
        {
            "ledger": {"kind": "postgres", "url": ledger_url},
            "models": {"url": "http://127.0.0.1:1", "projects": ["plant"]},
            "sensors": {"kind": "timeseries_api", "url": server.url, "token": "a-token", "facility": "1903"},
        }
    )
    registry = CollectorRegistry()
    async with open_resources(settings, metrics=Metrics(registry, SystemClock())) as opened:
        await opened.sensors.get_data_for_range(TAGS, HOUR, max_bytes=PLENTY)  # their ids are known from now on
        answers = await asyncio.gather(
            *(opened.sensors.get_data_for_range(TAGS[first:], HOUR, max_bytes=PLENTY) for first in range(3))
        )

    assert [len(readings) for readings in answers] == [5, 4, 3]
    assert registry.get_sample_value("latigo_saved_reads") == 5 + 4 + 3 - 5
    assert registry.get_sample_value("latigo_saved_requests") == 3 - 1


async def test_only_good_readings_are_used_and_the_others_counted(server: SandboxTimeseries) -> None:
    fill_timeseries(server, {"1903.R1": minutes(1, 2)})
    stored = server.store.named("1903.R1", "1903")
    assert stored is not None
    stored.write([Reading(to_ns(TEN + timedelta(seconds=30)), 9.0, 0), Reading(to_ns(TEN) + 1000, 8.0, 64)])
    bad = BadReadings(SystemClock())
    async with sensors_on(server, bad=bad) as strict, sensors_on(server, good=[192, 64]) as lenient:
        good, more = await read(strict, ["1903.R1"]), await read(lenient, ["1903.R1"])

    assert (good, more) == ({"1903.R1": [1, 2]}, {"1903.R1": [1, 8, 2]})
    assert [(count.tag, count.readings, count.example) for count in bad.counts()] == [
        ("1903.R1", 2, "2026-03-01 10:00:00: status 64")
    ]


async def test_a_sample_counts_the_newest_day_and_names_the_first_and_last_times(server: SandboxTimeseries) -> None:
    begin = TEN - timedelta(days=400)
    empty = Series.empty()
    fill_timeseries(server, {"1903.R1": minutes(1, 2, begin=begin), "1903.R2": empty})
    fill_timeseries(server, {"1904.R3": minutes(7)}, "1904")
    stored = server.store.named("1903.R1", "1903")
    assert stored is not None
    stored.write([Reading(to_ns(TEN), 9.0, 192), Reading(to_ns(TEN + timedelta(seconds=1)), 9.0, 64)])
    bad = BadReadings(SystemClock())
    async with sensors_on(server, bad=bad) as sensors:
        found = await sensors.sample(["1903.R1", "1903.R2", "1904.R3"])

    assert list(found.sensors) == [
        SensorSample("1903.R1", 1, begin, TEN + timedelta(seconds=1)),
        SensorSample("1903.R2", 0),
        SensorSample("1904.R3", 1, TEN, TEN),
    ]
    assert not found.notes
    assert [(count.tag, count.readings) for count in bad.counts()] == [("1903.R1", 1)]


async def test_more_points_than_one_answer_holds_come_on_further_pages(server: SandboxTimeseries) -> None:
    server.controls.most_points = 1000
    values = list(range(3600))
    times = to_ns(TEN) + np.arange(3600) * 10**9
    fill_timeseries(server, {tag: Series(times, np.array(values, np.float64)) for tag in TAGS[:2]})
    async with sensors_on(server) as sensors:
        assert await read(sensors, TAGS[:2]) == each_of(TAGS[:2], [float(value) for value in values])
        with pytest.raises(TooLarge):
            await sensors.get_data_for_range(TAGS[:2], HOUR, max_bytes=1000)


async def test_lists_of_series_are_read_to_their_end(server: SandboxTimeseries) -> None:
    server.controls.page_size = 7
    fill_timeseries(server, {f"1903.T{number:02}": minutes(1) for number in range(30)})
    fill_timeseries(server, {"1904.T": minutes(1)}, "1904")
    async with sensors_on(server) as everywhere, sensors_on(server, facility="gra") as here:
        assert len(await everywhere.get_sensor_list()) == 31
        assert await here.get_sensor_list() == [f"1903.T{number:02}" for number in range(30)]
        assert [await here.sensor_exists(name) for name in ("1903.T00", "1904.T")] == [True, False]


async def test_unknown_tags_are_named_all_at_once_and_found_as_soon_as_they_exist(server: SandboxTimeseries) -> None:
    fill_timeseries(server, {TAGS[0]: minutes(1)})
    async with sensors_on(server) as sensors:
        with pytest.raises(Rejected) as raised:
            await read(sensors, TAGS[:3])
        fill_timeseries(server, {tag: minutes(2) for tag in TAGS[1:3]})

        assert await read(sensors, TAGS[:3]) == {TAGS[0]: [1], TAGS[1]: [2], TAGS[2]: [2]}

    assert raised.value.reason is Reason.UNKNOWN_SENSOR
    assert all(repr(tag) in str(raised.value) for tag in TAGS[1:3])


@pytest.mark.parametrize("mode", ["omit", "refuse"])
async def test_tags_that_may_not_be_read_are_named_and_the_others_are_read(
    server: SandboxTimeseries, mode: Any
) -> None:
    fill_timeseries(server, {tag: minutes(1) for tag in TAGS})
    server.controls.unknown_ids = mode
    async with sensors_on(server) as sensors:
        await read(sensors)
        for tag in TAGS[3:]:
            gone = server.store.named(tag, "1903")
            assert gone is not None
            server.store.remove(gone.id)
        with pytest.raises(Rejected) as raised:
            await read(sensors)
        others = await read(sensors, TAGS[:3])

    assert raised.value.reason is Reason.UNKNOWN_SENSOR
    assert all(repr(tag) in str(raised.value) for tag in TAGS[3:])
    assert others == each_of(TAGS[:3], [1])


async def test_a_tag_that_is_forbidden_is_named_and_is_no_alarm_for_all(server: SandboxTimeseries) -> None:
    fill_timeseries(server, {tag: minutes(1) for tag in TAGS})
    server.controls.unknown_ids = "refuse"
    server.controls.forbidden_ids = {series.id for tag in TAGS[3:] if (series := server.store.named(tag, "1903"))}
    async with sensors_on(server) as sensors:
        with pytest.raises(Rejected) as raised:
            await read(sensors)
        others = await read(sensors, TAGS[:3])

    assert (raised.value.reason, raised.value.tags) == (Reason.UNKNOWN_SENSOR, TAGS[3:])
    assert "No access" in str(raised.value)
    assert others == each_of(TAGS[:3], [1])


def forbid(server: SandboxTimeseries, tags: Sequence[str]) -> None:
    server.controls.unknown_ids = "refuse"
    server.controls.forbidden_ids = {series.id for tag in tags if (series := server.store.named(tag, "1903"))}


async def test_a_model_whose_tags_are_all_forbidden_is_its_own_failure_while_others_are_read(
    server: SandboxTimeseries,
) -> None:
    fill_timeseries(server, {tag: minutes(1) for tag in TAGS})
    forbid(server, TAGS[2:])
    async with sensors_on(server) as sensors:
        with pytest.raises(Unavailable) as nothing_known:
            await read(sensors, TAGS[2:])
        await read(sensors, TAGS[:2])
        with pytest.raises(Rejected) as own:
            await read(sensors, TAGS[2:])
        forbid(server, TAGS)
        with pytest.raises(Unavailable) as of_all:
            await read(sensors, TAGS[2:])

    assert nothing_known.value.alarm
    assert (own.value.reason, own.value.tags) == (Reason.UNKNOWN_SENSOR, TAGS[2:])
    assert of_all.value.alarm


async def test_an_identity_that_may_read_nothing_is_known_after_few_requests(server: SandboxTimeseries) -> None:
    tags = tuple(f"1903.T{number}" for number in range(100))
    fill_timeseries(server, {tag: minutes(1) for tag in tags})
    forbid(server, tags)
    async with sensors_on(server) as sensors:
        with pytest.raises(Unavailable) as raised:
            await read(sensors, tags)

    assert raised.value.alarm
    assert server.controls.count("/query/data") == 1 + 2 + sharing.PROBES


@pytest.mark.parametrize("mode", ["omit", "refuse"])
async def test_a_series_that_was_made_again_is_found_by_its_new_id(server: SandboxTimeseries, mode: Any) -> None:
    fill_timeseries(server, {tag: minutes(1) for tag in TAGS})
    server.controls.unknown_ids = mode
    async with sensors_on(server) as sensors:
        await read(sensors)
        old = server.store.named(TAGS[1], "1903")
        assert old is not None
        server.store.remove(old.id)
        fill_timeseries(server, {TAGS[1]: minutes(7)})

        assert await read(sensors) == {**each_of(TAGS, [1]), TAGS[1]: [7]}


async def test_a_name_at_several_facilities_is_refused_unless_the_facility_is_given(server: SandboxTimeseries) -> None:
    fill_timeseries(server, {"R": minutes(1)}, "1903")
    fill_timeseries(server, {"R": minutes(2)}, "1904")
    async with sensors_on(server) as unclear, sensors_on(server, facility="1904") as clear:
        with pytest.raises(Rejected, match="several facilities: 1903, 1904; set facility"):
            await read(unclear, ["R"])

        assert await read(clear, ["R"]) == {"R": [2]}


async def test_a_model_has_one_facility_also_where_only_some_of_its_tags_are_read(server: SandboxTimeseries) -> None:
    for place, value in (("1903", 1), ("1904", 2)):
        fill_timeseries(server, {"R": minutes(value), "S": minutes(value + 10), f"{place}.T": minutes(0)}, place)
    end = TEN + timedelta(hours=1)
    async with sensors_on(server) as sensors:
        await read(sensors, ["1904.T", "R"])
        before = len(server.controls.requests)
        last = await sensors.get_last_before(["R"], end, TEN)
        requests = len(server.controls.requests) - before
        await read(sensors, ["1904.T", "R", "S"])
        await read(sensors, ["1903.T", "S"])
        of_both = await sensors.get_last_before(["R", "S"], end, TEN)
        with pytest.raises(Rejected, match="several facilities: 1903, 1904; set facility"):
            await sensors.get_last_before(["S"], end, TEN)

    assert ({tag: point.value for tag, point in last.items()}, requests) == ({"R": 2}, 1)
    assert {tag: point.value for tag, point in of_both.items()} == {"R": 2, "S": 12}


async def test_a_name_at_several_facilities_exists_and_is_left_out_of_a_sample(server: SandboxTimeseries) -> None:
    for place in ("1903", "1904"):
        fill_timeseries(server, {"R": minutes(1)}, place)
    fill_timeseries(server, {"1903.T": minutes(1)})
    async with sensors_on(server) as sensors:
        assert await sensors.sensor_exists("R")
        found = await sensors.sample(["1903.T", "R"])

    assert [each.tag for each in found.sensors] == ["1903.T"]
    assert list(found.notes) == [
        "R: the Timeseries API has 'R' at several facilities: 1903, 1904; set facility",
    ]


async def test_a_facility_without_series_is_named(server: SandboxTimeseries) -> None:
    async with sensors_on(server, facility="1903") as sensors:
        with pytest.raises(Unavailable, match="'1903' of the settings; it has no series at all"):
            await sensors.ping()
    fill_timeseries(server, {TAGS[0]: minutes(1)})
    fill_timeseries(server, {"1904.T": minutes(1)}, "1904")
    async with sensors_on(server, facility="9999") as wrong, sensors_on(server, facility="gra") as other_code:
        with pytest.raises(Unavailable, match="'9999' of the settings; it has series at '1903', '1904'"):
            await wrong.ping()
        with pytest.raises(Rejected, match="at the facility 9999"):
            await read(wrong)
        assert await other_code.ping() == "2 tags"
    async with (
        timeseries_predictions(server, facility="1903") as store,
        timeseries_predictions(server, facility="9999") as misplaced,
    ):
        assert await store.ping([]) == "can be read"
        assert (await misplaced.ping([])).startswith("can be read, but has no series at the facility '9999'")


@pytest.mark.parametrize("path", ["/", "/query/data/latest"])
async def test_a_refusal_that_nobody_expects_is_no_bug_of_ours(server: SandboxTimeseries, path: str) -> None:
    fill_timeseries(server, {tag: minutes(1) for tag in TAGS})
    server.controls.fault(FaultKind.STATUS, path=path, status=400, times=99)
    async with sensors_on(server) as sensors:
        with pytest.raises(Failed, match="status 400: Fault"):
            await sensors.get_last_before(TAGS, TEN, TEN - timedelta(days=1))


async def test_the_last_reading_before_a_time_is_good_and_before_it(server: SandboxTimeseries) -> None:
    fill_timeseries(server, {TAGS[0]: minutes(1, 2, 3), TAGS[1]: minutes(5), TAGS[2]: Series.empty()})
    stored = server.store.named(TAGS[0], "1903")
    assert stored is not None
    stored.write([Reading(to_ns(TEN + timedelta(seconds=90)), 9.0, 0)])
    async with sensors_on(server) as sensors:
        at = TEN + timedelta(minutes=2)
        found = await sensors.get_last_before(TAGS[:3], at, TEN - timedelta(days=1))
        recent = await sensors.get_last_before(TAGS[:3], at, TEN + timedelta(seconds=1))

    assert {tag: point.value for tag, point in found.items()} == {TAGS[0]: 2, TAGS[1]: 5}
    assert {tag: point.value for tag, point in recent.items()} == {TAGS[0]: 2}


FAULTS: dict[str, dict[str, Any]] = {
    "rate limit": {"kind": FaultKind.GATEWAY, "status": 429, "retry_after": 1},
    "rate limit without a time": {"kind": FaultKind.STATUS, "status": 429, "retry_after": 0},
    "backend": {"kind": FaultKind.EMPTY, "status": 502},
    "database": {"kind": FaultKind.STATUS, "status": 500, "times": 2},
    "too early": {"kind": FaultKind.STATUS, "status": 425},
    "hang up": {"kind": FaultKind.HANG_UP, "times": 2},
    "cut short": {"kind": FaultKind.TRUNCATE},
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_what_passes_is_not_noticed(server: SandboxTimeseries, fault: dict[str, Any]) -> None:
    fill_timeseries(server, {tag: minutes(1, 2) for tag in TAGS})
    met = [server.controls.fault(path=path, **fault) for path in ("/", "/query/data", "/getoradd", "/data")]
    async with sensors_on(server) as sensors, timeseries_predictions(server, facility=None) as store:
        readings = await read(sensors)
        written = await store.put_predictions(predicted([[1.5], [2.5]]), FENCE)
        (stored,) = await store.get_predictions(PUMP, HOUR)

    assert readings == each_of(TAGS, [1, 2])
    assert (len(written), stored.values.tolist()) == (2, [[1.5], [2.5]])
    assert [each.met for each in met] == [each.times for each in met]


async def test_a_rate_limit_holds_back_every_request_as_long_as_it_asks(server: SandboxTimeseries) -> None:
    fill_timeseries(server, {tag: minutes(1) for tag in TAGS})
    async with sensors_on(server, facility="1903") as sensors:
        await read(sensors)
        server.controls.fault(FaultKind.GATEWAY, status=429, retry_after=2)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.gather(
            *(read(sensors, [tag], Window(TEN, TEN + timedelta(minutes=m))) for m in range(1, 9) for tag in TAGS)
        )

        assert loop.time() - began >= 2


async def test_a_longer_rate_limit_is_told_to_the_tasks(server: SandboxTimeseries) -> None:
    fill_timeseries(server, {tag: minutes(1) for tag in TAGS})
    async with sensors_on(server, facility="1903") as sensors:
        await read(sensors)
        server.controls.fault(FaultKind.GATEWAY, status=429, retry_after=600)
        with pytest.raises(Unavailable, match="limits the rate") as raised:
            await read(sensors)

    assert raised.value.retry_after is not None
    assert timedelta(minutes=9) < raised.value.retry_after <= timedelta(minutes=10)
    assert not raised.value.alarm


@pytest.mark.parametrize(("status", "alarm"), [(503, False), (401, True), (403, True)])
async def test_what_does_not_pass_is_unavailable(server: SandboxTimeseries, status: int, alarm: bool) -> None:
    fill_timeseries(server, {tag: minutes(1) for tag in TAGS})
    server.controls.fault(FaultKind.STATUS, status=status, times=99)
    async with sensors_on(server) as sensors:
        with pytest.raises(Unavailable, match=f"status {status}: Fault .trace id ") as raised:
            await read(sensors)

    assert raised.value.alarm is alarm


async def test_ids_survive_a_restart_in_the_ledger_and_belong_to_their_base_url(
    server: SandboxTimeseries, ledger_url: str
) -> None:
    fill_timeseries(server, {tag: minutes(1) for tag in TAGS})
    ledger = Settings.model_validate({"ledger": {"kind": "postgres", "url": ledger_url}})
    async with open_ledger(ledger) as database, open_sandbox_timeseries() as another:
        fill_timeseries(another, {tag: minutes(2) for tag in TAGS})
        async with sensors_on(server, database=database, facility="1903") as sensors:
            await read(sensors)
        asked = server.controls.count("/", "GET")
        async with (
            sensors_on(server, database=database, facility="1903") as sensors,
            sensors_on(another, database=database, facility="1903") as others,
        ):
            again, elsewhere = await read(sensors), await read(others)

    assert again == each_of(TAGS, [1])
    assert elsewhere == each_of(TAGS, [2])
    assert server.controls.count("/", "GET") == asked == len(TAGS)


async def test_predictions_are_series_of_the_original_names(server: SandboxTimeseries) -> None:
    fill_timeseries(server, {tag: minutes(1) for tag in TAGS})
    columns = (Column("model-output", TAGS[0]), Column("total-anomaly-scaled", ""), Column("a|b", TAGS[1]))
    async with timeseries_predictions(server, facility=None) as store:
        await store.put_predictions(predicted([[1, 2, 3]], *columns, model=ModelRef("plant", "p|1")), FENCE)

    made = [stored for stored in server.store if stored.document["source"] == "IOC"]
    assert [(stored.name, stored.document["facility"], stored.document["description"]) for stored in made] == [
        ("1903.R1|p-1|model-output", "1903", "Gordo model-output - 1903.R1"),
        ("1903.INDICATOR|p-1|total-anomaly-scaled", "1903", "Gordo total-anomaly-scaled - "),
        ("1903.R2|p-1|a-b", "1903", "Gordo a|b - 1903.R2"),
    ]
    assert all(stored.document["step"] is True and stored.document["unit"] == "" for stored in made)


async def test_only_finite_points_are_written_good_and_as_numbers(server: SandboxTimeseries) -> None:
    columns = (Column("model-output", TAGS[0]), Column("model-output", TAGS[1]), Column("model-output", TAGS[2]))
    async with timeseries_predictions(server) as store:
        rows = [[1.5, np.inf, np.nan], [np.nan, np.nan, np.nan], [-np.inf, 2.5, np.nan]]
        written = await store.put_predictions(predicted(rows, *columns), FENCE)
        nothing = await store.put_predictions(predicted([[np.nan, np.inf, np.nan]], *columns), FENCE)

    (sent,) = [request.body["items"] for request in server.controls.requests if request.path == "/data"]
    assert [[(point["value"], point["status"]) for point in item["datapoints"]] for item in sent] == [
        [(1.5, 192)],
        [(2.5, 192)],
    ]
    assert [point["time"] for item in sent for point in item["datapoints"]] == [
        "2026-03-01T10:00:00.000000Z",
        "2026-03-01T10:02:00.000000Z",
    ]
    assert (len(written), len(nothing)) == (2, 0)
    assert len(server.store) == 2


async def test_series_are_created_once_in_batches_and_written_in_parts(server: SandboxTimeseries) -> None:
    columns = tuple(Column("model-output", f"1903.T{number}") for number in range(250))
    async with timeseries_predictions(server) as store:
        for _ in range(2):
            await store.put_predictions(predicted([[1.0] * 250] * 60, *columns), FENCE)

    assert server.controls.count("/getoradd") == 3
    assert server.controls.count("/data") == 6  # 250 series are three requests
    sizes = [
        sum(len(item["datapoints"]) for item in request.body["items"])
        for request in server.controls.requests
        if request.path == "/data"
    ]
    assert max(sizes) <= 10_000
    assert sum(sizes) == 30_000


async def test_large_predictions_are_written_some_columns_at_a_time(
    server: SandboxTimeseries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latigo.providers.timeseries.predictions._POINTS_AT_ONCE", 7)
    columns = tuple(Column("model-output", f"1903.T{number}") for number in range(5))
    rows = [[10.0 * row + column for column in range(5)] for row in range(3)]
    async with timeseries_predictions(server) as store:
        written = await store.put_predictions(predicted(rows, *columns), FENCE)

    assert len(written) == 3
    assert server.controls.count("/data") == 3  # of two columns at most
    stored = {each.document["name"]: [point.value for point in each.points.values()] for each in server.store}
    expected = [[10.0 * row + column for row in range(3)] for column in range(5)]
    assert [stored[name] for name in sorted(stored)] == expected


async def test_a_search_that_lags_behind_a_creation_does_no_harm(server: SandboxTimeseries) -> None:
    server.store.search_lag = 5
    async with timeseries_predictions(server) as store:
        for value in (1.0, 2.0):
            assert len(await store.put_predictions(predicted([[value]]), FENCE)) == 1

    assert server.controls.count("/getoradd") == 1
    assert [reading.value for stored in server.store for reading in stored.points.values()] == [2.0]


async def test_a_request_that_is_too_large_is_halved(server: SandboxTimeseries) -> None:
    server.controls.most_bytes = 20_000
    columns = tuple(Column("model-output", f"1903.T{number}") for number in range(7))
    async with timeseries_predictions(server) as store:
        await store.put_predictions(predicted([[float(row)] * 7 for row in range(600)], *columns), FENCE)

    assert {len(stored.points) for stored in server.store} == {600}


async def test_predictions_go_to_a_series_that_was_made_again(server: SandboxTimeseries) -> None:
    async with timeseries_predictions(server) as store:
        await store.put_predictions(predicted([[1.0]]), FENCE)
        (stored,) = server.store
        server.store.remove(stored.id)
        await store.put_predictions(predicted([[2.0]]), FENCE)

    assert [reading.value for stored in server.store for reading in stored.points.values()] == [2.0]


async def test_models_of_one_name_are_kept_apart_by_the_switch(server: SandboxTimeseries) -> None:
    other = ModelRef("other", "pump")
    async with timeseries_predictions(server) as mixed:
        await mixed.put_predictions(predicted([[1.0]]), FENCE)
    async with timeseries_predictions(server, project_in_name=True) as store:
        await store.put_predictions(predicted([[2.0]]), FENCE)
        await store.put_predictions(predicted([[3.0]], model=other), FENCE)
        found = [(await store.get_predictions(model, HOUR))[0].values.tolist() for model in (PUMP, other)]

    assert found == [[[2.0]], [[3.0]]]
    assert sorted(stored.name for stored in server.store) == [
        "1903.R1|other.pump|model-output",
        "1903.R1|plant.pump|model-output",
        "1903.R1|pump|model-output",
    ]


async def test_predictions_go_to_the_series_of_their_facility(server: SandboxTimeseries) -> None:
    fill_timeseries(server, {"1903.R1|pump|model-output": minutes(7)}, "1904")
    async with timeseries_predictions(server, facility="1903") as store:
        await store.put_predictions(predicted([[1.0]]), FENCE)
        await store.put_predictions(predicted([[2.0]]), FENCE)

    assert sorted((stored.document["facility"], stored.points[to_ns(TEN)].value) for stored in server.store) == [
        ("1903", 2.0),
        ("1904", 7.0),
    ]


async def test_what_is_written_is_there_when_the_write_has_ended(server: SandboxTimeseries) -> None:
    async with timeseries_predictions(server) as store:
        await store.put_predictions(predicted([[1.0]]), FENCE)
        there = [len(stored.points) for stored in server.store]

    assert there == [1]
    assert [dict(each.query) for each in server.controls.requests if each.path == "/data"] == [{}]  # without ?async


async def test_a_call_that_takes_too_long_is_given_up(server: SandboxTimeseries) -> None:
    fill_timeseries(server, {tag: minutes(1) for tag in TAGS})
    server.controls.fault(FaultKind.DELAY, "/query/data", seconds=600)
    server.controls.fault(FaultKind.DELAY, "/data", seconds=600)
    async with sensors_on(server, read_timeout=timedelta(seconds=1)) as sensors:
        with pytest.raises(TimedOut, match="POST /query/data"):
            await read(sensors, TAGS[:1])
    async with timeseries_predictions(server, write_timeout=timedelta(seconds=1)) as store:
        with pytest.raises(TimedOut, match="POST /data"):
            await store.put_predictions(predicted([[1.0]]), FENCE)


def test_the_table_of_defects_names_tests_that_exist() -> None:
    named = re.findall(r"`(test_\w+)`", __doc__ or "")

    assert len(named) == 16
    assert set(named) <= set(globals())


async def test_two_columns_of_one_name_are_refused_by_both_their_names(server: SandboxTimeseries) -> None:
    columns = (Column("a|b", TAGS[0]), Column("a-b", TAGS[0]))
    async with timeseries_predictions(server) as store:
        with pytest.raises(Rejected, match=r"'a\|b'.*'a-b'") as raised:
            await store.put_predictions(predicted([[1.0, 2.0]], *columns), FENCE)

    assert raised.value.reason is Reason.WRITE_REFUSED
    assert len(server.store) == 0


async def test_the_headers_of_the_settings_go_with_every_request(server: SandboxTimeseries) -> None:
    fill_timeseries(server, {tag: minutes(1) for tag in TAGS})
    server.controls.required_headers = {"Ocp-Apim-Subscription-Key": "a-key"}
    async with sensors_on(server) as without:
        with pytest.raises(Unavailable, match="missing subscription key") as raised:
            await read(without)
    async with sensors_on(server, headers={"Ocp-Apim-Subscription-Key": SecretStr("a-key")}) as sensors:
        assert await read(sensors) == each_of(TAGS, [1])

    assert raised.value.alarm


@pytest.fixture
async def entra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Directory]:
    async with directory(tmp_path, monkeypatch) as running:
        yield running


class NotRevoked(set[str]):
    """The tokens of a directory, but for those in the set itself."""

    def __init__(self, entra: Directory) -> None:
        super().__init__()
        self._entra = entra

    def __contains__(self, token: object) -> bool:
        return token in self._entra.given and not super().__contains__(token)


async def test_twenty_first_calls_at_once_make_one_request_for_a_token(
    server: SandboxTimeseries, entra: Directory
) -> None:
    fill_timeseries(server, {tag: minutes(1) for tag in TAGS})
    server.controls.accepted_tokens = NotRevoked(entra)
    async with sensors_on(server, **LOGIN) as sensors:
        await asyncio.gather(*(sensors.ping() for _ in range(20)))

    assert (len(entra.given), len(entra.requests)) == (1, 1)


async def test_a_token_that_expires_in_the_middle_of_a_wave_is_not_noticed(
    server: SandboxTimeseries, entra: Directory
) -> None:
    tags = [f"1903.T{number}" for number in range(100)]
    fill_timeseries(server, {tag: minutes(number) for number, tag in enumerate(tags)})
    accepted = server.controls.accepted_tokens = NotRevoked(entra)
    async with sensors_on(server, facility="1903", **LOGIN) as sensors:
        wave = asyncio.gather(*(read(sensors, [tag]) for tag in tags))
        await eventually(lambda: server.controls.count("/") >= 20, what="the wave is in its middle")
        accepted.add(entra.given[-1])
        answers = await wave

    assert answers == [{tag: [number]} for number, tag in enumerate(tags)]
    assert 0 < sum(request.status == 401 for request in server.controls.requests) <= 4  # those that were in flight
    assert len(entra.given) == 2
