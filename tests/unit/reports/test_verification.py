"""What a sink holds, compared with what was predicted again."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from latigo.domain.model import ModelRef
from latigo.domain.series import Column, Predictions, Values
from latigo.domain.windows import from_ns, to_ns
from latigo.reports.comparison import TOLERANCE, Repetition, compare
from latigo.reports.receipts import InputCounts, ReceiptReport, TagCount
from latigo.reports.verification import MOST_COLUMNS, Verification
from tests.support.build import at, window
from tests.unit.reports.test_story import RECEIPT

SLOT, WINDOW = window("11:30", "12:00"), window("10:00", "12:00")
COLUMNS = (Column("model-output", "a"), Column("model-output", "b"), Column("total-anomaly-scaled", ""))
TIMES = to_ns(SLOT.start) + 600 * 10**9 * np.arange(3, dtype=np.int64)
VALUES = np.array([[1.0, 2.0, 0.1], [1.5, 2.5, 0.2], [1.25, 2.25, 0.3]])


def predictions(values: Values = VALUES, *, revision: str = "1000", columns: Sequence[Column] = COLUMNS) -> Predictions:
    return Predictions(ModelRef("plant", "pump"), revision, TIMES[: len(values)], tuple(columns), values)


AGAIN = Repetition(
    slot=SLOT,
    windows=[WINDOW],
    predictions=predictions(),
    inputs={"a": 120, "b": 120},
    filled=False,
    revision="1000",
    wanted_revision="1000",
)


def receipt(**readings: int) -> ReceiptReport:
    tags = [TagCount(tag=tag, readings=count, rows=3) for tag, count in readings.items()]
    inputs = InputCounts(labels=3, tags=tags, filled_share=0, newest_reading=None)
    return RECEIPT.model_copy(update={"inputs": inputs})


def verify(*stored: Predictions, again: Repetition = AGAIN, made_by: ReceiptReport | None = None) -> Verification:
    return compare("sink/postgres", stored, again, made_by or receipt(a=120, b=120))


def test_the_same_values_are_equal() -> None:
    result = verify(predictions())

    assert (result.equal, result.values, result.rows_stored, result.rows_predicted) == (True, 9, 3, 3)
    assert (result.columns, result.reasons) == ([], [])
    (said,) = result.story
    assert said.startswith("Predicted again in revision 1000, in the window 2026-03-01T10:00:00Z to 12:00:00Z: all 9")
    assert said.endswith(" in the slot 2026-03-01T11:30:00Z to 12:00:00Z equal those in sink/postgres exactly.")


@given(arrays.arrays(np.float64, (3, 3), elements=st.floats(-0.9, 0.9)))
def test_what_is_within_the_tolerance_is_equal_and_what_is_beyond_is_not(shares: Values) -> None:
    near = verify(predictions(VALUES * (1 + TOLERANCE * shares)))
    far = verify(predictions(VALUES * (1 + 3 * TOLERANCE * np.sign(shares + 1))))

    assert near.equal
    assert near.largest_difference <= TOLERANCE
    assert far.values_differing == 9
    assert far.largest_difference == pytest.approx(3 * TOLERANCE, rel=0.01)


@given(arrays.arrays(np.float64, (3, 3), elements=st.floats(-1e6, 1e6) | st.just(np.nan)), st.data())
def test_each_changed_value_is_found_where_it_is(values: Values, data: st.DataObject) -> None:
    row, column = data.draw(st.integers(0, 2)), data.draw(st.integers(0, 2))
    changed = values.copy()
    changed[row, column] = 7.0 if np.isnan(values[row, column]) else values[row, column] * 1.5 + 1e7

    result = verify(predictions(changed), again=replace(AGAIN, predictions=predictions(values)))

    assert (result.equal, result.values_differing, result.rows_differing, result.columns_differing) == (False, 1, 1, 1)
    (difference,) = result.columns
    assert Column(difference.column_group, difference.tag) == COLUMNS[column]
    assert (difference.time, difference.rows) == (from_ns(int(TIMES[row])), 1)
    assert difference.stored == changed[row, column]
    assert verify(predictions(values), again=replace(AGAIN, predictions=predictions(values))).equal


def test_columns_that_differ_most_come_first_and_those_that_only_one_has_before_all() -> None:
    changed = VALUES * [1.1, 1.5, 1.0]
    changed[1, 2] = np.nan

    result = verify(predictions(changed))

    assert [(entry.column_group, entry.tag) for entry in result.columns] == [COLUMNS[2], COLUMNS[1], COLUMNS[0]]
    assert (result.columns[0].stored, result.columns[0].predicted, result.columns[0].time) == (None, 0.2, at("11:40"))
    assert "total-anomaly-scaled: 1 row, most at 2026-03-01T11:40:00Z, where the sink has nothing" in result.story[1]


def test_columns_may_be_in_another_order() -> None:
    assert verify(predictions(VALUES[:, ::-1], columns=COLUMNS[::-1])).equal


def test_a_row_that_only_one_of_them_has_differs() -> None:
    result = verify(predictions(VALUES[:2]))

    assert (result.equal, result.rows_stored, result.rows_predicted, result.rows_differing) == (False, 2, 3, 1)
    assert "The sink has 2 rows there, and the model 3." in result.story


def test_what_a_sink_holds_of_several_revisions_is_compared_as_a_whole() -> None:
    first = Predictions(ModelRef("plant", "pump"), "900", TIMES[:1], COLUMNS, VALUES[:1])
    second = Predictions(ModelRef("plant", "pump"), "1000", TIMES[1:], COLUMNS, VALUES[1:])

    result = verify(first, second)

    assert (result.equal, result.stored_revisions) == (True, ["1000", "900"])


def test_nothing_in_both_is_equal() -> None:
    result = verify(again=replace(AGAIN, predictions=None))

    assert (result.equal, result.values) == (True, 0)
    assert "neither the model nor sink/postgres has values" in result.story[0]


def test_what_the_sink_lacks_altogether_differs() -> None:
    result = verify()

    assert (result.equal, result.rows_stored, result.values_differing) == (False, 0, 9)


def test_at_most_so_many_columns_are_listed_and_all_are_counted() -> None:
    columns = [Column("model-output", f"T-{number}") for number in range(MOST_COLUMNS + 5)]
    ours, theirs = np.ones((1, len(columns))), np.full((1, len(columns)), 2.0)
    repeated = replace(AGAIN, predictions=predictions(ours, columns=columns))
    result = verify(predictions(theirs, columns=columns), again=repeated)

    assert (len(result.columns), result.columns_differing) == (MOST_COLUMNS, MOST_COLUMNS + 5)
    assert f"{MOST_COLUMNS} more columns differ" in " ".join(result.story)


# --- the likely reason ------------------------------------------------------------------------------------------------

CHANGED = predictions(VALUES + 1)


def test_another_revision_explains_a_difference() -> None:
    gone = verify(predictions(VALUES + 1, revision="900"), again=replace(AGAIN, wanted_revision="900"))
    mixed = verify(predictions(VALUES + 1, revision="900"), again=replace(AGAIN, wanted_revision=""))

    assert gone.reasons == [
        "The sink holds revision 900; 1000 was predicted now, because the model server does not have that one any more."
    ]
    assert mixed.reasons == ["The sink holds revision 900; 1000 was predicted now."]


def test_later_readings_explain_a_difference() -> None:
    result = verify(CHANGED, made_by=receipt(a=120, b=80))

    assert result.reasons == ["The source has other readings now than when it was predicted: b (80 then, 120 now)."]


def test_another_window_explains_a_difference_where_values_were_filled() -> None:
    elsewhere = replace(AGAIN, windows=[SLOT])

    assert "another window" in verify(CHANGED, again=replace(elsewhere, filled=True)).reasons[0]
    assert "another window" not in verify(CHANGED, again=elsewhere).reasons[0]
    assert "another window" not in verify(CHANGED, again=replace(AGAIN, filled=True)).reasons[0]


def test_without_a_reason_the_sink_or_the_readings_may_have_been_changed() -> None:
    result = verify(CHANGED)

    assert len(result.reasons) == 1
    assert "others may have changed the sink" in result.reasons[0]
    assert result.story[-1] == result.reasons[0]


def test_values_close_to_zero_are_compared_by_their_difference() -> None:
    tiny = replace(AGAIN, predictions=predictions(np.full((3, 3), 1e-12)))

    assert verify(predictions(np.full((3, 3), 5e-10)), again=tiny).equal
    assert not verify(predictions(np.full((3, 3), 5e-9)), again=tiny).equal


def test_names_cannot_steer_a_terminal() -> None:
    columns = [Column("model-output", "\x1b[2J\nb")]
    repeated = replace(AGAIN, predictions=predictions(np.ones((1, 1)), columns=columns))

    result = verify(predictions(np.zeros((1, 1)), columns=columns), again=repeated)

    assert all(sentence.isprintable() for sentence in result.story)
    assert result.columns[0].tag == columns[0].tag
