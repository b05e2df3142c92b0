"""Several sources as one: which tag is read from which, and what becomes of their answers and errors."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.domain.errors import BadReading, Failed, LatigoError, Reason, Rejected, TimedOut, TooLarge, Unavailable
from latigo.domain.series import Readings, Series
from latigo.domain.windows import Window, to_ns
from latigo.providers.memory import MemorySensors
from latigo.providers.parts import own_tags, parts_of, sources_of
from latigo.providers.routed import RoutedSensors, Routing
from tests.support.build import at

DAY = Window(at("00:00"), at("23:00"))
PLENTY = 10**8
MINUTE = 60 * 10**9


def readings_of(count: int, value: float = 1.0) -> Series:
    times = to_ns(DAY.start) + MINUTE * np.arange(count, dtype=np.int64)
    return Series(times, np.full(count, value))


class Failing(MemorySensors):
    """Sensors that answer a read with an error; records which tags were read, within how many bytes."""

    def __init__(self, name: str, readings: Mapping[str, Series], error: Exception | None = None) -> None:
        super().__init__(dict(readings), name=name)
        self.error = error
        self.reads: list[tuple[list[str], int]] = []

    async def get_data_for_range(self, tags: Sequence[str], window: Window, *, max_bytes: int) -> Readings:
        self.reads.append((list(tags), max_bytes))
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return await super().get_data_for_range(tags, window, max_bytes=max_bytes)


def pair(first: Failing, second: Failing, *patterns: str) -> RoutedSensors:
    return RoutedSensors([first, second], Routing([patterns or ("A*",), ()]))


@pytest.mark.parametrize(
    ("tag", "source"),
    [
        ("GRA-TT-001", 0),
        ("GRA-TT-0011", 1),  # ? is one character
        ("GRA-PT-001", 1),
        ("gra-tt-001", 2),  # case matters
        ("a/b", 2),
        ("x[1]", 0),
        ("", 2),
    ],
)
def test_the_first_source_with_a_pattern_that_matches_has_the_tag_and_the_last_one_the_rest(tag: str, source: int):
    routing = Routing([["GRA-TT-00?", "x[[]*"], ["GRA-*"], ["never asked"]])

    assert routing.source_of(tag) == source


def test_a_source_that_is_none_of_several_has_every_tag():
    source = MemorySensors()

    assert list(sources_of(source)) == [source]
    assert list(parts_of(source, ["A", "B"])) == [(source, ["A", "B"])]


async def test_tags_that_another_source_is_asked_for_are_not_listed():
    first, second = (
        Failing("first", {"A": readings_of(1), "B": readings_of(1)}),
        Failing("second", {"A": readings_of(1)}),
    )
    both = pair(first, second)

    assert await both.get_sensor_list() == ["A"]
    assert (list(await own_tags(both, first)), list(await own_tags(both, second))) == (["A"], [])
    assert (await both.sensor_exists("A"), await both.sensor_exists("B")) == (True, False)


async def test_sources_are_read_at_once():
    started = asyncio.Barrier(2)

    class Waiting(Failing):
        async def get_data_for_range(self, tags: Sequence[str], window: Window, *, max_bytes: int) -> Readings:
            await started.wait()
            return await super().get_data_for_range(tags, window, max_bytes=max_bytes)

    both = pair(Waiting("first", {"A": readings_of(2)}), Waiting("second", {"B": readings_of(3)}))

    async with asyncio.timeout(30):
        read = await both.get_data_for_range(["B", "A"], DAY, max_bytes=PLENTY)

    assert {tag: len(series) for tag, series in read.items()} == {"A": 2, "B": 3}


async def test_a_source_without_a_tag_is_not_asked():
    first, second = Failing("first", {"A": readings_of(2)}), Failing("second", {}, RuntimeError("asked"))

    read = await pair(first, second).get_data_for_range(["A"], DAY, max_bytes=100)

    assert set(read) == {"A"}
    assert (first.reads, second.reads) == ([(["A"], 100)], [])


async def test_unknown_tags_of_all_sources_are_one_error():
    both = pair(Failing("first", {"A1": readings_of(1)}), Failing("second", {}))

    with pytest.raises(Rejected) as raised:
        await both.get_data_for_range(["A1", "A2", "B1"], DAY, max_bytes=PLENTY)

    assert raised.value.reason is Reason.UNKNOWN_SENSOR
    assert "'A2'" in str(raised.value)
    assert "'B1'" in str(raised.value)


UNKNOWN = Rejected("no sensor is named 'A'", reason=Reason.UNKNOWN_SENSOR)
DEAD = Unavailable("503", downstream="sensors/second")
SLOW = TimedOut("60 s", downstream="sensors/first")
BUG = ZeroDivisionError("a bug")


@pytest.mark.parametrize(
    ("first", "second", "decisive"),
    [
        (None, DEAD, DEAD),
        (UNKNOWN, DEAD, DEAD),
        (SLOW, DEAD, DEAD),
        (SLOW, UNKNOWN, SLOW),
        (BUG, DEAD, BUG),
        (DEAD, BUG, BUG),
        (BadReading("a text"), UNKNOWN, UNKNOWN),
        (Failed("500"), None, None),
    ],
)
async def test_of_several_errors_the_one_that_decides_what_comes_next_is_raised(
    first: Exception | None, second: Exception | None, decisive: Exception | None
):
    both = pair(Failing("first", {"A": readings_of(1)}, first), Failing("second", {"B": readings_of(1)}, second))

    with pytest.raises((LatigoError, ZeroDivisionError)) as raised:
        await both.get_data_for_range(["A", "B"], DAY, max_bytes=PLENTY)

    assert raised.value is (decisive or first)


async def test_a_source_that_needs_more_than_its_share_may_have_what_the_other_leaves():
    first, second = Failing("first", {"A": readings_of(90)}), Failing("second", {"B": readings_of(5)})

    read = await pair(first, second).get_data_for_range(["A", "B"], DAY, max_bytes=1600)

    assert {tag: len(series) for tag, series in read.items()} == {"A": 90, "B": 5}
    assert [share for _, share in first.reads] == [800, 1600 - 5 * 16]
    assert [share for _, share in second.reads] == [800]


async def test_no_source_is_read_again_if_the_others_leave_nothing():
    first, second = Failing("first", {"A": readings_of(60)}), Failing("second", {"B": readings_of(60)})

    with pytest.raises(TooLarge):
        await pair(first, second).get_data_for_range(["A", "B"], DAY, max_bytes=1600)

    assert (len(first.reads), len(second.reads)) == (1, 1)


async def test_the_last_values_are_those_of_each_source():
    first, second = Failing("first", {"A": readings_of(3, 1.5)}), Failing("second", {"B": readings_of(9, 2.5)})

    points = await pair(first, second).get_last_before(["B", "A", "C"], DAY.end, DAY.start - timedelta(days=1))

    assert {tag: point.value for tag, point in points.items()} == {"A": 1.5, "B": 2.5}


def test_the_request_is_that_of_the_source_which_has_the_tag():
    both = pair(Failing("first", {}), Failing("second", {}))

    assert both.get_native_range_specifier(DAY, {"tag": "A"}).count("readings") == 1
    assert both.get_native_range_specifier(DAY, {}).count("readings") == 2


def test_the_name_of_several_sources_names_all_of_them():
    assert pair(Failing("first", {}), Failing("second", {})).downstream == "sensors/first+second"


PLANT = st.dictionaries(st.text("ABC", min_size=1, max_size=3), st.integers(0, 20), min_size=1, max_size=8)


@given(
    plant=PLANT,
    patterns=st.lists(st.lists(st.text("ABC*?", min_size=1, max_size=3), max_size=3), max_size=3),
    room=st.integers(0, 2000),
)
async def test_what_is_read_from_several_sources_is_what_one_source_would_give(
    plant: dict[str, int], patterns: list[list[str]], room: int
):
    readings = {tag: readings_of(count, number) for number, (tag, count) in enumerate(plant.items())}
    routing = Routing([*patterns, ()])
    several = RoutedSensors(
        [
            MemorySensors({tag: readings[tag] for tag in routing.own(number, list(plant))}, name=f"source-{number}")
            for number in range(len(patterns) + 1)
        ],
        routing,
    )

    async def read(source: MemorySensors | RoutedSensors) -> dict[str, tuple[list[int], list[float]]] | None:
        try:
            found = await source.get_data_for_range(list(plant), DAY, max_bytes=room)
        except TooLarge:
            return None
        return {tag: (series.times.tolist(), series.values.tolist()) for tag, series in found.items()}

    assert await read(several) == await read(MemorySensors(readings))
