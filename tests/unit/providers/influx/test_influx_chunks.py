"""How a read is cut into requests."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.providers.influx.chunks import Chunk, Pace

SECOND = 10**9
HOUR = 3600 * SECOND
TWENTY = tuple(f"GRA-TT-{number:03}" for number in range(20))

pieces = st.builds(
    lambda names, start, length: Chunk(tuple(map(str, range(names))), start, start + length),
    st.integers(1, 40),
    st.integers(-(10**18), 10**18),
    st.integers(1, 10**15),
)
paces = st.builds(Pace, st.integers(1, 10**5), st.integers(1, 300))


def covered(result: Sequence[Chunk]) -> dict[str, list[tuple[int, int]]]:
    """Return the stretches of each sensor, in the order of their requests."""
    return {
        name: [(piece.start, piece.end) for piece in result if name in piece.names]
        for piece in result
        for name in piece.names
    }


@given(paces, pieces)
def test_nothing_is_asked_twice_or_left_out_and_time_goes_forward(pace: Pace, piece: Chunk):
    for stretches in covered(pace.take(piece)).values():
        assert [start for start, _ in stretches] == [piece.start, *(end for _, end in stretches[:-1])]
        assert stretches[-1][1] == piece.end


@given(pieces)
def test_halves_are_smaller_and_make_up_the_whole(piece: Chunk):
    halves = piece.halves()

    if len(piece.names) == 1 and piece.length == 1:
        assert not halves
    else:
        assert sum(len(half.names) * half.length for half in halves) == len(piece.names) * piece.length
        assert covered(halves).keys() == set(piece.names)


def test_before_anything_is_known_a_reading_a_second_is_expected():
    pace = Pace(readings=100_000, statements=250)

    assert pace.take(Chunk(TWENTY, 0, HOUR)) == (Chunk(TWENTY, 0, HOUR),)
    first, *_ = pace.take(Chunk(TWENTY, 0, 4 * HOUR))
    assert len(first.names) == 6  # of 14 400 readings each
    first, *_ = pace.take(Chunk(TWENTY, 0, 48 * HOUR))
    assert (first.names, first.end) == (TWENTY[:1], 24 * HOUR)


def test_the_estimate_follows_denser_readings_at_once_and_sparser_ones_slowly():
    pace = Pace(readings=100_000, statements=250)
    day = Chunk(TWENTY, 0, 24 * HOUR)

    pace.record(Chunk(TWENTY[:1], 0, HOUR), 36_000)
    assert pace.take(day)[0].length <= 3 * HOUR
    for _ in range(100):
        pace.record(day, 20 * 24)
    assert pace.take(day) == (day,)


def test_a_plant_that_was_silent_may_speak_again():
    pace = Pace(readings=100_000, statements=250)
    day = Chunk(TWENTY, 0, 24 * HOUR)

    for _ in range(10_000):
        pace.record(day, 0)
    assert pace.take(day) == (day,)
    pace.record(day, 400_000)
    assert len(pace.take(day)[0].names) == 5


@pytest.mark.parametrize(
    ("rows", "news", "kept"), [(999, True, 999), (0, True, 1), (-1, True, 1), (200_000, False, 100_000)]
)
def test_a_limit_of_the_server_is_kept_to(rows: int, news: bool, kept: int):
    pace = Pace(readings=100_000, statements=250)

    assert pace.limit(rows) is news
    assert pace.readings == kept
    assert pace.statements <= kept
    assert not pace.limit(rows)


def test_no_more_statements_go_into_a_request_than_the_server_takes():
    one = Pace(readings=100_000, statements=1)

    assert [piece.names for piece in one.take(Chunk(TWENTY, 0, HOUR))] == [TWENTY[:1], TWENTY[1:]]
