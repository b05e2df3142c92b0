"""Frames in, answers out, as Gordo's server reads and writes them. A development part, not for production.

Sections 3 to 6 of the reference page on Gordo's HTTP API, read a second time and on purpose without a look at how
Latigo's own client reads them: what both agree on is more likely to be true.
"""

import html
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from latigo.domain.series import Times, Values
from latigo.domain.windows import EPOCH, from_ns
from latigo.sandbox.gordo.model import Output, ValuesRefused

_WHOLE_NUMBER = re.compile(r"-?\d+")
_DISPOSITION = re.compile(
    rb'content-disposition:[^\r\n]*?;\s*name="([^"]*)"(?:[^\r\n]*?;\s*filename="([^"]*)")?', re.IGNORECASE
)
_BOUNDARY = re.compile(r'boundary="?([^";]+)"?')

#: What Werkzeug says for each status, where the server does not say more.
_DESCRIPTIONS = {
    400: ("Bad Request", "The browser (or proxy) sent a request that this server could not understand."),
    404: (
        "Not Found",
        (
            "The requested URL was not found on the server. If you entered the URL manually please check your "
            "spelling and try again."
        ),
    ),
    405: ("Method Not Allowed", "The method is not allowed for the requested URL."),
    422: ("Unprocessable Entity", ""),
    500: (
        "Internal Server Error",
        (
            "The server encountered an internal error and was unable to complete your request. Either the server is "
            "overloaded or there is an error in the application."
        ),
    ),
}


class Body(NamedTuple):
    """What is sent back: JSON objects get the key ``revision`` added, bytes go as they are."""

    status: int
    content: Mapping[str, Any] | bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = {}


class Refused(Exception):
    """The request cannot be answered; ``body`` says so in Gordo's words."""

    def __init__(self, body: Body) -> None:
        super().__init__(body.status)
        self.body = body


def page(status: int, text: str = "", **headers: str) -> Body:
    """One of the HTML pages that Gordo answers some errors with."""
    title, description = _DESCRIPTIONS[status]
    shown = html.escape(text).replace("&#x27;", "&#39;") if text else description
    content = f"<!doctype html>\n<html lang=en>\n<title>{status} {title}</title>\n<h1>{title}</h1>\n<p>{shown}</p>\n"
    return Body(status, content.encode(), "text/html", headers)


def message(status: int, text: str, key: str = "message") -> Body:
    """One of the JSON bodies that Gordo answers other errors with."""
    return Body(status, {key: text})


