"""The simulated plant: pure values, faults, and a source that serves nothing from the future."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.domain.errors import Reason, Rejected, TooLarge
from latigo.domain.series import Readings, Series
from latigo.domain.windows import Window, to_ns
from latigo.providers.simulated import Fault, FaultKind, Plant, PlantSensors, synth_series

MIDNIGHT = datetime(2025, 10, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
TAG = "1903.PT-0017.PV"
SWITCH = "1903.XV-0001.STATUS"


def values(plant: Plant, tag: str, start: datetime, length: timedelta) -> Series:
    return plant.values(tag, to_ns(start), to_ns(start + length))


@given(
    tag=st.sampled_from([TAG, SWITCH, "ODD/NAME%2"]),
    minutes=st.integers(1, 600),
    cut=st.floats(0, 1),
    period=st.sampled_from([1, 7, 60]),
    tempo=st.sampled_from([1.0, 24.0]),
    start=st.datetimes(datetime(2019, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001  the strategy takes naive bounds
)
def test_readings_do_not_depend_on_how_a_period_is_cut(
    tag: str, minutes: int, cut: float, period: int, tempo: float, start: datetime
) -> None:
    fault = Fault(TAG, FaultKind.DRIFT, MIDNIGHT, 20 * MINUTE, every=HOUR)
    plant = Plant(3, period=timedelta(seconds=period), tempo=tempo, faults=[fault])
    first = to_ns(start.replace(tzinfo=UTC))
    last = first + minutes * 60_000_000_000
    middle = first + int((last - first) * cut)

    whole = plant.values(tag, first, last)
    parts = [plant.values(tag, first, middle), plant.values(tag, middle, last)]

    np.testing.assert_array_equal(whole.times, np.concatenate([part.times for part in parts]))
    np.testing.assert_array_equal(whole.values, np.concatenate([part.values for part in parts]))


@given(minutes=st.integers(1, 600), offset_ns=st.integers(0, 10**11))
def test_readings_are_in_order_inside_the_window_and_one_a_period(minutes: int, offset_ns: int) -> None:
    start = to_ns(MIDNIGHT) + offset_ns
    end = start + minutes * 60_000_000_000

    times = Plant(1).values(TAG, start, end).times

    assert abs(len(times) - minutes) <= 1
    assert (np.diff(times) > 0).all()
    assert ((times >= start) & (times < end)).all()


def test_another_seed_is_another_plant_and_seed_0_is_what_the_real_models_know() -> None:
    window = (to_ns(MIDNIGHT), to_ns(MIDNIGHT + HOUR))

    mine, other, real = Plant(0).values(TAG, *window), Plant(1).values(TAG, *window), synth_series(TAG, *window)

    np.testing.assert_array_equal(mine.times, real.times)
    np.testing.assert_array_equal(mine.values, real.values)
    assert abs(other.values.mean() - real.values.mean()) > 0.1


def test_a_faster_plant_lives_through_the_same_day_in_less_time() -> None:
    swing = [np.ptp(values(Plant(tempo=tempo), TAG, MIDNIGHT, HOUR).values) for tempo in (1.0, 24.0)]

    assert swing[1] > 1.9 * Plant().amplitude(TAG) > swing[0]


def test_a_switch_is_off_for_the_last_quarter_of_its_cycle() -> None:
    plant = Plant(period=timedelta(seconds=1), switch_cycle=2 * MINUTE)

    readings = values(plant, SWITCH, MIDNIGHT, HOUR).values

    assert set(readings) == {0.0, 1.0}
    assert readings.mean() == pytest.approx(0.75, abs=0.02)
    assert np.abs(np.diff(readings)).sum() == pytest.approx(60, abs=1)  # twice in each of thirty cycles


def test_a_silent_sensor_has_no_readings_until_it_speaks_again() -> None:
    plant = Plant(faults=[Fault(TAG, FaultKind.SILENCE, MIDNIGHT + HOUR, HOUR)])

    counts = [len(values(plant, TAG, MIDNIGHT + n * HOUR, HOUR)) for n in range(3)]

    assert counts[1] == 0
    assert min(counts[0], counts[2]) >= 59


def test_an_offset_adds_its_size_in_daily_amplitudes_and_a_drift_grows_to_it() -> None:
    healthy = values(Plant(), TAG, MIDNIGHT, HOUR)
    size = 2 * Plant().amplitude(TAG)

    extra = {
        kind: values(Plant(faults=[Fault(TAG, kind, MIDNIGHT, HOUR, size=2)]), TAG, MIDNIGHT, HOUR).values
        - healthy.values
        for kind in (FaultKind.OFFSET, FaultKind.DRIFT)
    }

    np.testing.assert_allclose(extra[FaultKind.OFFSET], size)
    assert (np.diff(extra[FaultKind.DRIFT]) > 0).all()
    assert extra[FaultKind.DRIFT][[0, -1]] == pytest.approx([0, size], abs=0.05 * size)


def test_a_fault_comes_again_for_ever_and_touches_its_own_sensor_only() -> None:
    fault = Fault(TAG, FaultKind.SILENCE, MIDNIGHT, 15 * MINUTE, every=HOUR)
    plant = Plant(faults=[fault])

    for start in (MIDNIGHT - 30 * HOUR, MIDNIGHT, MIDNIGHT + 7 * HOUR):
        assert len(values(plant, TAG, start, 15 * MINUTE)) == 0
        assert len(values(plant, TAG, start + 15 * MINUTE, 45 * MINUTE)) >= 44
        assert len(values(plant, "other", start, 15 * MINUTE)) >= 14


@pytest.mark.parametrize("every", [timedelta(0), timedelta(minutes=59)])
def test_a_fault_that_never_ends_before_it_comes_again_is_refused(every: timedelta) -> None:
    with pytest.raises(ValueError, match="comes again"):
        Fault(TAG, FaultKind.OFFSET, MIDNIGHT, HOUR, every=every)


def sensors(now: datetime = MIDNIGHT + HOUR, faults: Sequence[Fault] = ()) -> PlantSensors:
    return PlantSensors(Plant(tags=[SWITCH, TAG], faults=faults), lambda: now)


async def read(
    source: PlantSensors, window: Window, tags: Sequence[str] = (TAG,), max_bytes: int = 1 << 20
) -> Readings:
    return await source.get_data_for_range(tags, window, max_bytes=max_bytes)


async def test_nothing_from_the_future_is_served() -> None:
    now = MIDNIGHT + 30 * MINUTE

    half = (await read(sensors(now), Window(MIDNIGHT, MIDNIGHT + HOUR)))[TAG]
    none = (await read(sensors(now), Window(now + MINUTE, now + HOUR)))[TAG]
    last = await sensors(now).get_last_before([TAG], now + HOUR, MIDNIGHT)

    assert 29 <= len(half) <= 31
    assert half.times[-1] <= to_ns(now)
    assert len(none) == 0
    assert last[TAG] == (half.times[-1], half.values[-1])


async def test_every_tag_asked_for_is_in_the_answer() -> None:
    source = sensors(faults=[Fault(TAG, FaultKind.SILENCE, MIDNIGHT, HOUR)])

    readings = await read(source, Window(MIDNIGHT, MIDNIGHT + HOUR), tags=(TAG, SWITCH))

    assert {tag: len(series) > 50 for tag, series in readings.items()} == {TAG: False, SWITCH: True}


async def test_an_unknown_sensor_is_named() -> None:
    with pytest.raises(Rejected, match="no-such-tag") as caught:
        await read(sensors(), Window(MIDNIGHT, MIDNIGHT + HOUR), tags=(TAG, "no-such-tag"))

    assert caught.value.reason is Reason.UNKNOWN_SENSOR
    assert await sensors().get_sensor_list() == sorted([TAG, SWITCH])
    assert [await sensors().sensor_exists(name) for name in (TAG, "no-such-tag")] == [True, False]


@pytest.mark.parametrize(("max_bytes", "fits"), [(61 * 16, True), (58 * 16, False), (16, False)])
async def test_more_readings_than_allowed_are_too_large(max_bytes: int, fits: bool) -> None:
    window = Window(MIDNIGHT, MIDNIGHT + HOUR)

    if fits:
        assert (await read(sensors(), window, max_bytes=max_bytes))[TAG].nbytes <= max_bytes
    else:
        with pytest.raises(TooLarge, match=str(max_bytes)):
            await read(sensors(), window, max_bytes=max_bytes)


async def test_the_last_reading_is_found_behind_a_long_silence_but_not_behind_the_limit() -> None:
    silence = Fault(TAG, FaultKind.SILENCE, MIDNIGHT - 20 * HOUR, 21 * HOUR)
    source = sensors(faults=[silence])
    spoke = Plant().values(TAG, to_ns(MIDNIGHT - 21 * HOUR), to_ns(MIDNIGHT - 20 * HOUR))

    last = await source.get_last_before([TAG], MIDNIGHT, MIDNIGHT - 48 * HOUR)
    too_old = await source.get_last_before([TAG, SWITCH], MIDNIGHT, MIDNIGHT - 10 * HOUR)

    assert last[TAG] == (spoke.times[-1], spoke.values[-1])
    assert set(too_old) == {SWITCH}


def test_the_native_range_names_plant_tag_and_window() -> None:
    native = sensors().get_native_range_specifier(Window(MIDNIGHT, MIDNIGHT + HOUR), {"tag": TAG})

    assert native == f"plant 0, tag {TAG}, 2025-10-20T00:00:00Z <= time < 2025-10-20T01:00:00Z"
