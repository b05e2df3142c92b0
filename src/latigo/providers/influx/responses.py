"""What InfluxDB answers: MessagePack or JSON into arrays, and whether all of it is there; pure.

Status 200 is not success. An answer may hold an error instead of a result, and it may end early without any error: a
server with a limit on rows (``max-row-limit``) drops everything behind it, in the middle of a series or between two.
Its mark ``partial`` does not tell: version 1.6 sets it also on series of more than 10 000 rows that are whole, and
never sets it when it cuts between two. Therefore a statement that gives nothing is put last, and a result is taken for
whole when another one follows it: see `whole`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgpack
import numpy as np
import orjson

from latigo.domain.series import Series, Times, Values
from latigo.providers.influx.query import Layout

#: Bytes that a reading takes at most, as sent: two numbers and what is around them.
_READING_BYTES: Final[Mapping[str, int]] = {"msgpack": 19, "json": 52}
_TABLE_BYTES: Final = 256  #: what is around the readings of a sensor, without names
_NAME_BYTES: Final = 6  #: of a byte in JSON that is escaped

#: A row of a time and a float in MessagePack: an array of two, an int64 and a float64, all big-endian.
_PAIR, _INT64, _FLOAT64 = 0x92, 0xD3, 0xCB
_ROW = np.dtype([("pair", "u1"), ("int64", "u1"), ("time", ">i8"), ("float64", "u1"), ("value", ">f8")])
_MINUS_ZERO = b",-0]"  #: as Go writes it in JSON, which is an integer to everybody else


Body = bytes | bytearray


class UnreadableError(ValueError):
    """It is not what InfluxDB answers, or not to what was asked."""


class NotNumbersError(ValueError):
    """The field of a sensor holds text."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """One series of a result; ``rows`` are arrays already, where every row is a time and a float."""

    measurement: str
    tags: Mapping[str, str]
    columns: tuple[str, ...]
    rows: Series | Sequence[Sequence[Any]]
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What one statement gave."""

    number: int  #: of the statement, from 0
    tables: tuple[Table, ...] = ()
    error: str = ""
    partial: bool = False

    @property
    def rows(self) -> int:
        """How many rows all its tables have."""
        return sum(len(table.rows) for table in self.tables)


