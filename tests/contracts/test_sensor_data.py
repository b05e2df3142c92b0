"""What every source of readings promises; the docstrings of `SensorDataProvider`, able to run."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import pytest

from latigo.domain.errors import Reason, Rejected, TooLarge
from latigo.domain.series import Point, Readings, Series
from latigo.domain.windows import Window, to_ns
from tests.support.sensor_sources import SENSOR_SOURCES, SensorSource

TEN = datetime(2026, 3, 1, 10, tzinfo=UTC)
HOUR = Window(TEN, TEN + timedelta(hours=1))
PLENTY = 10**8
TEMPERATURE, PRESSURE, SILENT = "GRA-TT-001", "GRA-PT-002", "GRA-XX-003"


class Opens:
    """Opens the source under test on readings."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._open = partial(SENSOR_SOURCES[request.param], request)

    def __call__(self, readings: Readings) -> AbstractAsyncContextManager[SensorSource]:
        return self._open(readings)


@pytest.fixture(params=SENSOR_SOURCES)
def opens(request: pytest.FixtureRequest) -> Opens:
    return Opens(request)


def series(*points: tuple[float, float]) -> Series:
    """Readings at minutes after ten."""
    times = [to_ns(TEN + timedelta(minutes=minutes)) for minutes, _ in points]
    return Series(np.array(times, np.int64), np.array([value for _, value in points], np.float64))


def listed(series: Series) -> list[tuple[int, float]]:
    return list(zip(series.times.tolist(), series.values.tolist(), strict=True))


async def test_readings_come_back_in_time_order_and_to_the_last_bit(opens: Opens):
    values = [0.1 + 0.2, 1 / 3, -0.0, 5e-324, 1.7976931348623157e308, 123456789.123456789, 4503599627370497.5]
    written = series(*enumerate(values))

    async with opens({TEMPERATURE: written}) as source:
        read = (await source.get_data_for_range([TEMPERATURE], HOUR, max_bytes=PLENTY))[TEMPERATURE]

    assert read.times.tolist() == written.times.tolist()
    assert [value.hex() for value in read.values.tolist()] == [value.hex() for value in values]
    assert (read.times.dtype.name, read.values.dtype.name) == ("int64", "float64")


async def test_a_window_holds_its_start_and_not_its_end(opens: Opens):
    async with opens({TEMPERATURE: series((-1, 0), (0, 1), (59.99, 2), (60, 3))}) as source:
        read = await source.get_data_for_range([TEMPERATURE], HOUR, max_bytes=PLENTY)

    assert read[TEMPERATURE].values.tolist() == [1, 2]


async def test_every_tag_asked_for_is_in_the_answer_and_no_other(opens: Opens):
    readings = {TEMPERATURE: series((1, 1)), PRESSURE: series((-90, 7), (1, 2)), SILENT: series((-90, 9))}

    async with opens(readings) as source:
        read = await source.get_data_for_range([SILENT, TEMPERATURE], HOUR, max_bytes=PLENTY)

    assert set(read) == {SILENT, TEMPERATURE}
    assert listed(read[SILENT]) == []
    assert listed(read[TEMPERATURE]) == listed(series((1, 1)))


async def test_no_tags_is_no_readings(opens: Opens):
    async with opens({TEMPERATURE: series((1, 1))}) as source:
        assert dict(await source.get_data_for_range([], HOUR, max_bytes=PLENTY)) == {}


async def test_unknown_tags_are_rejected_by_name(opens: Opens):
    async with opens({TEMPERATURE: series((1, 1))}) as source:
        with pytest.raises(Rejected, match="NO-SUCH-TAG") as refused:
            await source.get_data_for_range([TEMPERATURE, "NO-SUCH-TAG"], HOUR, max_bytes=PLENTY)

    assert refused.value.reason is Reason.UNKNOWN_SENSOR
    assert TEMPERATURE not in str(refused.value)


