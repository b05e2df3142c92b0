"""Compares what a sink holds for a slot with what was predicted again. Pure, and numpy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from latigo.domain.receipt import Inputs
from latigo.domain.series import Column, Predictions
from latigo.domain.windows import Window, from_ns, iso
from latigo.reports.receipts import ReceiptReport
from latigo.reports.story import span
from latigo.reports.verification import MOST_COLUMNS, MOST_ROWS, ColumnDifference, ComparedColumn, Verification
from latigo.runtime.lines import on_one_line
from latigo.runtime.units import counted

#: Two values are equal if they differ by no more than this share of the greater one, or by less than `SMALLEST`. Models
#: compute with 32 bits, and in another order on another machine.
TOLERANCE = 1e-6
SMALLEST = 1e-9
_NAMED = 5


@dataclass(frozen=True, slots=True, eq=False)
class Repetition:
    """What was predicted again, and how."""

    slot: Window
    windows: Sequence[Window]  #: that were predicted, the slot in them
    predictions: Predictions | None  #: of the slot; None: there was nothing to predict from
    inputs: Mapping[str, int]  #: readings of the windows, by tag; empty if there were several windows
    filled: bool  #: a cell of the windows was carried on or interpolated
    revision: str
    wanted_revision: str  #: that of the sink or the receipt; empty: not known


def count_by_tag(tags: Sequence[str], inputs: Inputs | None) -> Mapping[str, int]:
    """Return the readings by tag."""
    return {} if inputs is None else dict(zip(tags, inputs.readings, strict=True))


def compare(sink: str, stored: Sequence[Predictions], again: Repetition, receipt: ReceiptReport | None) -> Verification:
    """Compare what a sink holds for a slot, one entry a revision, with what was predicted again."""
    times, columns, held, answered = _aligned(stored, again.predictions)
    both = np.isfinite(held) & np.isfinite(answered)
    either = np.isfinite(held) | np.isfinite(answered)
    with np.errstate(invalid="ignore"):
        apart = np.abs(held - answered)
        greater = np.maximum(np.abs(held), np.abs(answered))
        differs = either & ~(both & (apart <= np.maximum(TOLERANCE * greater, SMALLEST)))
        relative = np.where(both & (apart > SMALLEST), apart / np.maximum(greater, SMALLEST), 0.0)
    order = np.argsort(-np.where(differs & ~both, np.inf, relative).max(axis=0, initial=0.0), kind="stable")
    listed = [
        _column(column, times, held[:, at], answered[:, at], differs[:, at], relative[:, at])
        for at, column in enumerate(columns)
        if differs[:, at].any()
    ]
    listed.sort(key=lambda entry: -entry[0])
    revisions = sorted({part.revision for part in stored if part.revision and len(part)})
    reasons = _reasons(revisions, again, receipt) if differs.any() else []
    result = Verification(
        equal=not differs.any(),
        sink=sink,
        start=again.slot.start,
        end=again.slot.end,
        tolerance=TOLERANCE,
        stored_revisions=revisions,
        predicted_revision=again.revision,
        rows_stored=int(np.isfinite(held).any(axis=1).sum()),
        rows_predicted=int(np.isfinite(answered).any(axis=1).sum()),
        rows_differing=int(differs.any(axis=1).sum()),
        values=int(either.sum()),
        values_differing=int(differs.sum()),
        largest_difference=float(relative.max(initial=0.0)),
        columns=[difference for _, difference in listed[:MOST_COLUMNS]],
        columns_differing=len(listed),
        times=[from_ns(int(time)) for time in times[:MOST_ROWS]],
        compared=[
            ComparedColumn(
                column_group=columns[at].group,
                tag=columns[at].tag,
                stored=[_finite(value) for value in held[:MOST_ROWS, at]],
                predicted=[_finite(value) for value in answered[:MOST_ROWS, at]],
            )
            for at in order[:MOST_COLUMNS]
        ],
        reasons=reasons,
        story=(),
    )
    return result.model_copy(update={"story": [on_one_line(sentence) for sentence in _sentences(result, again)]})


def _aligned(
    stored: Sequence[Predictions], predicted: Predictions | None
) -> tuple[np.ndarray, Sequence[Column], np.ndarray, np.ndarray]:
    """Return all labels and columns of the two, and the values of each there, NaN where it has none."""
    parts = [*stored, *([predicted] if predicted is not None else [])]
    times = np.unique(np.concatenate([np.empty(0, np.int64), *(part.times for part in parts)]))
    columns = list(dict.fromkeys(column for part in parts for column in part.columns))
    held, answered = np.full((len(times), len(columns)), np.nan), np.full((len(times), len(columns)), np.nan)
    places = {column: at for at, column in enumerate(columns)}
    for part in parts:
        target = answered if part is predicted else held
        at = np.ix_(times.searchsorted(part.times), np.array([places[column] for column in part.columns]))
        target[at] = np.where(np.isfinite(part.values), part.values, target[at])
    return times, columns, held, answered


def _column(
    column: Column, times: np.ndarray, held: np.ndarray, answered: np.ndarray, differs: np.ndarray, relative: np.ndarray
) -> tuple[float, ColumnDifference]:
    """Return a column that differs, and how much; a value that only one of the two has differs most."""
    weight = np.where(differs, np.where(np.isfinite(held) & np.isfinite(answered), relative, np.inf), -1.0)
    worst = int(weight.argmax())
    return float(weight[worst]), ColumnDifference(
        column_group=column.group,
        tag=column.tag,
        rows=int(differs.sum()),
        time=from_ns(int(times[worst])),
        stored=_finite(held[worst]),
        predicted=_finite(answered[worst]),
    )


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _reasons(revisions: Sequence[str], again: Repetition, receipt: ReceiptReport | None) -> list[str]:
    """Return what may explain a difference, the strongest evidence first."""
    reasons = []
    if revisions and revisions != [again.revision]:
        gone = again.wanted_revision not in {"", again.revision}
        lost = ", because the model server does not have that one any more" if gone else ""
        reasons.append(f"The sink holds revision {', '.join(revisions)}; {again.revision} was predicted now{lost}.")
    inputs = receipt.inputs if receipt is not None else None
    then = {} if inputs is None else {tag.tag: tag.readings for tag in inputs.tags}
    if changed := [tag for tag, count in again.inputs.items() if then.get(tag, count) != count]:
        shown = ", ".join(f"{tag} ({then[tag]} then, {again.inputs[tag]} now)" for tag in changed[:_NAMED])
        more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
        reasons.append(f"The source has other readings now than when it was predicted: {shown}{more}.")
    same_window = receipt is not None and [Window(receipt.start, receipt.end)] == list(again.windows)
    if again.filled and not same_window:
        reasons.append(
            "It was predicted in another window then, and values are filled in it: windows of another fold may differ."
        )
    return reasons or [
        (
            "Revision, window and the number of readings are the same: readings may have been corrected in the source,"
            " the model server may answer otherwise, or others may have changed the sink."
        )
    ]


def _sentences(result: Verification, again: Repetition) -> list[str]:
    slot = f"the slot {span(result.start, result.end)}"
    windows = " and ".join(span(window.start, window.end) for window in again.windows)
    how = f"Predicted again in revision {result.predicted_revision}, in the window {windows}"
    if not result.values:
        return [f"{how}: neither the model nor {result.sink} has values for {slot}."]
    counts = f"{counted(result.values, 'value')} of {counted(max(result.rows_stored, result.rows_predicted), 'row')}"
    tolerance = f"{result.tolerance:.0e}".replace("e-0", "e-")
    if result.equal:
        equal = "exactly"
        if result.largest_difference:
            equal = f"within {tolerance}; the largest difference is {result.largest_difference:.1e}"
        return [f"{how}: all {counts} in {slot} equal those in {result.sink} {equal}."]
    rows, columns = counted(result.rows_differing, "row"), counted(result.columns_differing, "column")
    differ = f"{result.values_differing} of {counts} in {slot} differ from those in {result.sink}"
    story = [f"{how}: {differ} by more than {tolerance}, in {rows} and {columns}."]
    if result.rows_stored != result.rows_predicted:
        story.append(f"The sink has {counted(result.rows_stored, 'row')} there, and the model {result.rows_predicted}.")
    for column in result.columns[:_NAMED]:
        name = f"{column.column_group} of {column.tag}" if column.tag else column.column_group
        values = f"the sink has {_value(column.stored)} and the model {_value(column.predicted)}"
        story.append(f"{name}: {counted(column.rows, 'row')}, most at {iso(column.time)}, where {values}.")
    if result.columns_differing > _NAMED:
        story.append(f"{result.columns_differing - _NAMED} more columns differ; --json lists up to {MOST_COLUMNS}.")
    return [*story, *result.reasons]


def _value(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.9g}"