@dataclass(frozen=True, slots=True)
class Index:
    """The labels of rows: times (ns since the epoch, UTC) or row numbers.

    ``offset`` is how the times were written: as minutes from UTC, or None without any offset. ``stored`` is false for
    rows that were merely counted, which leaves no column in a parquet answer.
    """

    labels: npt.NDArray[np.int64]
    timed: bool
    offset: int | None = 0
    name: str | None = None
    stored: bool = True

    def __len__(self) -> int:
        return len(self.labels)

    def last(self, rows: int) -> "Index":
        """The labels of the last rows."""
        return Index(self.labels[len(self.labels) - rows :], self.timed, self.offset, self.name, self.stored)

    def shifted(self, by: timedelta) -> "Index":
        """The same times, later by so much."""
        return Index(self.labels + by // timedelta(microseconds=1) * 1000, self.timed, self.offset)

    def texts(self, separator: str = "T") -> list[str]:
        """Each time in its own offset, or each row number: ``T`` as values are written, a space for keys."""
        if not self.timed:
            return [str(label) for label in self.labels.tolist()]
        if self.offset == 0 and not (self.labels % 1_000_000_000).any():
            seconds = np.datetime_as_string(self.labels.view("datetime64[ns]"), unit="s").tolist()
            return [f"{text.replace('T', separator)}+00:00" for text in seconds]
        shift = timedelta(minutes=self.offset or 0)
        zone = "" if self.offset is None else _offset_text(self.offset)
        local = [(from_ns(label) + shift).replace(tzinfo=None) for label in self.labels.tolist()]
        if separator == " " and self.offset is None and all(time == _midnight(time) for time in local):
            return [f"{time:%Y-%m-%d}" for time in local]
        return [time.isoformat(separator) + zone for time in local]

    @property
    def arrow_type(self) -> pa.DataType:
        """The type of its column in a parquet answer."""
        if not self.timed:
            return pa.int64()
        return pa.timestamp("ns", tz=None if self.offset is None else self.zone)

    @property
    def zone(self) -> str:
        """The name of its time zone."""
        return _offset_text(self.offset) if self.offset else "UTC"


def _midnight(time: datetime) -> datetime:
    return time.replace(hour=0, minute=0, second=0, microsecond=0)


def _offset_text(minutes: int) -> str:
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


@dataclass(frozen=True, slots=True)
class Table:
    """One frame of a request. ``text`` is the first cell that is no number, which every model refuses."""

    index: Index
    columns: tuple[str, ...]
    values: Values
    counted_columns: bool = False
    text: str | None = None

    def checked(self, expected: Sequence[str]) -> "Table":
        """With the expected columns in the expected order: by name where all are there, else by position.

        Raises:
            Refused: 400, the number of columns is wrong as well.
        """
        if self.columns == tuple(expected):
            return self
        if not set(expected) - set(self.columns):
            places = {column: place for place, column in enumerate(self.columns)}
            wanted = [places[column] for column in expected]
            return Table(self.index, tuple(expected), self.values[:, wanted], text=self.text)
        if len(expected) == len(self.columns):
            return Table(self.index, tuple(expected), self.values, text=self.text)
        raise Refused(
            message(
                400,
                f"Unexpected features: was expecting {list(expected)} length of {len(expected)}, "
                f"but got {self._columns_text()} length of {len(self.columns)}",
            )
        )

    def _columns_text(self) -> str:
        if self.counted_columns:
            return f"RangeIndex(start=0, stop={len(self.columns)}, step=1)"
        return f"Index({list(self.columns)}, dtype='object')"

    def numbers(self) -> Values:
        """The values.

        Raises:
            ValuesRefused: one of them is text.
        """
        if self.text is not None:
            raise ValuesRefused(f"could not convert string to float: {self.text!r}")
        return self.values


_EMPTY = Table(Index(np.empty(0, np.int64), timed=False), (), np.empty((0, 0)))


def read_frames(body: bytes, content_type: str) -> Mapping[str, Table | None]:
    """The frames X and y of a request, those that are there; None for a y that is null.

    Raises:
        Refused: 400 or 500, as Gordo does for what it cannot read.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        parts = files(body, content_type)
        return {name: _read_parquet(parts[name]) for name in ("X", "y") if name in parts}
    if kind == "application/json":
        document = read_json(body)
        if isinstance(document, str):
            raise Refused(page(500))
        if isinstance(document, dict):
            return {name: _read_nested(document[name], name) for name in ("X", "y") if name in document}
    return {}


def read_json(body: bytes) -> Any:
    """A JSON body, where NaN and Infinity may stand as bare words.

    Raises:
        Refused: 400, it is no JSON.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(body)
    except ValueError:
        raise Refused(page(400)) from None


def files(body: bytes, content_type: str) -> Mapping[str, bytes]:
    """The file parts of a multipart form by name; a part without a file name is a field and not among them."""
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        return {}
    found: dict[str, bytes] = {}
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary[1].encode())[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        disposition = _DISPOSITION.search(head)
        if disposition is not None and disposition[2] is not None:
            found[disposition[1].decode()] = content
    return found


def _read_nested(data: Any, name: str) -> Table | None:
    """One frame out of JSON: ``{column: {time: number}}``, or a list of rows."""
    if data is None:
        return _EMPTY if name == "X" else None
    if isinstance(data, list):
        return _read_rows(data)
    if not isinstance(data, dict):
        raise Refused(page(500))
    if not data:
        return _EMPTY
    columns = list(data.values())
    if not any(isinstance(column, dict) for column in columns):
        lists = [column if isinstance(column, list) else [column] for column in columns]
        return _table(_counted(len(lists[0])), tuple(data), list(zip(*lists, strict=False)))
    if not all(isinstance(column, dict) for column in columns):
        raise Refused(page(500))
    if not any(columns):
        raise Refused(message(400, "Server does not support multi-level dataframes at this time: []"))
    _refuse_levels(data)
    keys = list(dict.fromkeys(key for column in columns for key in column))
    index = read_labels(keys)
    cells = [[column.get(key) for column in columns] for key in keys]
    order = np.argsort(index.labels, kind="stable")
    table = _table(index, tuple(data), cells)
    if (order == np.arange(len(order))).all():
        return table
    sorted_index = Index(index.labels[order], index.timed, index.offset)
    return Table(sorted_index, table.columns, table.values[order], text=table.text)


def _refuse_levels(data: Mapping[str, Mapping[str, Any]]) -> None:
    levels = [(name, key) for name, column in data.items() for key, cell in column.items() if _is_nested(cell)]
    if not levels:
        return
    keys = [key for column in data.values() for cell in column.values() if isinstance(cell, dict) for key in cell]
    read_labels(keys)  # a level whose rows have no times is a server error before it is a refusal
    raise Refused(message(400, f"Server does not support multi-level dataframes at this time: {levels}"))


def _is_nested(cell: object) -> bool:
    return isinstance(cell, dict | list)


def _read_rows(rows: list[Any]) -> Table:
    if not rows:
        return _EMPTY
    if all(isinstance(row, dict) for row in rows):
        columns = tuple(dict.fromkeys(key for row in rows for key in row))
        return _table(_counted(len(rows)), columns, [[row.get(column) for column in columns] for row in rows])
    cells = [row if isinstance(row, list) else [row] for row in rows]
    width = max(len(row) for row in cells)
    table = _table(_counted(len(rows)), tuple(str(n) for n in range(width)), cells)
    return Table(table.index, table.columns, table.values, counted_columns=True, text=table.text)


def _counted(rows: int, *, stored: bool = True) -> Index:
    return Index(np.arange(rows, dtype=np.int64), timed=False, stored=stored)


def _table(index: Index, columns: tuple[str, ...], rows: Iterable[Sequence[Any]]) -> Table:
    """Cells as numbers: null is NaN, and text that reads as a number counts as the number."""
    cells = list(rows)
    try:
        values = np.array(cells, dtype=np.float64).reshape(len(cells), len(columns))
    except (TypeError, ValueError):
        pass
    else:
        return Table(index, columns, values)
    values = np.full((len(cells), len(columns)), np.nan)
    text: str | None = None
    for row, line in enumerate(cells):
        for place, cell in enumerate(line):
            try:
                values[row, place] = np.nan if cell is None else float(cell)
            except (TypeError, ValueError):
                text = text if text is not None else str(cell)
    return Table(index, columns, values, text=text)


def read_labels(keys: Sequence[str]) -> Index:
    """The keys of a column as labels: all whole numbers, or all times in one offset.

    Raises:
        Refused: 500, neither.
    """
    if keys and all(key[19:] in {"+00:00", "Z"} for key in keys):
        try:
            times = np.array([key[:19] for key in keys], dtype="datetime64[s]")
        except ValueError:
            raise Refused(page(500)) from None
        return Index(times.astype("datetime64[ns]").view(np.int64), timed=True)
    if all(_WHOLE_NUMBER.fullmatch(key) for key in keys):
        return Index(np.array([int(key) for key in keys], dtype=np.int64), timed=False)
    try:
        parsed = [datetime.fromisoformat(key) for key in keys]
    except ValueError:
        raise Refused(page(500)) from None
    offsets = {time.utcoffset() for time in parsed}
    if len(offsets) != 1:
        raise Refused(page(500))
    offset = offsets.pop()
    aware = [time if offset is not None else time.replace(tzinfo=UTC) for time in parsed]
    labels = np.array([(time - EPOCH) // timedelta(microseconds=1) * 1000 for time in aware], dtype=np.int64)
    return Index(labels, timed=True, offset=None if offset is None else offset // timedelta(minutes=1))


def _read_parquet(content: bytes) -> Table:
    """One frame out of a parquet file. The time column counts only when the schema marks it as a pandas index."""
    try:
        table = pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)
        pandas = orjson.loads((table.schema.metadata or {}).get(b"pandas", b"{}"))
    except (pa.ArrowException, ValueError):
        raise Refused(page(500)) from None
    if pandas.get("index_columns") and not pandas.get("columns") and table.num_columns:
        raise Refused(page(500))
    marked = next((name for name in pandas.get("index_columns", ()) if isinstance(name, str)), None)
    index = _counted(table.num_rows, stored=False)
    if marked is not None:
        index = _parquet_index(table.column(marked), marked)
        table = table.drop_columns([marked])
    numeric = [place for place, kind in enumerate(table.schema.types) if not pa.types.is_temporal(kind)]
    columns = tuple(table.schema.names[place] for place in numeric)
    cells = [_parquet_column(table.column(place)) for place in numeric]
    values = np.column_stack(cells) if cells else np.empty((table.num_rows, 0))
    return Table(index, columns, values)


def _parquet_column(column: pa.ChunkedArray) -> Values:
    try:
        values: Values = column.cast(pa.float64()).to_numpy()
    except pa.ArrowException:
        raise Refused(page(500)) from None
    return values


def _parquet_index(column: pa.ChunkedArray, marked: str) -> Index:
    name = None if marked.startswith("__index_level_") else marked
    if not pa.types.is_timestamp(column.type):
        return Index(column.cast(pa.int64()).to_numpy(), timed=False, name=name)
    zone = column.type.tz
    offset = None if zone is None else _zone_minutes(zone)
    labels: Times = column.cast(pa.timestamp("ns", tz=zone)).cast(pa.int64()).to_numpy()
    return Index(labels, timed=True, offset=offset, name=name)


def _zone_minutes(zone: str) -> int:
    found = re.fullmatch(r"([+-])(\d\d):(\d\d)", zone)
    if found is None:
        return 0
    return (int(found[2]) * 60 + int(found[3])) * (-1 if found[1] == "-" else 1)


class Group(NamedTuple):
    """A group of answer columns: ``values`` has shape (rows, tags), or (rows,) for a group without tags.

    A list of texts, or None for nothing but nulls, in ``start`` and ``end``.
    """

    name: str
    tags: tuple[str, ...]
    values: Output | list[str] | None


def answer_json(groups: Sequence[Group], index: Index) -> Mapping[str, Any]:
    """``{group: {column: {time: value}}}`` with sorted keys; NaN and infinities are left to the encoder."""
    order = np.argsort(index.labels, kind="stable").tolist()
    keys = index.texts(" ")
    ordered = [keys[place] for place in order]

    def column(values: Sequence[Any]) -> Mapping[str, Any]:
        return dict(zip(ordered, [values[place] for place in order], strict=True))

    data: dict[str, Any] = {}
    for group in sorted(groups, key=lambda group: group.name):
        if group.values is None:
            data[group.name] = {group.name: column([None] * len(keys))}
        elif isinstance(group.values, list):
            data[group.name] = {group.name: column(group.values)}
        elif group.values.ndim == 1:
            data[group.name] = {group.name: column(group.values.tolist())}
        else:
            cells = dict(zip(group.tags, group.values.T.tolist(), strict=True))
            data[group.name] = {tag: column(cells[tag]) for tag in sorted(cells)}
    return data


def encode_json(document: Mapping[str, Any]) -> bytes:
    """JSON as Flask writes it here: NaN and infinities as bare words, everything else in ASCII."""
    return (json.dumps(document)).encode()


def answer_parquet(groups: Sequence[Group], index: Index) -> bytes:
    """The parquet file of an answer."""
    sink = io.BytesIO()
    pq.write_table(answer_table(groups, index), sink, compression="snappy", version="2.6")
    return sink.getvalue()


def answer_table(groups: Sequence[Group], index: Index) -> pa.Table:
    """The columns of an answer, described so that pandas makes a column index of two levels of them again."""
    arrays: list[pa.Array] = []
    names: list[str] = []
    described: list[Mapping[str, Any]] = []
    for group in groups:
        for tag, array, pandas_type, numpy_type in _arrow_columns(group, len(index)):
            names.append(repr((group.name, tag)))
            arrays.append(array)
            described.append(_described(names[-1], names[-1], pandas_type, numpy_type))
    marked: list[Any] = [{"kind": "range", "name": None, "start": 0, "stop": len(index), "step": 1}]
    if index.stored:
        names.append(index.name or "__index_level_0__")
        arrays.append(pa.array(index.labels).cast(index.arrow_type))
        marked = [names[-1]]
        described.append(_described_index(index, names[-1]))
    level = {"name": None, "field_name": None, "pandas_type": "unicode", "numpy_type": "object"}
    pandas = {
        "index_columns": marked,
        "column_indexes": [{**level, "metadata": {"encoding": "UTF-8"}}] * 2,
        "columns": described,
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "1.5.3",
    }
    return pa.table(arrays, names=names).replace_schema_metadata({"pandas": json.dumps(pandas)})


def _arrow_columns(group: Group, rows: int) -> Iterable[tuple[str, pa.Array, str, str]]:
    """Name, array and pandas types of the columns of one group."""
    if group.values is None:
        yield "", pa.nulls(rows), "empty", "object"
    elif isinstance(group.values, list):
        yield "", pa.array(group.values, pa.string()), "unicode", "object"
    else:
        kind = str(group.values.dtype)
        columns = (group.values,) if group.values.ndim == 1 else tuple(np.ascontiguousarray(group.values.T))
        for tag, values in zip(group.tags or ("",), columns, strict=True):
            yield tag, pa.array(values, from_pandas=True), kind, kind


def _described(name: str | None, field_name: str, pandas_type: str, numpy_type: str) -> dict[str, Any]:
    return {
        "name": name,
        "field_name": field_name,
        "pandas_type": pandas_type,
        "numpy_type": numpy_type,
        "metadata": None,
    }


def _described_index(index: Index, field_name: str) -> Mapping[str, Any]:
    if not index.timed:
        return _described(index.name, field_name, "int64", "int64")
    if index.offset is None:
        return _described(index.name, field_name, "datetime", "datetime64[ns]")
    zoned = _described(index.name, field_name, "datetimetz", "datetime64[ns]")
    return {**zoned, "metadata": {"timezone": index.zone}}
