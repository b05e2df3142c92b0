"""Responses of InfluxDB: MessagePack or JSON into arrays, and which results are complete; pure.

Status 200 is not success. A response may hold an error instead of a result, and it may end early without any error: a
server with a limit on rows (``max-row-limit``) drops everything behind it, in the middle of a series or between two.
Its mark ``partial`` does not show that: version 1.6 sets it also on complete series of more than 10 000 rows, and
never when it cuts between two. Therefore a statement without results is put last, and a result counts as complete
when another one follows it: see `complete_results`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar

import msgpack

from latigo.domain.series import Series
from latigo.providers.influx.query import Layout
from latigo.providers.influx.rows import Body, read_rows
from latigo.runtime.collector import collector_paused
from latigo.runtime.documents import MOST_VALUES, DocumentTooLarge, read_json
from latigo.runtime.redaction import excerpt, shown

#: Bytes that a reading takes at most, as sent: two numbers and what is around them.
_READING_BYTES: Final[Mapping[str, int]] = {"msgpack": 19, "json": 52}
_CELL_BYTES: Final[Mapping[str, int]] = {"msgpack": 9, "json": 27}  #: another number of a reading
_TEXT_BYTES: Final = 64  #: of a reading
_TABLE_BYTES: Final = 256  #: what is around the readings of a sensor, without names
_NAME_BYTES: Final = 6  #: of a byte in JSON that is escaped

#: A duration as SHOW RETENTION POLICIES has it, such as ``168h0m0s``; ``0s`` is for ever.
_DURATION: Final = re.compile(r"(?:(\d{1,8})h)?(?:(\d{1,8})m)?(\d{1,8})s")
#: A row of a time and a float in MessagePack: an array of two, an int64 and a float64, all big-endian.
_MINUS_ZERO = b",-0]"  #: as Go writes it in JSON, which is an integer to everybody else
#: Values in an array or a map other than those of results, series and rows, which are read one by one.
_LONGEST_ARRAY: Final = 10_000

_Values = TypeVar("_Values", list[Any], dict[Any, Any])


class UnreadableError(ValueError):
    """The response is not InfluxDB's, or not one to this request."""


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
    """Result of one statement."""

    number: int  #: of the statement, from 0
    tables: tuple[Table, ...] = ()
    error: str = ""
    partial: bool = False

    @property
    def rows(self) -> int:
        """Number of rows in all its tables."""
        return sum(len(table.rows) for table in self.tables)


def decode(content_type: str, body: Body) -> Sequence[Result]:
    """Return every result of a response with status 200, in the order of the statements.

    Raises:
        UnreadableError: it is neither MessagePack nor JSON, or not shaped like a response of InfluxDB.
        DocumentTooLarge: it has too many values that are read one by one; a smaller request has fewer.
    """
    read = _READERS.get(content_type)
    if read is None:
        raise UnreadableError(f"a response of type {excerpt(repr(content_type), 100)}")
    try:
        results = read(body)
    except _UNREADABLE as error:
        reason = excerpt(f"{type(error).__name__}: {error}", 300)
        raise UnreadableError(f"a response that is not InfluxDB's: {reason}") from error
    if not results or [result.number for result in results] != list(range(len(results))):
        raise UnreadableError(f"a response with {len(results)} results out of order")
    return results


def complete_results(results: Sequence[Result], count: int, *, marked: bool) -> Sequence[Result]:
    """Return the complete results: those of the first statements, possibly of none.

    Args:
        results: of a response.
        count: number of statements in the request, without the last one that has no results.
        marked: such a last one was sent. Its result is there only if nothing was cut before it. Without one, there is
            only ``partial`` to go by, so that series of more than 10 000 rows do not count as complete either.

    Raises:
        UnreadableError: there are more results than statements.
    """
    if len(results) > count + marked:
        raise UnreadableError(f"a response with {len(results)} results to {count} statements")
    complete = results[:-1] if marked else results
    for number, result in enumerate(complete):
        if result.error or (not marked and _is_partial(result)):
            return complete[:number]
    return complete


def column_of(result: Result, column: str) -> Sequence[str]:
    """Return one column of text in the result of a SHOW statement.

    Raises:
        UnreadableError: there is no such column, or no text in it.
    """
    texts: list[str] = []
    for table in result.tables:
        if column not in table.columns or isinstance(table.rows, Series):
            raise UnreadableError(f"no column {column!r} where one was requested")
        place = table.columns.index(column)
        texts.extend(row[place] for row in table.rows)
    if not all(isinstance(item, str) for item in texts):
        raise UnreadableError(f"no text in column {column!r}")
    return texts


def retention_of(result: Result, policy: str | None) -> timedelta | None:
    """Return the duration of a retention policy, by default of the default one; None: for ever.

    Raises:
        UnreadableError: there is no such policy, or no duration in its row.
    """
    for table in result.tables:
        if isinstance(table.rows, Series):
            break
        for row in table.rows:
            facts = dict(zip(table.columns, row, strict=False))
            if facts.get("name") == policy if policy else facts.get("default") is True:
                return _duration(facts.get("duration"))
    raise UnreadableError("no retention policy where one was requested")


def _duration(text: object) -> timedelta | None:
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise UnreadableError("no duration of a retention policy")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds) or None


