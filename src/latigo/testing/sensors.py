"""What every source of readings promises; the docstrings of its protocols, able to run."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import pytest_asyncio

from latigo.domain.errors import Reason, Rejected, TooLarge
from latigo.domain.series import Point, Readings, Series
from latigo.domain.windows import Window, to_ns
from latigo.wiring.plugins import shortcomings
from latigo.wiring.resources import SensorSource

OpenSensors = Callable[[Readings], AbstractAsyncContextManager[SensorSource]]

_TEN = datetime(2026, 3, 1, 10, tzinfo=UTC)
_HOUR = Window(_TEN, _TEN + timedelta(hours=1))
_PLENTY = 10**8
_TEMPERATURE, _PRESSURE, _SILENT = "GRA-TT-001", "GRA-PT-002", "GRA-XX-003"
_NAMES = ["b tag", "GRA-TT-001", "gra-tt-001", "Ølstedgård °C"]


@pytest.mark.asyncio
class SensorSourceContract:
    """Every test that a source of readings has to pass; subclass it, with a fixture ``open_sensors`` of your own."""

    @pytest.fixture
    def open_sensors(self) -> OpenSensors:
        """Return a function that opens the source on these readings and no others, as an async context manager.

        The source knows exactly the tags of the readings, those without a reading included.
        """
        raise NotImplementedError("the subclass has to have a fixture open_sensors")

    @pytest_asyncio.fixture
    async def known(self, open_sensors: OpenSensors) -> AsyncIterator[SensorSource]:
        """Yield the source with a reading of a few sensors."""
        async with open_sensors(dict.fromkeys(_NAMES, _series((1, 1)))) as source:
            yield source

    async def test_it_has_what_the_protocol_promises(self, known: SensorSource) -> None:
        assert shortcomings(known, SensorSource) == []

    async def test_a_source_that_can_be_reached_answers_in_a_line(self, known: SensorSource) -> None:
        assert len((await known.ping()).splitlines()) == 1

    async def test_every_sensor_is_listed_once_in_order(self, known: SensorSource) -> None:
        assert list(await known.get_sensor_list()) == sorted(_NAMES)

    @pytest.mark.parametrize("name", _NAMES)
    async def test_a_sensor_that_is_listed_exists(self, known: SensorSource, name: str) -> None:
        assert await known.sensor_exists(name)

    @pytest.mark.parametrize("name", ["GRA-TT-00", "GRA-TT-0011", "Gra-TT-001", "*", "", "b"])
    async def test_only_the_very_name_exists(self, known: SensorSource, name: str) -> None:
        assert not await known.sensor_exists(name)

    async def test_readings_come_back_in_time_order_and_to_the_last_bit(self, open_sensors: OpenSensors) -> None:
        values = [0.1 + 0.2, 1 / 3, -0.0, 5e-324, 1.7976931348623157e308, 123456789.123456789, 4503599627370497.5]
        written = _series(*enumerate(values))

        async with open_sensors({_TEMPERATURE: written}) as source:
            read = (await source.get_data_for_range([_TEMPERATURE], _HOUR, max_bytes=_PLENTY))[_TEMPERATURE]

        assert read.times.tolist() == written.times.tolist()
        assert [value.hex() for value in read.values.tolist()] == [value.hex() for value in values]
        assert (read.times.dtype.name, read.values.dtype.name) == ("int64", "float64")

    async def test_a_window_holds_its_start_and_not_its_end(self, open_sensors: OpenSensors) -> None:
        async with open_sensors({_TEMPERATURE: _series((-1, 0), (0, 1), (59.99, 2), (60, 3))}) as source:
            read = await source.get_data_for_range([_TEMPERATURE], _HOUR, max_bytes=_PLENTY)

        assert read[_TEMPERATURE].values.tolist() == [1, 2]

    async def test_every_tag_asked_for_is_in_the_answer_and_no_other(self, open_sensors: OpenSensors) -> None:
        readings = {_TEMPERATURE: _series((1, 1)), _PRESSURE: _series((-90, 7), (1, 2)), _SILENT: _series((-90, 9))}

        async with open_sensors(readings) as source:
            read = await source.get_data_for_range([_SILENT, _TEMPERATURE], _HOUR, max_bytes=_PLENTY)

        assert set(read) == {_SILENT, _TEMPERATURE}
        assert _listed(read[_SILENT]) == []
        assert _listed(read[_TEMPERATURE]) == _listed(_series((1, 1)))

    async def test_no_tags_is_no_readings(self, open_sensors: OpenSensors) -> None:
        async with open_sensors({_TEMPERATURE: _series((1, 1))}) as source:
            assert dict(await source.get_data_for_range([], _HOUR, max_bytes=_PLENTY)) == {}

    async def test_unknown_tags_are_rejected_by_name(self, open_sensors: OpenSensors) -> None:
        async with open_sensors({_TEMPERATURE: _series((1, 1))}) as source:
            with pytest.raises(Rejected, match="NO-SUCH-TAG") as refused:
                await source.get_data_for_range([_TEMPERATURE, "NO-SUCH-TAG"], _HOUR, max_bytes=_PLENTY)

        assert refused.value.reason is Reason.UNKNOWN_SENSOR
        assert _TEMPERATURE not in str(refused.value)

    async def test_tags_that_report_at_times_of_their_own_do_not_mix(self, open_sensors: OpenSensors) -> None:
        readings = {_TEMPERATURE: _series((1, 1), (3, 3)), _PRESSURE: _series((2, 20), (3, 30), (4, 40))}

        async with open_sensors(readings) as source:
            read = await source.get_data_for_range([_TEMPERATURE, _PRESSURE], _HOUR, max_bytes=_PLENTY)

        assert {tag: _listed(read[tag]) for tag in readings} == {tag: _listed(readings[tag]) for tag in readings}

    async def test_more_than_the_budget_is_refused_and_just_enough_is_not(self, open_sensors: OpenSensors) -> None:
        readings = {
            _TEMPERATURE: _series(*((n / 2, n) for n in range(60))),
            _PRESSURE: _series(*((n, n) for n in range(40))),
        }
        both = [_TEMPERATURE, _PRESSURE]

        async with open_sensors(readings) as source:
            read = await source.get_data_for_range(both, _HOUR, max_bytes=100 * 16)
            with pytest.raises(TooLarge):
                await source.get_data_for_range(both, _HOUR, max_bytes=100 * 16 - 1)

        assert sum(len(each) for each in read.values()) == 100

    @pytest.mark.parametrize(
        "name",
        ["Volume Flow RateRMS", "a/b=c", 'quote " and \\ slash', "Temperatur °C", "温度", "a.b.c", "it's;so,", "NULL"],
    )
    async def test_any_tag_name_will_do(self, open_sensors: OpenSensors, name: str) -> None:
        async with open_sensors({name: _series((1, 1)), name + "x": _series((1, 2))}) as source:
            read = await source.get_data_for_range([name], _HOUR, max_bytes=_PLENTY)

        assert _listed(read[name]) == _listed(_series((1, 1)))

    async def test_many_may_read_at_once(self, open_sensors: OpenSensors) -> None:
        readings = {f"TAG-{n}": _series(*((minute, n * minute) for minute in range(60))) for n in range(5)}

        async with open_sensors(readings) as source:
            answers = await asyncio.gather(
                *(source.get_data_for_range([tag], _HOUR, max_bytes=_PLENTY) for tag in readings for _ in range(4))
            )

        for answer in answers:
            ((tag, read),) = answer.items()
            assert _listed(read) == _listed(readings[tag])

    async def test_looking_back_finds_the_last_reading_before_a_time(self, open_sensors: OpenSensors) -> None:
        readings = {_TEMPERATURE: _series((-30, 1), (-20, 2), (0, 3)), _PRESSURE: _series((-50, 7))}

        async with open_sensors(readings) as source:
            last = await _look_back(source, [_TEMPERATURE, _PRESSURE])

        assert last in (
            {
                _TEMPERATURE: (to_ns(_TEN - timedelta(minutes=20)), 2.0),
                _PRESSURE: (to_ns(_TEN - timedelta(minutes=50)), 7.0),
            },
            {},  # a source that cannot look back
        )

    async def test_looking_back_goes_no_further_than_asked_but_just_as_far(self, open_sensors: OpenSensors) -> None:
        readings = {_TEMPERATURE: _series((-60, 1)), _PRESSURE: _series((-60.01, 2)), _SILENT: _series((5, 3))}

        async with open_sensors(readings) as source:
            last = await _look_back(source, list(readings))

        assert set(last) <= {_TEMPERATURE}

    async def test_looking_back_takes_finite_readings_only(self, open_sensors: OpenSensors) -> None:
        async with open_sensors({_TEMPERATURE: _series((-30, 1), (-20, np.inf), (-10, np.nan))}) as source:
            last = await _look_back(source, [_TEMPERATURE])

        assert last in ({_TEMPERATURE: (to_ns(_TEN - timedelta(minutes=30)), 1.0)}, {})

    async def test_what_the_source_would_be_asked_can_be_shown(self, open_sensors: OpenSensors) -> None:
        async with open_sensors({_TEMPERATURE: _series((1, 1))}) as source:
            await source.get_data_for_range([_TEMPERATURE], _HOUR, max_bytes=_PLENTY)

            shown = source.get_native_range_specifier(_HOUR, {"tag": _TEMPERATURE})

        assert shown.strip()

    async def test_its_circuit_has_a_name(self, open_sensors: OpenSensors) -> None:
        async with open_sensors({_TEMPERATURE: _series((1, 1))}) as source:
            assert source.downstream.startswith("sensors/")


def _series(*points: tuple[float, float]) -> Series:
    """Readings at minutes after ten."""
    times = [to_ns(_TEN + timedelta(minutes=minutes)) for minutes, _ in points]
    return Series(np.array(times, np.int64), np.array([value for _, value in points], np.float64))


def _listed(series: Series) -> list[tuple[int, float]]:
    return list(zip(series.times.tolist(), series.values.tolist(), strict=True))


async def _look_back(source: SensorSource, tags: Sequence[str], hours: float = 1) -> dict[str, Point]:
    return dict(await source.get_last_before(tags, _TEN, _TEN - timedelta(hours=hours)))
