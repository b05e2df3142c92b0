"""What is checked around a prediction."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from latigo.domain.errors import NoData, Reason, Rejected
from latigo.domain.model import ModelSpec
from latigo.domain.series import Column, Frame, Predictions
from latigo.providers.gordo.checks import check_predictions, check_request
from tests.support.build import a_spec

TEN_MINUTES = 600 * 10**9


def a_frame(rows: int = 3, *, tags: tuple[str, ...] = ("a", "b")) -> Frame:
    return Frame(TEN_MINUTES * np.arange(rows), tags, np.ones((rows, len(tags))))


def with_value(frame: Frame, value: float, row: int = 1, column: int = 1) -> Frame:
    values = frame.values.copy()
    values[row, column] = value
    return replace(frame, values=values)


# Before sending


def test_frames_of_the_models_columns_pass() -> None:
    check_request(a_spec(targets=("c",)), a_frame(), a_frame(tags=("c",)))


@pytest.mark.parametrize(
    ("columns", "naming"),
    [(("a",), "'b'"), (("a", "x"), "'b', 'x'"), (("b", "a"), "another order"), (("a", "b", "c"), "'c'")],
)
def test_other_columns_are_refused_by_name_since_gordo_would_take_them_by_position(
    columns: tuple[Any, ...], naming: str
) -> None:
    with pytest.raises(Rejected, match=f"X .*{naming}") as refused:
        check_request(a_spec(), a_frame(tags=columns), a_frame())

    assert refused.value.reason is Reason.COLUMNS_REFUSED
    assert refused.value.whole_model


def test_other_targets_are_refused() -> None:
    with pytest.raises(Rejected, match="y has other columns"):
        check_request(a_spec(targets=("c",)), a_frame(), a_frame())


@pytest.mark.parametrize(("offset", "rows"), [(0, 0), (5, 6), (6, 7)])
def test_fewer_rows_than_the_model_needs_are_no_data(offset: int, rows: Any) -> None:
    spec = a_spec(model_offset=offset)

    with pytest.raises(NoData, match=f"there are {rows}"):
        check_request(spec, a_frame(rows), a_frame(rows))
    check_request(spec, a_frame(rows + 1), a_frame(rows + 1))


@pytest.mark.parametrize("order", [(0, 2, 1), (0, 1, 1)])
def test_times_have_to_be_distinct_and_sorted(order: tuple[int, ...]) -> None:
    frame = replace(a_frame(), times=TEN_MINUTES * np.array(order))

    with pytest.raises(Rejected, match="distinct and sorted") as refused:
        check_request(a_spec(), frame, frame)

    assert refused.value.reason is Reason.VALUES_REFUSED
    assert not refused.value.whole_model


def test_targets_belong_to_the_times_of_x() -> None:
    with pytest.raises(Rejected, match="different times"):
        check_request(a_spec(), a_frame(), replace(a_frame(), times=a_frame().times + 1))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_model_that_takes_finite_values_only_is_not_sent_others(value: float) -> None:
    with pytest.raises(Rejected, match="values of X are not finite: 'b'") as refused:
        check_request(a_spec(), with_value(a_frame(), value), a_frame())

    assert refused.value.reason is Reason.VALUES_REFUSED
    check_request(a_spec(accepts_nan=True), with_value(a_frame(), value), a_frame())


def test_targets_may_be_missing_and_not_infinite() -> None:
    check_request(a_spec(), a_frame(), with_value(a_frame(), np.nan))

    with pytest.raises(Rejected, match="values of y are infinite: 'b'"):
        check_request(a_spec(), a_frame(), with_value(a_frame(), np.inf))


# After the answer

OUTPUTS = (Column("model-output", "a"), Column("model-output", "b"))
SCORES = (Column("tag-anomaly-scaled", "a"), Column("tag-anomaly-scaled", "b"), Column("total-anomaly-scaled", ""))


def an_answer(spec: ModelSpec, columns: tuple[Column, ...], *, rows: range = range(3)) -> Predictions:
    times = TEN_MINUTES * np.array(rows)
    return Predictions(spec.ref, spec.revision, times, columns, np.ones((len(times), len(columns))))


def test_an_answer_with_outputs_and_scores_passes() -> None:
    check_predictions(a_spec(), a_frame(), an_answer(a_spec(), OUTPUTS + SCORES), anomaly=True)
    check_predictions(a_spec(), a_frame(), an_answer(a_spec(), OUTPUTS), anomaly=False)


def test_outputs_that_are_not_as_many_as_the_targets_are_numbered() -> None:
    numbered = (Column("model-output", "0"),)

    check_predictions(a_spec(), a_frame(), an_answer(a_spec(), numbered), anomaly=False)

    with pytest.raises(Rejected, match="model-output"):
        check_predictions(a_spec(), a_frame(), an_answer(a_spec(), numbered + SCORES), anomaly=True)


@pytest.mark.parametrize(
    ("columns", "naming"),
    [
        ((), "model-output"),
        (OUTPUTS[:1] + SCORES, "model-output"),
        (OUTPUTS, "no total-anomaly-scaled"),
        ((*OUTPUTS, *SCORES, Column("tag-anomaly-scaled", "x")), "tag-anomaly-scaled|x"),
        (OUTPUTS + SCORES + SCORES, "twice"),
    ],
)
def test_columns_that_the_metadata_does_not_promise_are_not_stored(columns: tuple[Any, ...], naming: str) -> None:
    with pytest.raises(Rejected, match="columns that differ from its metadata") as refused:
        check_predictions(a_spec(), a_frame(), an_answer(a_spec(), columns), anomaly=True)

    assert naming in str(refused.value)
    assert (refused.value.reason, refused.value.whole_model) == (Reason.COLUMNS_REFUSED, True)


def test_a_model_with_an_offset_answers_later_rows_only() -> None:
    spec = a_spec(model_offset=2)

    check_predictions(spec, a_frame(5), an_answer(spec, OUTPUTS, rows=range(2, 5)), anomaly=False)


@pytest.mark.parametrize("rows", [range(2), range(1, 3), range(1, 4)])
def test_rows_of_other_times_are_not_stored(rows: Any) -> None:
    with pytest.raises(Rejected, match="other times than the 3 expected"):
        check_predictions(a_spec(), a_frame(), an_answer(a_spec(), OUTPUTS, rows=rows), anomaly=False)