def most_bytes(
    format: str,  # noqa: A002 - the switch
    readings: int,
    layout: Layout,
    names: Sequence[str],
    *,
    columns: int = 1,
    wide: bool = False,
) -> int:
    """Return the largest size of a response with so many readings of these sensors.

    Args:
        format: of the response.
        readings: how many.
        layout: where they are.
        names: of the sensors.
        columns: besides the time.
        wide: there may be text among them, of which so much is expected that is usual.
    """
    reading = _READING_BYTES[format] + (columns - 1) * _CELL_BYTES[format] + wide * _TEXT_BYTES
    around = sum(len(name.encode()) for name in (layout.measurement, layout.tag_key, layout.field)) * columns
    spoken = sum(len(name.encode()) + around for name in names)
    return readings * reading + (len(names) + 1) * _TABLE_BYTES + spoken * _NAME_BYTES


def _is_partial(result: Result) -> bool:
    return result.partial or any(table.partial for table in result.tables)


# --- MessagePack -----------------------------------------------------------------------------------------------------


def _from_msgpack(body: Body) -> list[Result]:
    with collector_paused():
        return _Reader(body).answer()


class _Room:
    """How many more values may be read one by one; apart from the reader, which would hold itself and its body."""

    def __init__(self) -> None:
        self._values = MOST_VALUES

    def check(self, count: int) -> int:
        if count > self._values:
            raise DocumentTooLarge(f"a response of more than {MOST_VALUES} values that are not floats")
        return count

    def take(self, values: _Values) -> _Values:
        self._values -= self.check(1 + len(values))
        return values


class _Reader:
    """Reader of a response that turns rows into arrays without creating Python objects.

    A map is read key by key: ``take`` has a function for the value of each key, others are left out. Other threads run
    whenever an array or a map is complete, see `latigo.runtime.documents`.
    """

    def __init__(self, body: Body) -> None:
        self._body = body
        self._room = _Room()
        self._unpacker = msgpack.Unpacker(
            max_buffer_size=max(len(body), 1),
            unicode_errors="replace",
            max_array_len=_LONGEST_ARRAY,
            max_map_len=_LONGEST_ARRAY,
            list_hook=self._room.take,
            object_hook=self._room.take,
        )
        self._unpacker.feed(body)

    def answer(self) -> list[Result]:
        content = self._map({"results": self._results, "error": self._unpacker.unpack})
        if error := content.get("error"):
            return [Result(0, error=_text(error))]
        results: list[Result] = content["results"]
        return results

    def _results(self) -> list[Result]:
        return [self._result(place) for place in range(self._room.check(self._length()))]

    def _result(self, place: int) -> Result:
        unpack = self._unpacker.unpack
        keys = {"statement_id": unpack, "error": unpack, "partial": unpack, "series": self._tables}
        return _result(self._map(keys), place)

    def _tables(self) -> list[Table]:
        return [self._table() for _ in range(self._room.check(self._length()))]

    def _table(self) -> Table:
        unpack = self._unpacker.unpack
        return _table(
            self._map({"name": unpack, "tags": unpack, "columns": unpack, "partial": unpack, "values": self._rows})
        )

    def _rows(self) -> Series | list[Any]:
        count = self._length()
        begin = self._unpacker.tell()
        if (rows := read_rows(self._body, begin, count)) is not None:
            self._unpacker.read_bytes(rows.end - begin)
            return rows.series
        return [self._unpacker.unpack() for _ in range(self._room.check(count))]

    def _map(self, take: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for _ in range(self._unpacker.read_map_header()):
            key = self._unpacker.unpack()
            if key in take:
                values[key] = take[key]()
            else:
                self._unpacker.unpack()
        return values

    def _length(self) -> int:
        count: int = self._unpacker.read_array_header()
        if count > len(self._body):
            raise ValueError(f"an array of {count} values in {len(self._body)} bytes")
        return count


# --- JSON ------------------------------------------------------------------------------------------------------------


def _from_json(body: Body) -> list[Result]:
    content = read_json(body, minus_zero=_MINUS_ZERO in body)
    if error := content.get("error"):
        return [Result(0, error=_text(error))]
    return [
        _result({**item, "series": [_table(table) for table in item.get("series") or ()]}, place)
        for place, item in enumerate(content["results"])
    ]


def _result(content: Mapping[str, Any], place: int) -> Result:
    return Result(
        number=content.get("statement_id", place),  # left out of errors in MessagePack
        tables=tuple(content.get("series") or ()),
        error=_text(content.get("error") or ""),
        partial=bool(content.get("partial")),
    )


def _text(error: object) -> str:
    return error if isinstance(error, str) else shown(error, 200)


def _table(content: Mapping[str, Any]) -> Table:
    columns, rows = tuple(content["columns"]), content.get("values") or ()
    if not isinstance(rows, Series) and any(type(row) is not list or len(row) != len(columns) for row in rows):
        raise UnreadableError("rows that do not have a value for each column")
    return Table(
        measurement=content.get("name", ""),
        tags=dict(content.get("tags") or {}),
        columns=columns,
        rows=rows,
        partial=bool(content.get("partial")),
    )


_UNREADABLE: Final = (
    msgpack.exceptions.UnpackException,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    RecursionError,
    OverflowError,
)
_READERS: Final[Mapping[str, Callable[[Body], list[Result]]]] = {
    "application/x-msgpack": _from_msgpack,
    "application/json": _from_json,
}
