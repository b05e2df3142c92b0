"""How the slots of a window ended, on datasets that were built from readings."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from latigo.dataset.build import FILTERED, Dataset, build
from latigo.domain.coverage import Coverage
from latigo.domain.model import DatasetConfig
from latigo.domain.outcome import NO_FINITE_VALUES, NOT_STORED, SlotState
from latigo.domain.series import Series, Times
from latigo.domain.windows import Window, to_ns
from latigo.executor.slots import TOO_FEW_ROWS, Slots, classify
from tests.support.build import HALF_HOUR, at, window

MINUTE = timedelta(minutes=1)
REQUESTED = window("10:00", "12:00")  # four slots of three rows
CONTEXT = 50 * MINUTE
NO_FILLING = timedelta(0)
CONFIG = DatasetConfig(("a", "b"), ("a", "b"))


def readings(*stretches: tuple[str, str], value: Callable[[datetime], float] = lambda _: 1.0) -> Series:
    """One every two minutes within stretches of the day."""
    times = [
        start + n * 2 * MINUTE
        for start, end in ((at(first), at(last)) for first, last in stretches)
        for n in range((end - start) // (2 * MINUTE))
    ]
    return Series(np.array([to_ns(time) for time in times], np.int64), np.array([value(time) for time in times]))


ALWAYS = readings(("09:00", "12:00"))


def a_dataset(a: Series = ALWAYS, b: Series = ALWAYS, **changes: object) -> Dataset:
    config = replace(CONFIG, **changes)  # type: ignore[arg-type]  # fields by name, of any type
    return build(config, {"a": a, "b": b}, Window(REQUESTED.start - CONTEXT, REQUESTED.end))


def settled(dataset: Dataset, predicted: Times | None = None, requested: Window = REQUESTED) -> Slots:
    times = dataset.x.times if predicted is None else predicted
    inside = times[(times >= to_ns(requested.start)) & (times < to_ns(requested.end))]
    return classify(requested, HALF_HOUR, dataset, inside)


def reported(slots: Slots) -> dict[tuple[SlotState, str], Coverage]:
    return {(each.state, each.reason): each.slots for each in slots.exceptions}


def of(*windows: Window) -> Coverage:
    return Coverage.of(windows)


def test_with_readings_to_the_end_and_every_row_predicted_all_is_covered():
    slots = settled(a_dataset())

    assert slots == Slots(of(REQUESTED), (), None)


def test_a_slot_with_fewer_predictions_than_rows_is_short():
    dataset = a_dataset()

    slots = settled(dataset, dataset.x.times[dataset.x.times >= to_ns(at("10:40"))])

    assert reported(slots) == {
        (SlotState.ABSENT, TOO_FEW_ROWS): of(window("10:00", "10:30")),
        (SlotState.SHORT, TOO_FEW_ROWS): of(window("10:30", "11:00")),
    }
    assert slots.covered == of(window("11:00", "12:00"))
    assert slots.silent_since is None


def test_rows_without_a_finite_value_are_no_coverage_whatever_their_number():
    dataset = a_dataset()
    times = dataset.x.times
    finite = times[(times < to_ns(at("10:40"))) | (times >= to_ns(at("11:30")))]

    slots = classify(REQUESTED, HALF_HOUR, dataset, times, finite=finite)

    assert reported(slots) == {
        (SlotState.SHORT, NO_FINITE_VALUES): of(window("10:30", "11:00")),
        (SlotState.ABSENT, NO_FINITE_VALUES): of(window("11:00", "11:30")),
    }
    assert slots.covered == of(window("10:00", "10:30"), window("11:30", "12:00"))
    assert slots.silent_since is None


def test_rows_that_a_sink_left_out_are_no_coverage_and_name_it():
    dataset = a_dataset()
    times = dataset.x.times

    slots = classify(
        REQUESTED, HALF_HOUR, dataset, times, stored=times[times >= to_ns(at("10:40"))], withheld_by=["sink/a"]
    )

    assert reported(slots) == {
        (SlotState.ABSENT, f"{NOT_STORED}: sink/a"): of(window("10:00", "10:30")),
        (SlotState.SHORT, f"{NOT_STORED}: sink/a"): of(window("10:30", "11:00")),
    }


def test_the_models_answer_is_the_cause_where_a_sink_leaves_out_other_rows_too():
    dataset = a_dataset()
    times = dataset.x.times

    slots = classify(REQUESTED, HALF_HOUR, dataset, times, finite=times[1::2], stored=times[:0], withheld_by=["sink/a"])

    assert reported(slots) == {(SlotState.ABSENT, NO_FINITE_VALUES): of(REQUESTED)}


def test_a_slot_that_readings_leave_short_still_lacks_what_is_not_finite():
    dataset = a_dataset(readings(("09:00", "11:50")), interpolation_limit=NO_FILLING)
    times = dataset.x.times

    slots = classify(REQUESTED, HALF_HOUR, dataset, times, finite=times[times < to_ns(at("11:30"))])

    assert reported(slots) == {(SlotState.ABSENT, NO_FINITE_VALUES): of(window("11:30", "12:00"))}


def test_where_a_tag_is_silent_for_too_long_the_slot_is_short_or_absent_and_names_it():
    gap = readings(("09:00", "10:40"), ("11:30", "12:00"))

    slots = settled(a_dataset(b=gap, interpolation_limit=NO_FILLING))

    assert reported(slots) == {
        (SlotState.SHORT, "no data in a part of it: 'b'"): of(window("10:30", "11:00")),
        (SlotState.ABSENT, "no data: 'b'"): of(window("11:00", "11:30")),
    }
    assert slots.covered == of(window("10:00", "10:30"), window("11:30", "12:00"))
    assert slots.silent_since is None


def test_a_tag_without_any_reading_makes_all_slots_absent_and_the_model_silent():
    slots = settled(a_dataset(b=Series.empty()))

    ((state, reason),) = reported(slots)
    assert (state, reported(slots)[state, reason]) == (SlotState.ABSENT, of(REQUESTED))
    assert "'b'" in reason
    assert not slots.covered
    assert slots.silent_since == at("10:00")


def test_every_tag_that_an_exception_is_about_is_known_however_many_its_reason_names():
    tags = tuple(f"t{number}" for number in range(9))
    gap = readings(("09:00", "10:40"), ("11:30", "12:00"))
    lacking = {"t2": gap, "t3": Series.empty(), "t4": readings(("09:00", "10:45"))}
    period = Window(REQUESTED.start - CONTEXT, REQUESTED.end)

    def tags_of(names: dict[str, Series], filling: timedelta) -> list[tuple[SlotState, tuple[str, ...]]]:
        config = DatasetConfig(tags, tags, interpolation_limit=filling)
        slots = settled(build(config, {tag: names.get(tag, ALWAYS) for tag in tags}, period))
        return [(each.state, each.tags) for each in slots.exceptions]

    assert tags_of({tag: Series.empty() for tag in tags}, NO_FILLING) == [(SlotState.ABSENT, tags)]
    assert tags_of(lacking, NO_FILLING) == [(SlotState.ABSENT, ("t3",))]
    assert tags_of({"t2": gap}, NO_FILLING) == [(SlotState.SHORT, ("t2",)), (SlotState.ABSENT, ("t2",))]
    assert tags_of({"t4": lacking["t4"]}, 3 * HALF_HOUR) == [(SlotState.PROVISIONAL, ("t4",))]


def test_what_the_row_filter_leaves_nothing_of_is_absent_and_not_silent():
    half = readings(("09:00", "12:00"), value=lambda time: 1.0 if time < at("11:00") else 0.0)

    slots = settled(a_dataset(a=half, row_filter="a > 0.5"))
    none = settled(a_dataset(row_filter="a > 5"))

    assert reported(slots) == {(SlotState.ABSENT, FILTERED): of(window("11:00", "12:00"))}
    assert slots.covered == of(window("10:00", "11:00"))
    assert reported(none) == {(SlotState.ABSENT, FILTERED): of(REQUESTED)}
    assert (slots.silent_since, none.silent_since) == (None, None)


def test_a_slot_of_which_the_filter_leaves_some_rows_is_covered():
    odd = readings(("09:00", "12:00"), value=lambda time: float(time.minute // 10 % 2))

    assert settled(a_dataset(a=odd, row_filter="a > 0.5")).covered == of(REQUESTED)


def test_a_window_with_too_few_rows_for_the_model_is_absent_and_not_silent():
    slots = settled(a_dataset(), np.empty(0, np.int64))

    assert reported(slots) == {(SlotState.ABSENT, TOO_FEW_ROWS): of(REQUESTED)}
    assert slots.silent_since is None


def test_rows_that_were_filled_past_the_last_reading_are_provisional_and_name_the_tag():
    slots = settled(a_dataset(b=readings(("09:00", "10:45"))))

    assert reported(slots) == {
        (SlotState.PROVISIONAL, "carried on past the last reading: 'b'"): of(window("10:30", "12:00")),
    }
    assert slots.covered == of(window("10:00", "10:30"))
    assert slots.silent_since is None


def test_a_last_bucket_that_is_only_partly_filled_with_readings_is_not_provisional():
    assert settled(a_dataset(b=readings(("09:00", "11:52")))).covered == of(REQUESTED)


def test_a_row_that_the_filter_dropped_because_of_a_filled_value_makes_its_slot_provisional():
    good_then_bad = readings(("09:00", "10:50"), value=lambda time: 1.0 if time < at("10:40") else 0.0)
    dataset = a_dataset(b=good_then_bad, row_filter="b > 0.5")

    slots = settled(dataset)

    # 10:30 is kept, 10:40 dropped, 10:50 dropped for a value that was carried on; from 11:00 on nothing is left
    assert reported(slots) == {
        (SlotState.PROVISIONAL, "carried on past the last reading: 'b'"): of(window("10:30", "11:00")),
        (SlotState.ABSENT, FILTERED): of(window("11:00", "12:00")),
    }


def test_that_rows_are_missing_says_more_than_that_one_was_filled():
    slots = settled(a_dataset(b=readings(("09:00", "10:40")), interpolation_limit=10 * MINUTE))

    # 10:40 is carried on, 10:50 would be too far
    assert reported(slots) == {
        (SlotState.SHORT, "no data in a part of it: 'b'"): of(window("10:30", "11:00")),
        (SlotState.ABSENT, "no data: 'b'"): of(window("11:00", "12:00")),
    }
    assert slots.silent_since == at("11:00")


silent_slots = st.lists(st.booleans(), min_size=4, max_size=4)


@given(silent_slots, silent_slots)
def test_a_model_is_silent_from_the_last_slot_on_after_which_a_tag_has_no_reading_at_all(a, b):
    """Without filling, a slot has all its rows or none."""
    starts = [slot.start for slot in REQUESTED.slots(HALF_HOUR)]

    def series(silent: list[bool]) -> Series:
        stretches = [("09:00", "10:00")]
        for start, is_silent in zip(starts, silent, strict=True):
            if not is_silent:
                stretches.append((f"{start:%H:%M}", f"{start + HALF_HOUR:%H:%M}"))
        return readings(*stretches)

    slots = settled(a_dataset(series(a), series(b), interpolation_limit=NO_FILLING))

    absent = [one or other for one, other in zip(a, b, strict=True)]
    trailing = 0
    while trailing < 4 and absent[-1 - trailing]:
        trailing += 1
    assert slots.silent_since == (starts[-trailing] if trailing else None)
    assert slots.covered == Coverage.of(
        Window(start, start + HALF_HOUR) for start, is_absent in zip(starts, absent, strict=True) if not is_absent
    )


@given(
    st.lists(st.integers(0, 180), max_size=12),
    st.lists(st.integers(0, 180), max_size=12),
    st.sampled_from([NO_FILLING, 20 * MINUTE, timedelta(hours=48), None]),
    st.sampled_from(["", "a > 0.5", "a > b"]),
    st.integers(0, 16),
)
def test_whatever_the_readings_are_every_slot_ends_in_exactly_one_way(a, b, limit, row_filter, offset):
    def series(minutes: list[int]) -> Series:
        times = sorted(set(minutes))
        return Series(
            np.array([to_ns(at("09:00") + minute * MINUTE) for minute in times], np.int64),
            np.array([float(minute % 3) for minute in times]),
        )

    dataset = a_dataset(series(a), series(b), interpolation_limit=limit, row_filter=row_filter)

    slots = settled(dataset, dataset.x.times[offset:])

    parts: list[Coverage] = [slots.covered, *(each.slots for each in slots.exceptions)]
    assert sum((part.total for part in parts), timedelta(0)) == REQUESTED.length
    assert Coverage.of(piece for part in parts for piece in part) == of(REQUESTED)
    assert all(each.state is not SlotState.COVERED and each.reason for each in slots.exceptions)
    if slots.silent_since is not None:
        absent = of(*(piece for each in slots.exceptions if each.state is SlotState.ABSENT for piece in each.slots))
        assert not of(Window(slots.silent_since, REQUESTED.end)) - absent
