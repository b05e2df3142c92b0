"""How far a partition has been worked off."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.task_queue.eventhub.offsets import Offsets, Position

rising = st.lists(st.integers(0, 10_000), min_size=1, max_size=30, unique=True).map(sorted)


def at(sequence: int) -> Position:
    return Position(sequence, f"offset {sequence}")


def begun(sequences: list[int], most: int = 100) -> Offsets:
    offsets = Offsets(most)
    for sequence in sequences:
        offsets.begin(at(sequence))
    return offsets


@given(rising, st.data())
def test_the_watermark_is_the_last_event_before_which_nothing_is_unfinished(sequences: list[int], data: st.DataObject):
    offsets = begun(sequences)
    finished: set[int] = set()

    for sequence in data.draw(st.permutations(sequences)):
        offsets.finish(sequence)
        finished.add(sequence)

        unfinished = [each for each in sequences if each not in finished]
        before = [each for each in sequences if not unfinished or each < unfinished[0]]
        assert offsets.watermark == (at(before[-1]) if before else None)
        assert offsets.unfinished == len(unfinished)


@given(rising, st.lists(st.tuples(st.booleans(), st.integers(0, 40))))
def test_the_watermark_never_goes_back_whatever_is_begun_and_finished(
    sequences: list[int], steps: list[tuple[bool, int]]
):
    offsets = Offsets(100)
    waiting = list(sequences)
    marks = [-1]

    for is_begin, number in steps:
        if is_begin and waiting:
            offsets.begin(at(waiting.pop(0)))
        else:
            offsets.finish(number)
        marks.append(offsets.watermark.sequence if offsets.watermark else -1)

    assert marks == sorted(marks)
    assert marks[-1] <= offsets.highest


@given(rising)
def test_finishing_twice_or_what_was_never_begun_changes_nothing(sequences: list[int]):
    offsets = begun(sequences)
    offsets.finish(sequences[0])
    before = (offsets.watermark, offsets.unfinished, offsets.highest)

    offsets.finish(sequences[0])
    offsets.finish(99_999)

    assert (offsets.watermark, offsets.unfinished, offsets.highest) == before


@given(rising, st.integers(0, 10_000))
def test_an_event_is_a_repeat_when_it_or_a_later_one_was_begun(sequences: list[int], sequence: int):
    offsets = begun(sequences)

    assert offsets.is_repeat(sequence) == any(each >= sequence for each in sequences)


def test_a_repeat_cannot_be_begun():
    offsets = begun([5])

    with pytest.raises(ValueError, match="event 5 comes after 5"):
        offsets.begin(at(5))


def test_it_is_full_while_the_first_unfinished_event_holds_up_too_many():
    offsets = begun([1, 2, 3], most=3)

    offsets.finish(2)
    offsets.finish(3)
    assert offsets.is_full

    offsets.finish(1)
    assert not offsets.is_full


def test_a_lost_partition_has_no_watermark_any_more():
    offsets = begun([1, 2])
    offsets.finish(1)

    offsets.lost = True
    offsets.finish(2)

    assert offsets.watermark is None