def decode(content_type: str, body: Body) -> Sequence[Result]:
    """Every result of an answer with status 200, in the order of the statements.

    Raises:
        UnreadableError: it is neither MessagePack nor JSON, or of another shape than InfluxDB's answers.
    """
    read = _READERS.get(content_type)
    if read is None:
        raise UnreadableError(f"an answer of type {content_type!r:.100}")
    try:
        results = read(body)
    except (msgpack.exceptions.UnpackException, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UnreadableError(f"an answer that is not InfluxDB's: {type(error).__name__}: {error}"[:300]) from error
    if not results or [result.number for result in results] != list(range(len(results))):
        raise UnreadableError(f"an answer with {len(results)} results out of order")
    return results


def whole(results: Sequence[Result], asked: int, *, marked: bool) -> Sequence[Result]:
    """The results that are there, and whole: those of the first few statements, perhaps of none.

    Args:
        results: of an answer.
        asked: how many statements were sent, without the last one that gives nothing.
        marked: such a one was sent. It is there only if nothing was cut before it. Without one, there is nothing but
            ``partial`` to go by, so that also series of more than 10 000 rows are not taken for whole.

    Raises:
        UnreadableError: there are more results than statements.
    """
    if len(results) > asked + marked:
        raise UnreadableError(f"an answer with {len(results)} results to {asked} statements")
    sure = results[:-1] if marked else results
    for number, result in enumerate(sure):
        if result.error or (not marked and _is_partial(result)):
            return sure[:number]
    return sure


def readings_of(result: Result, layout: Layout, name: str, start: int, end: int) -> Series:
    """The readings that `Layout.readings` asked for.

    In time order. A sensor that has several series may have several readings at one time: they are all kept, the
    smallest first, because InfluxDB's own order of them is not always the same.

    Raises:
        UnreadableError: they are another sensor's, or of another time.
        NotNumbersError: some of them are text.
    """
    if not result.tables:
        return Series.empty()
    if len(result.tables) > 1:
        raise UnreadableError(f"{len(result.tables)} series of {name!r}, where one was asked for")
    table = result.tables[0]
    _check(table, layout, name)
    series = _in_order(series_of(table))
    if len(series) and not start <= series.times[0] <= series.times[-1] < end:
        raise UnreadableError(f"readings of {name!r} of another time")
    return series


def newest_of(result: Result, layout: Layout, name: str) -> Series:
    """The last reading, or none; the largest of several at one time, as at the end of `readings_of`.

    Raises:
        UnreadableError: it is another sensor's.
        NotNumbersError: it is text.
    """
    if not result.tables:
        return Series.empty()
    for table in result.tables:
        _check(table, layout, name)
    found = [series_of(table) for table in result.tables]
    every = Series(np.concatenate([each.times for each in found]), np.concatenate([each.values for each in found]))
    ordered = _in_order(every)
    return Series(ordered.times[-1:], ordered.values[-1:])


def column_of(result: Result, column: str) -> Sequence[str]:
    """One column of text in the answer to a SHOW statement.

    Raises:
        UnreadableError: there is no such column, or no text in it.
    """
    found: list[str] = []
    for table in result.tables:
        if column not in table.columns or isinstance(table.rows, Series):
            raise UnreadableError(f"no column {column!r} where one was asked for")
        place = table.columns.index(column)
        found.extend(row[place] for row in table.rows)
    if not all(isinstance(each, str) for each in found):
        raise UnreadableError(f"no text in column {column!r}")
    return found


def most_bytes(format: str, readings: int, layout: Layout, names: Sequence[str]) -> int:  # noqa: A002 - the switch
    """What so many readings of some sensors take at most, as sent."""
    around = sum(len(name.encode()) for name in (layout.measurement, layout.tag_key, layout.field))
    spoken = sum(len(name.encode()) + around for name in names)
    return readings * _READING_BYTES[format] + (len(names) + 1) * _TABLE_BYTES + spoken * _NAME_BYTES


def _is_partial(result: Result) -> bool:
    return result.partial or any(table.partial for table in result.tables)


def _check(table: Table, layout: Layout, name: str) -> None:
    if table.tags.get(layout.tag_key) != name:
        raise UnreadableError(f"readings of {table.tags.get(layout.tag_key)!r:.200}, where {name!r} was asked for")
    if table.columns != ("time", layout.field):
        raise UnreadableError(f"columns {table.columns!r:.200}, where {layout.field!r} was asked for")


def series_of(table: Table) -> Series:
    """Its times and numbers, in the server's order.

    Raises:
        UnreadableError: its times are no integers.
        NotNumbersError: some of its values are text.
    """
    if isinstance(table.rows, Series):
        return table.rows
    kept = [row for row in table.rows if row[1] is not None]
    times, values = [row[0] for row in kept], [row[1] for row in kept]
    if any(type(time) is not int for time in times):
        raise UnreadableError("times that are not integers")
    if not {float, int, bool}.issuperset(map(type, values)):
        raise NotNumbersError("its field holds text")
    return Series(np.array(times, np.int64), np.array(values, np.float64))


def _in_order(series: Series) -> Series:
    times = series.times
    if (times[1:] > times[:-1]).all():
        return series
    order = np.lexsort((series.values, times))
    return Series(times[order], series.values[order])


# --- MessagePack -----------------------------------------------------------------------------------------------------


def _from_msgpack(body: Body) -> list[Result]:
    return _Reader(body).answer()


class _Reader:
    """Walks an answer, so that rows become arrays without ever being Python objects.

    A map is read key by key: ``take`` says how to read the value of a key, others are passed over.
    """

    def __init__(self, body: Body) -> None:
        self._body = body
        self._unpacker = msgpack.Unpacker(max_buffer_size=max(len(body), 1), unicode_errors="replace")
        self._unpacker.feed(body)

    def answer(self) -> list[Result]:
        found = self._map({"results": self._results, "error": self._unpacker.unpack})
        if error := found.get("error"):
            return [Result(0, error=str(error))]
        results: list[Result] = found["results"]
        return results

    def _results(self) -> list[Result]:
        return [self._result(place) for place in range(self._unpacker.read_array_header())]

    def _result(self, place: int) -> Result:
        unpack = self._unpacker.unpack
        keys = {"statement_id": unpack, "error": unpack, "partial": unpack, "series": self._tables}
        return _result(self._map(keys), place)

    def _tables(self) -> list[Table]:
        return [self._table() for _ in range(self._unpacker.read_array_header())]

    def _table(self) -> Table:
        unpack = self._unpacker.unpack
        return _table(
            self._map({"name": unpack, "tags": unpack, "columns": unpack, "partial": unpack, "values": self._rows})
        )

    def _rows(self) -> Series | list[Any]:
        count = self._unpacker.read_array_header()
        begin = self._unpacker.tell()
        if (series := _fixed_width(self._body, begin, count)) is not None:
            self._unpacker.read_bytes(count * _ROW.itemsize)
            return series
        return [self._unpacker.unpack() for _ in range(count)]

    def _map(self, take: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for _ in range(self._unpacker.read_map_header()):
            key = self._unpacker.unpack()
            if key in take:
                found[key] = take[key]()
            else:
                self._unpacker.skip()
        return found


def _fixed_width(body: Body, begin: int, count: int) -> Series | None:
    """The rows, if every one of them is a time and a float, which then take 19 bytes each; None if one is not.

    Integers are of any length, so that is not to be seen from the size: the three bytes that say what follows have to
    stand in every row where a row of floats has them.
    """
    end = begin + count * _ROW.itemsize
    if not count or end > len(body):
        return None
    marks = ((0, _PAIR), (1, _INT64), (10, _FLOAT64))
    if any(body[begin + place : end : _ROW.itemsize].count(mark) != count for place, mark in marks):
        return None
    rows = np.frombuffer(body, _ROW, count, begin)
    times: Times = rows["time"].astype(np.int64)
    values: Values = rows["value"].astype(np.float64)
    return Series(times, values)


# --- JSON ------------------------------------------------------------------------------------------------------------


def _from_json(body: Body) -> list[Result]:
    found = json.loads(body, parse_int=_signed) if _MINUS_ZERO in body else orjson.loads(body)
    if error := found.get("error"):
        return [Result(0, error=str(error))]
    return [
        _result({**each, "series": [_table(table) for table in each.get("series") or ()]}, place)
        for place, each in enumerate(found["results"])
    ]


def _signed(digits: str) -> int | float:
    return -0.0 if digits == "-0" else int(digits)


def _result(found: Mapping[str, Any], place: int) -> Result:
    return Result(
        number=found.get("statement_id", place),  # left out of errors in MessagePack
        tables=tuple(found.get("series") or ()),
        error=str(found.get("error") or ""),
        partial=bool(found.get("partial")),
    )


def _table(found: Mapping[str, Any]) -> Table:
    columns, rows = tuple(found["columns"]), found.get("values") or ()
    if not isinstance(rows, Series) and any(type(row) is not list or len(row) != len(columns) for row in rows):
        raise UnreadableError("rows that do not have a value for each column")
    return Table(
        measurement=found.get("name", ""),
        tags=dict(found.get("tags") or {}),
        columns=columns,
        rows=rows,
        partial=bool(found.get("partial")),
    )


_READERS: Final[Mapping[str, Callable[[Body], list[Result]]]] = {
    "application/x-msgpack": _from_msgpack,
    "application/json": _from_json,
}
