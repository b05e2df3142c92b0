"""Checks before a request and after its response: Gordo checks little, and often answers 500 without a reason."""

import numpy as np

from latigo.domain.errors import NoData, Reason, Rejected, describe_tags
from latigo.domain.model import ModelSpec
from latigo.domain.series import Column, Frame, Predictions

_OUTPUT = "model-output"
_TOTAL = Column("total-anomaly-scaled", "")


def check_request(spec: ModelSpec, x: Frame, y: Frame) -> None:
    """Check that Gordo can process X and y.

    Gordo takes columns by position as soon as their number is right, joins y to X by position, and answers 500
    without a reason to values that a model does not take, to repeated times and to too few rows.

    Raises:
        NoData: fewer rows than the model needs.
        Rejected: ``COLUMNS_REFUSED`` or ``VALUES_REFUSED``, naming the columns.
    """
    _check_columns("X", x.columns, spec.dataset.tag_list)
    _check_columns("y", y.columns, spec.dataset.target_tag_list)
    if len(x) < spec.rows_needed:
        raise NoData(f"{spec.ref} needs {spec.rows_needed} rows, there are {len(x)}")
    if not np.array_equal(x.times, y.times):
        raise Rejected("X and y have different times", reason=Reason.VALUES_REFUSED)
    if (np.diff(x.times) <= 0).any():
        raise Rejected("times are not distinct and sorted", reason=Reason.VALUES_REFUSED)
    if not spec.accepts_nan:
        _refuse("X", x, ~np.isfinite(x.values), "not finite")
        check_targets(y)


def check_targets(y: Frame) -> None:
    """Check that anomaly scores can be computed: their scaler accepts NaN and no infinity, whatever the model accepts.

    Raises:
        Rejected: ``VALUES_REFUSED``, naming the columns.
    """
    _refuse("y", y, np.isinf(y.values), "infinite")


def _check_columns(name: str, columns: tuple[str, ...], expected: tuple[str, ...]) -> None:
    if columns != expected:
        differing = {*columns} ^ {*expected}
        odd = [column for column in (*expected, *columns) if column in differing]
        why = f"they differ in {describe_tags(odd)}" if odd else "they are in another order"
        raise _changed(f"{name} has other columns than the model: {why}")


def _refuse(name: str, frame: Frame, bad: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], what: str) -> None:
    if bad.any():
        tags = [frame.columns[i] for i in np.flatnonzero(bad.any(axis=0))]
        raise Rejected(f"values of {name} are {what}: {describe_tags(tags)}", reason=Reason.VALUES_REFUSED)


def check_predictions(spec: ModelSpec, x: Frame, predictions: Predictions, *, anomaly: bool) -> None:
    """Check that predictions have the rows and columns that the metadata promises for X.

    Raises:
        Rejected: ``COLUMNS_REFUSED``. The model differs from its metadata, perhaps because it was just rebuilt.
    """
    expected = x.times[spec.model_offset :]
    if not np.array_equal(predictions.times, expected):
        raise _changed(
            f"{spec.ref} answered {len(predictions)} rows with other times than the {len(expected)} expected"
        )
    if odd := _odd_columns(spec, predictions.columns, anomaly=anomaly):
        raise _changed(f"{spec.ref} answered columns that differ from its metadata: {odd}")


def _changed(message: str) -> Rejected:
    return Rejected(message, reason=Reason.COLUMNS_REFUSED, whole_model=True)


def _odd_columns(spec: ModelSpec, columns: tuple[Column, ...], *, anomaly: bool) -> str:
    targets = spec.dataset.target_tag_list
    outputs = [tag for group, tag in columns if group == _OUTPUT]
    numbered = [] if anomaly else [str(i) for i in range(len(outputs))]  # where they are not as many as the targets
    distinct, known = set(columns), {"", *targets, *numbered}
    if len(distinct) != len(columns):
        return "some twice"
    if set(outputs) != set(targets) and (anomaly or outputs != numbered or len(outputs) in {0, len(targets)}):
        return f"{_OUTPUT} of {describe_tags(outputs)}"
    if anomaly and _TOTAL not in distinct:
        return f"no {_TOTAL.group}"
    return describe_tags([f"{group}|{tag}" for group, tag in columns if tag not in known])
