"""The judge of a campaign finds each kind of fault, and nothing where there is none."""

from dataclasses import replace

import pytest

from chaos.formulas import Cells, Model, labels, models, prediction
from chaos.judge import Facts, Settled, beginning_at, judge, missing

OLD, NEW = "1764547200000", "1764547230000"
SLOT, SLOTS = 10, 20
SINCE = 1_800_000_000
UNTIL = SINCE + SLOT * SLOTS
PLAIN, FILTERED = models(4)[0], models(4)[3]
FIRST = (SINCE, SINCE + SLOT)


def sound(model: Model) -> Facts:
    """The facts after a campaign without a fault: one task a slot, the newer half of them in a newer revision."""
    starts = range(SINCE, UNTIL, SLOT)
    revisions = {start: OLD if start < SINCE + SLOT * SLOTS // 2 else NEW for start in starts}
    rows = {start: labels(model, start, start + SLOT) for start in starts}
    return Facts(
        since=SINCE,
        slot=SLOT,
        covered=[(start, start + SLOT) for start in starts if rows[start]],
        excepted={start: "absent: the row filter leaves no rows" for start in starts if not rows[start]},
        settled=[Settled(start, (start, start + SLOT), revisions[start], 1) for start in starts],
        rows={
            label: (revisions[start], prediction(model, revisions[start], label))
            for start in starts
            for label in rows[start]
        },
    )


def counts(facts: Facts, model: Model = PLAIN) -> tuple[int, int, int]:
    verdict = judge([model], {model.name: facts}, UNTIL)
    return len(verdict.lost), len(verdict.doubled), len(verdict.wrong)


@pytest.mark.parametrize("model", [PLAIN, FILTERED], ids=["plain", "filtered"])
def test_nothing_is_found_where_nothing_is_wrong(model: Model):
    verdict = judge([model], {model.name: sound(model)}, UNTIL)

    assert verdict.sound, verdict
    assert verdict.slots == SLOTS
    assert verdict.rows == len(labels(model, SINCE, UNTIL))
    assert verdict.values == 11 * verdict.rows


def test_a_filtered_model_has_slots_with_and_without_rows():
    facts = sound(FILTERED)

    assert facts.covered
    assert facts.excepted


def test_a_model_that_the_ledger_does_not_know_is_lost():
    assert len(judge([PLAIN], {}, UNTIL).lost) == 1


def test_a_model_that_is_not_predicted_any_more_is_lost():
    assert counts(replace(sound(PLAIN), state="gone")) == (1, 0, 0)


def test_a_slot_that_is_neither_covered_nor_excepted_is_lost():
    facts = sound(PLAIN)
    facts = replace(facts, covered=facts.covered[:-1], rows=without(facts, UNTIL - SLOT))

    assert counts(facts) == (1, 0, 0)
    assert missing({PLAIN.name: facts}, UNTIL) == 1


def test_an_exception_is_lost_where_the_model_has_rows():
    facts = sound(PLAIN)
    facts = replace(facts, covered=facts.covered[1:], excepted={SINCE: "absent: no data"}, rows=without(facts, SINCE))

    assert counts(facts) == (1, 0, 0)


def test_an_exception_is_lost_where_its_reason_is_another_one():
    facts = sound(FILTERED)
    start = next(iter(facts.excepted))

    assert counts(replace(facts, excepted={**facts.excepted, start: "absent: no data"}), FILTERED) == (1, 0, 0)


def test_what_is_parked_is_lost():
    facts = sound(PLAIN)
    facts = replace(facts, covered=facts.covered[1:], parked={"crashed": [FIRST]}, rows=without(facts, SINCE))

    assert counts(facts) == (1, 0, 0)
    assert missing({PLAIN.name: facts}, UNTIL) == 0


def test_a_row_of_a_covered_slot_that_is_not_stored_is_lost():
    facts = sound(PLAIN)

    assert counts(replace(facts, rows={label: row for label, row in facts.rows.items() if label != SINCE})) == (1, 0, 0)


def test_a_slot_that_two_tasks_have_covered_is_doubled():
    facts = sound(PLAIN)

    assert counts(replace(facts, settled=[*facts.settled, Settled(7, (SINCE, UNTIL), NEW, 2)]))[1] == SLOTS
    assert counts(replace(facts, settled=[Settled(7, FIRST, OLD, 1), *facts.settled])) == (0, 1, 0)


def test_a_row_of_an_older_revision_over_that_of_a_newer_one_is_wrong():
    facts = sound(PLAIN)
    newest = UNTIL - SLOT

    assert counts(replace(facts, rows={**facts.rows, newest: (OLD, prediction(PLAIN, OLD, newest))})) == (0, 0, 1)


def test_a_value_that_is_not_that_of_the_formula_is_wrong():
    facts = sound(PLAIN)
    cells = dict(prediction(PLAIN, OLD, SINCE))
    cells["model-output", PLAIN.tags[0]] *= 1 + 1e-6

    assert counts(replace(facts, rows={**facts.rows, SINCE: (OLD, cells)})) == (0, 0, 1)


@pytest.mark.parametrize("change", ["missing", "more"])
def test_a_column_too_few_or_too_many_is_wrong(change: str):
    facts = sound(PLAIN)
    cells = dict(prediction(PLAIN, OLD, SINCE))
    if change == "missing":
        del cells["total-anomaly-scaled", ""]
    else:
        cells["model-output", "another"] = 1.0

    assert counts(replace(facts, rows={**facts.rows, SINCE: (OLD, cells)})) == (0, 0, 1)


def test_a_row_that_no_covered_slot_accounts_for_is_wrong():
    facts = sound(FILTERED)
    dropped = next(iter(facts.excepted))

    assert counts(
        replace(facts, rows={**facts.rows, dropped: (OLD, prediction(FILTERED, OLD, dropped))}), FILTERED
    ) == (0, 0, 1)


def test_rows_of_slots_that_became_due_since_are_not_judged():
    facts = sound(PLAIN)

    assert counts(replace(facts, rows={**facts.rows, UNTIL: (NEW, prediction(PLAIN, NEW, UNTIL))})) == (0, 0, 0)


def test_a_slot_that_is_covered_without_a_settled_task_is_wrong():
    facts = sound(PLAIN)

    assert counts(replace(facts, settled=facts.settled[1:])) == (0, 0, 1)


def test_a_slot_that_is_covered_without_rows_to_be_covered_by_is_wrong():
    facts = sound(FILTERED)
    start = next(iter(facts.excepted))

    assert counts(replace(facts, covered=[*facts.covered, (start, start + SLOT)]), FILTERED) == (0, 0, 1)


def test_a_repair_settles_its_slot_again_and_its_revision_is_the_one_that_has_to_be_stored():
    facts = sound(PLAIN)
    again = [*facts.settled, Settled(9, FIRST, NEW, 2, repair=True)]
    repaired = {label: (NEW, prediction(PLAIN, NEW, label)) for label in labels(PLAIN, *FIRST)}

    assert counts(replace(facts, settled=again, rows={**facts.rows, **repaired})) == (0, 0, 0)
    assert counts(replace(facts, settled=again)) == (0, 0, len(repaired))
    assert judge([PLAIN], {PLAIN.name: replace(facts, settled=again)}, UNTIL).repaired == 1
    assert counts(replace(facts, settled=[*again, Settled(10, FIRST, NEW, 2)]))[1] == 1


def test_values_alone_show_the_revision_where_the_sink_keeps_none():
    facts = sound(PLAIN)
    rows: dict[int, tuple[str | None, Cells]] = {label: (None, cells) for label, (_, cells) in facts.rows.items()}
    newest = UNTIL - SLOT

    assert counts(replace(facts, rows=rows)) == (0, 0, 0)
    assert counts(replace(facts, rows={**rows, newest: (None, prediction(PLAIN, OLD, newest))})) == (0, 0, 1)


def test_a_row_that_the_sink_holds_twice_is_doubled():
    assert counts(replace(sound(PLAIN), repeated=[SINCE])) == (0, 1, 0)


def test_slots_before_a_beginning_that_has_moved_on_are_lost():
    facts = sound(PLAIN)
    rows = {label: row for label, row in facts.rows.items() if label >= SINCE + 2 * SLOT}
    moved = replace(facts, since=SINCE + 2 * SLOT, covered=facts.covered[2:], rows=rows)
    held = beginning_at({PLAIN.name: moved}, {PLAIN.name: SINCE, "another": 0})

    assert counts(moved) == (0, 0, 0)
    assert counts(held[PLAIN.name]) == (2, 0, 0)
    assert missing(held, UNTIL) == 2


def test_a_model_that_begins_earlier_than_it_should_is_judged_from_there():
    assert beginning_at({PLAIN.name: sound(PLAIN)}, {PLAIN.name: UNTIL})[PLAIN.name].since == SINCE


def without(facts: Facts, start: int) -> dict[int, tuple[str | None, Cells]]:
    """The rows that are not in the slot that begins then."""
    return {label: row for label, row in facts.rows.items() if not start <= label < start + SLOT}