async def test_tags_that_report_at_times_of_their_own_do_not_mix(opens: Opens):
    readings = {TEMPERATURE: series((1, 1), (3, 3)), PRESSURE: series((2, 20), (3, 30), (4, 40))}

    async with opens(readings) as source:
        read = await source.get_data_for_range([TEMPERATURE, PRESSURE], HOUR, max_bytes=PLENTY)

    assert {tag: listed(read[tag]) for tag in readings} == {tag: listed(readings[tag]) for tag in readings}


async def test_more_than_the_budget_is_refused_and_just_enough_is_not(opens: Opens):
    readings = {TEMPERATURE: series(*((n / 2, n) for n in range(60))), PRESSURE: series(*((n, n) for n in range(40)))}
    both = [TEMPERATURE, PRESSURE]

    async with opens(readings) as source:
        read = await source.get_data_for_range(both, HOUR, max_bytes=100 * 16)
        with pytest.raises(TooLarge):
            await source.get_data_for_range(both, HOUR, max_bytes=100 * 16 - 1)

    assert sum(len(each) for each in read.values()) == 100


@pytest.mark.parametrize(
    "name",
    ["Volume Flow RateRMS", "a/b=c", 'quote " and \\ slash', "Temperatur °C", "温度", "a.b.c", "it's;so,", "NULL"],
)
async def test_any_tag_name_will_do(opens: Opens, name: str):
    async with opens({name: series((1, 1)), name + "x": series((1, 2))}) as source:
        read = await source.get_data_for_range([name], HOUR, max_bytes=PLENTY)

    assert listed(read[name]) == listed(series((1, 1)))


async def test_many_may_read_at_once(opens: Opens):
    readings = {f"TAG-{n}": series(*((minute, n * minute) for minute in range(60))) for n in range(5)}

    async with opens(readings) as source:
        answers = await asyncio.gather(
            *(source.get_data_for_range([tag], HOUR, max_bytes=PLENTY) for tag in readings for _ in range(4))
        )

    for answer in answers:
        ((tag, read),) = answer.items()
        assert listed(read) == listed(readings[tag])


async def look_back(source: SensorSource, tags: Sequence[str], hours: float = 1) -> dict[str, Point]:
    return dict(await source.get_last_before(tags, TEN, TEN - timedelta(hours=hours)))


async def test_looking_back_finds_the_last_reading_before_a_time(opens: Opens):
    readings = {TEMPERATURE: series((-30, 1), (-20, 2), (0, 3)), PRESSURE: series((-50, 7))}

    async with opens(readings) as source:
        last = await look_back(source, [TEMPERATURE, PRESSURE])

    assert last in (
        {
            TEMPERATURE: (to_ns(TEN - timedelta(minutes=20)), 2.0),
            PRESSURE: (to_ns(TEN - timedelta(minutes=50)), 7.0),
        },
        {},  # a source that cannot look back
    )


async def test_looking_back_goes_no_further_than_asked_but_just_as_far(opens: Opens):
    readings = {TEMPERATURE: series((-60, 1)), PRESSURE: series((-60.01, 2)), SILENT: series((5, 3))}

    async with opens(readings) as source:
        last = await look_back(source, list(readings))

    assert set(last) <= {TEMPERATURE}


async def test_looking_back_takes_finite_readings_only(opens: Opens):
    async with opens({TEMPERATURE: series((-30, 1), (-20, np.inf), (-10, np.nan))}) as source:
        last = await look_back(source, [TEMPERATURE])

    assert last in ({TEMPERATURE: (to_ns(TEN - timedelta(minutes=30)), 1.0)}, {})


async def test_what_the_source_would_be_asked_can_be_shown(opens: Opens):
    async with opens({TEMPERATURE: series((1, 1))}) as source:
        await source.get_data_for_range([TEMPERATURE], HOUR, max_bytes=PLENTY)

        shown = source.get_native_range_specifier(HOUR, {"tag": TEMPERATURE})

    assert shown.strip()


async def test_its_circuit_has_a_name(opens: Opens):
    async with opens({TEMPERATURE: series((1, 1))}) as source:
        assert source.downstream.startswith("sensors/")
