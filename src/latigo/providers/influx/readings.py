"""What rows are: readings, or bad ones; pure.

Numbers and booleans are readings, and text is none, whatever it spells: a field of InfluxDB has a type.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from latigo.domain.bad_readings import Fault
from latigo.domain.series import Series, Times
from latigo.providers.influx.fields import BOOLEAN, NUMBER, TEXT, Selection
from latigo.providers.influx.query import Layout
from latigo.providers.influx.responses import Result, Table, UnreadableError
from latigo.providers.qualities import Qualities
from latigo.runtime.redaction import excerpt, shown

_NONE, _NUMBER, _TEXT = range(3)
_KINDS: Mapping[type, int] = {type(None): _NONE, float: _NUMBER, int: _NUMBER, bool: _NUMBER, str: _TEXT}
_KINDS_OF_FIELDS: Mapping[type, str] = {float: NUMBER, int: NUMBER, bool: BOOLEAN, str: TEXT}

Cells = Sequence[Any]


class NotNumbersError(ValueError):
    """The field of a sensor holds text."""


class BadOnes(NamedTuple):
    """Readings that cannot be used, for one reason."""

    times: Times  #: at least one
    first: Any  #: text, or quality


class ReadReadings(NamedTuple):
    """Readings of one sensor."""

    series: Series
    bad: Mapping[Fault, BadOnes]
    kinds: frozenset[str] = frozenset()  #: of values, see `FieldTypes.kinds`


def readings_of(
    result: Result, layout: Layout, selection: Selection, good: Qualities, name: str, start: int, end: int
) -> ReadReadings:
    """Return the readings that `Layout.readings` selects.

    In time order. A sensor that has several series may have several readings at one time: they are all kept, the
    smallest first, because InfluxDB's own order of them is not always the same.

    Raises:
        UnreadableError: they are another sensor's, or outside of the window.
    """
    if not result.tables:
        return ReadReadings(Series.empty(), {})
    if len(result.tables) > 1:
        raise UnreadableError(f"{len(result.tables)} series of {name!r}, where one was requested")
    table = result.tables[0]
    _check(table, layout, selection, name)
    read = judge(table, selection, good)
    series = _in_order(read.series)
    ends = [(series.times[0], series.times[-1])] if len(series) else []
    ends += [(ones.times.min(), ones.times.max()) for ones in read.bad.values()]
    if not all(start <= first and last < end for first, last in ends):
        raise UnreadableError(f"readings of {name!r} outside of the window")
    return read._replace(series=series)


def newest_of(result: Result, layout: Layout, selection: Selection, name: str) -> ReadReadings:
    """Return the last reading of each series in time order, the largest of several at one time last, and text.

    Raises:
        UnreadableError: they are another sensor's.
    """
    for table in result.tables:
        _check(table, layout, selection, name)
    read = [judge(table, selection, Qualities(())) for table in result.tables]
    bad = {fault: ones for each in read for fault, ones in each.bad.items()}
    return ReadReadings(_in_order(joined([each.series for each in read])), bad)


def joined(parts: Sequence[Series]) -> Series:
    """Return the readings of all parts, in their order."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return Series.empty()
    return Series(np.concatenate([part.times for part in parts]), np.concatenate([part.values for part in parts]))


def series_of(table: Table) -> Series:
    """Return times and numbers of a table with one field, in the server's order.

    Raises:
        UnreadableError: its times are not integers.
        NotNumbersError: some of its values are text.
    """
    read = judge(table, Selection((table.columns[1],)), Qualities(()))
    if read.bad:
        raise NotNumbersError("its field holds text")
    return read.series


def judge(table: Table, selection: Selection, good: Qualities) -> ReadReadings:
    """Return the good numbers of a table, in the server's order, and what is bad.

    Raises:
        UnreadableError: its times are not integers, or its values are neither numbers nor text.
    """
    if isinstance(table.rows, Series):
        return ReadReadings(table.rows, {}, frozenset({NUMBER}))
    if not table.rows:
        return ReadReadings(Series.empty(), {})
    seconds, *columns = zip(*table.rows, strict=True)
    if set(map(type, seconds)) != {int}:
        raise UnreadableError("times that are not integers")
    times = _array(seconds, np.int64)
    cells = _first_of(columns[: len(selection.values)])
    kinds, of_kinds = _kinds(cells), frozenset(_KINDS_OF_FIELDS[kind] for kind in set(map(type, cells)) - {type(None)})
    poor = np.zeros(len(times), np.bool_)
    bad: dict[Fault, BadOnes] = {}
    if selection.qualities:
        qualities = _first_of(columns[len(selection.values) :])
        _kinds(qualities)
        are_good = {quality: good.is_good(quality) for quality in set(qualities)}
        poor = (kinds != _NONE) & ~np.fromiter(map(are_good.__getitem__, qualities), np.bool_, len(times))
        if poor.any():
            bad[Fault.QUALITY] = BadOnes(times[poor], qualities[int(poor.argmax())])
    texts = (kinds == _TEXT) & ~poor
    if texts.any():
        bad[Fault.TEXT] = BadOnes(times[texts], cells[int(texts.argmax())])
    usable = (kinds == _NUMBER) & ~poor
    if not usable.all():
        times, cells = (
            times[usable],
            [cell for cell, is_usable in zip(cells, usable.tolist(), strict=True) if is_usable],
        )
    return ReadReadings(Series(times, _array(cells, np.float64)), bad, of_kinds)


def _check(table: Table, layout: Layout, selection: Selection, name: str) -> None:
    if table.tags.get(layout.tag_key) != name:
        raise UnreadableError(f"readings of {shown(table.tags.get(layout.tag_key), 200)}, where {name!r} was requested")
    if table.columns[:2] != ("time", layout.field) or len(table.columns) != 1 + len(selection.terms):
        raise UnreadableError(f"columns {excerpt(repr(table.columns[:10]), 200)}, where {layout.field!r} was requested")


def _first_of(columns: Sequence[Cells]) -> Cells:
    """Return in each row the first cell that is there."""
    first, *others = columns
    for other in others:
        first = [cell if alternative is None else alternative for alternative, cell in zip(first, other, strict=True)]
    return first


def _kinds(cells: Cells) -> npt.NDArray[np.int8]:
    """Return of each cell whether it is a number, text or nothing."""
    try:
        return np.fromiter((_KINDS[type(cell)] for cell in cells), np.int8, len(cells))
    except KeyError as error:
        raise UnreadableError(f"values of the type {error}") from None


def _array(numbers: Sequence[Any], kind: Any) -> Any:
    try:
        return np.array(numbers, kind)
    except OverflowError:
        raise UnreadableError("a number that InfluxDB cannot hold") from None


def _in_order(series: Series) -> Series:
    times = series.times
    if (times[1:] > times[:-1]).all():
        return series
    order = np.lexsort((series.values, times))
    return Series(times[order], series.values[order])
