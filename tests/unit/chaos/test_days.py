"""The judge of a day finds each kind of fault, and nothing where there is none."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from chaos.days.gordo import NEWER, REVISION, definitions
from chaos.days.judge import DELAY, SLOT, Found, Row, beginning_at, expected, judge, labels_of
from chaos.days.timetable import BEGIN, Release, Timetable
from latigo.domain.windows import Window

(MODEL,) = definitions(0, 1)
SINCE = BEGIN - DELAY - SLOT
SLOTS = [SINCE + number * SLOT for number in range(8)]
MOMENTS = [slot + SLOT + DELAY for slot in SLOTS]
#: Long before the last three slots fall due.
RELEASED = Release(MOMENTS[5] - timedelta(hours=2), "plant", NEWER)
TIMETABLE = Timetable("a morning", (), {"plant": (MODEL,)}, MOMENTS[-1], releases=(RELEASED,))


def rows_of(slot: datetime, revision: str) -> dict[tuple[str, datetime], Row]:
    return {(MODEL.name, label): Row(revision, expected(MODEL.tags, revision, label)) for label in labels_of(slot)}


def sound() -> Found:
    """What there is after a morning without a fault."""
    rows: dict[tuple[str, datetime], Row] = {}
    for number, slot in enumerate(SLOTS):
        rows |= rows_of(slot, REVISION if number < 5 else NEWER)
    return Found({MODEL.name: [Window(SINCE, SLOTS[-1] + SLOT)]}, {MODEL.name: SINCE}, rows)


def faults(found: Found) -> int:
    judged = judge(
        TIMETABLE.projects,
        found,
        (),
        MOMENTS,
        TIMETABLE.works,
        lambda _: SINCE,
        revision=TIMETABLE.oldest_revision,
    )
    return len(judged.wrong)


def test_nothing_is_found_where_nothing_is_wrong():
    assert faults(sound()) == 0


def test_a_newer_revision_is_right_as_soon_as_it_is_there():
    assert faults(replace(sound(), rows={**sound().rows, **rows_of(SLOTS[2], NEWER)})) == 0


def uncovered(found: Found) -> Found:
    return replace(found, covered={MODEL.name: [Window(SINCE, SLOTS[-1])]})


def without_a_row(found: Found) -> Found:
    return replace(found, rows=dict(list(found.rows.items())[1:]))


def another_value(found: Found) -> Found:
    return changed(found, lambda outputs: {tag: value + 1e-3 for tag, value in outputs.items()})


def without_a_column(found: Found) -> Found:
    return changed(found, lambda outputs: dict(list(outputs.items())[1:]))


def changed(found: Found, change: Callable[[Mapping[str, float]], Mapping[str, float]]) -> Found:
    key, row = next(iter(found.rows.items()))
    return replace(found, rows={**found.rows, key: Row(row.revision, change(row.outputs))})


@pytest.mark.parametrize("spoil", [uncovered, without_a_row, another_value, without_a_column])
def test_a_fault_is_found(spoil: Callable[[Found], Found]):
    assert faults(spoil(sound())) == 1


def test_a_model_that_the_ledger_does_not_know_is_found():
    assert faults(Found({}, {}, {})) == 1


def test_a_revision_that_was_replaced_long_ago_is_found():
    assert faults(replace(sound(), rows={**sound().rows, **rows_of(SLOTS[-1], REVISION)})) == 3


def test_slots_before_a_beginning_that_has_moved_on_are_found():
    later = SLOTS[2]
    rows = {key: row for key, row in sound().rows.items() if key[1] >= later}
    moved = Found({MODEL.name: [Window(later, SLOTS[-1] + SLOT)]}, {MODEL.name: later}, rows)

    assert faults(moved) == 0
    assert faults(beginning_at(moved, {MODEL.name: SINCE})) == 2 + 2 * 3  # slots and their rows
