"""Which cells are readings, and what becomes of the others: skipped and counted, or refused by the settings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from latigo.domain.bad_readings import Fault
from latigo.domain.errors import BadReading
from latigo.domain.series import Times, Values
from latigo.providers.files.cells import Cells, Mask, NotNumbers, are_good, as_text
from latigo.providers.files.ranges import MAX_TIME
from latigo.providers.files.reading import Layout
from latigo.runtime.time_formats import suggest_format

_MAX_EXCERPT = 80
_OTHER_NOTATION = "looks like a number in another notation: set sensors.decimal_point or sensors.thousands"

#: Counts rows, given by their places, of a tag for a fault; the last argument describes the first of them.
Record = Callable[[npt.NDArray[np.int64], str, Fault, Callable[[], str]], None]


@dataclass(frozen=True, slots=True)
class Quality:
    """The column of the qualities of readings."""

    name: str
    column: Any


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges the cells of some rows, read for a window.

    Args:
        path: of the file, for messages.
        layout: how readings are written in it.
        times: of the rows, shape (rows,); those that cannot be read are outside of any window.
        start: of the window, ns.
        end: of the window.
        where: returns the line or row of a place among the rows.
        record: counts what is skipped.
    """

    path: Path
    layout: Layout
    times: Times
    start: int
    end: int
    where: Callable[[int], str]
    record: Record

    def cells(self, column: Any, name: str) -> Cells:
        """Return the cells of a column.

        Raises:
            BadReading: it is of a kind that cannot hold readings.
        """
        try:
            return self.layout.notation.numbers(column)
        except NotNumbers as kind:
            raise BadReading(f"{self.path}: column {name!r} is of the type {kind}, and holds no numbers") from kind

    def values(
        self, cells: Cells, column: Any, name: str, tag: str, quality: Quality | None, among: Mask | None = None
    ) -> Values:
        """Return the values of one tag, NaN where there is no good reading; count the bad ones.

        Args:
            cells: of the column.
            column: as it was read.
            name: of the column.
            tag: whose readings they are.
            quality: of the readings, if the file has it.
            among: the rows of the tag; None: all.

        Raises:
            BadReading: the settings refuse a cell of the window.
        """
        poor = None
        if quality is not None:
            is_read = ~np.isnan(cells.values)
            for unread in (cells.texts, cells.others):
                is_read = is_read if unread is None else is_read | unread
            poor = _within(~are_good(quality.column, self.layout.qualities) & is_read, among)
            self.count(poor, quality.column, quality.name, tag, Fault.QUALITY)
        if cells.others is not None:
            self._refuse(_within(cells.others, among, poor), column, name, _OTHER_NOTATION)
        if cells.texts is not None:
            texts = _within(cells.texts, among, poor)
            if self.layout.refuse_text:
                self._refuse(texts, column, name, 'is not a number, and sensors.text is "refuse"')
            elif self.layout.strict:
                self._refuse(texts, column, name, "is not a number, and sensors.strict is set")
            self.count(texts, column, name, tag, Fault.TEXT)
        values = cells.values if poor is None else np.where(poor, np.nan, cells.values)
        return values if among is None else np.where(among, values, np.nan)

    def count(self, cells: Mask, column: Any, name: str, tag: str, fault: Fault) -> None:
        """Count bad cells of rows whose time is known; the others are counted as rows."""
        if cells.any() and len(rows := np.flatnonzero(cells & (self.times < MAX_TIME))):
            first = int(rows[0])
            self.record(rows, tag, fault, lambda: f"{self.where(first)}: {_cell(column, first)} in column {name!r}")

    def _refuse(self, cells: Mask, column: Any, name: str, problem: str) -> None:
        refused = cells & (self.times >= self.start) & (self.times < self.end)
        if refused.any():
            row = int(refused.argmax())
            raise BadReading(f"{self.path}, {self.where(row)}: {_cell(column, row)} in column {name!r} {problem}")


def values_by_tag(
    judge: Judge,
    cells: Cells,
    column: Any,
    name: str,
    tags: Sequence[str],
    codes: npt.NDArray[np.int32],
    quality: Quality | None,
) -> Values:
    """Return the values of the long layout, whose rows are each of one tag: ``codes`` are indexes into ``tags``."""
    if cells.texts is None and cells.others is None and quality is None:
        return cells.values
    values = np.full(len(cells.values), np.nan)
    for code in np.unique(codes[codes >= 0]).tolist():
        among = codes == code
        values[among] = judge.values(cells, column, name, tags[code], quality, among)[among]
    return values


def excerpt_of(cell: str) -> str:
    """Return a cell for a message."""
    return repr(cell[:_MAX_EXCERPT])


def describe_no_time(path: Path, example: str, layout: Layout) -> str:
    """Return what is wrong with a file in which no row has a time, and the settings that help."""
    names = " and ".join(map(repr, layout.time_columns))
    form = suggest_format([example]) or "such as %d.%m.%Y %H:%M:%S"
    return (
        f"{path}: no row has a time that can be read, such as {excerpt_of(example)} in column {names}:"
        f" set time_format, {form}; or check time_column"
    )


def _cell(column: Any, row: int) -> str:
    return excerpt_of(str(as_text(column)[row].as_py()))


def _within(cells: Mask, among: Mask | None, poor: Mask | None = None) -> Mask:
    """Return which of the cells are of the rows of a tag, and of good quality as far as that is known."""
    cells = cells if among is None else cells & among
    return cells if poor is None else cells & ~poor
