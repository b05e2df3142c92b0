"""Frames out of the bodies of requests, as Gordo's server reads them.

Sections 3 to 6 of the reference page on Gordo's HTTP API, implemented a second time, independent of Latigo's own
client on purpose: what both agree on is more likely to be true.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from latigo.domain.series import Times, Values
from latigo.domain.windows import EPOCH
from latigo.sandbox.gordo.body import Refused, message, page
from latigo.sandbox.gordo.frames import Index, Table

_WHOLE_NUMBER = re.compile(r"-?\d+")
_DISPOSITION = re.compile(
    rb'content-disposition:[^\r\n]*?;\s*name="([^"]*)"(?:[^\r\n]*?;\s*filename="([^"]*)")?', re.IGNORECASE
)
_BOUNDARY = re.compile(r'boundary="?([^";]+)"?')

_EMPTY = Table(Index(np.empty(0, np.int64), timed=False), (), np.empty((0, 0)))


def read_frames(body: bytes, content_type: str) -> Mapping[str, Table | None]:
    """Return the frames X and y of a request as far as it has them; None for a y that is null.

    Raises:
        Refused: 400 or 500, as Gordo responds to a body that it cannot read.
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
    """Parse JSON, which may have NaN and Infinity as bare words.

    Raises:
        Refused: 400, it is not JSON.
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
    """Return the file parts of a multipart form by name; a part without a file name is a field and left out."""
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        return {}
    parts: dict[str, bytes] = {}
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary[1].encode())[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        disposition = _DISPOSITION.search(head)
        if disposition is not None and disposition[2] is not None:
            parts[disposition[1].decode()] = content
    return parts


def _read_nested(data: Any, name: str) -> Table | None:
    """Read a frame from JSON: ``{column: {time: number}}``, or a list of rows."""
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
    read_labels(keys)  # a level whose rows have no times is a server error first
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
    """Read cells as numbers: null is NaN, and text that is a number counts as the number."""
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
    """Read the keys of a column as labels: all whole numbers, or all times in one offset.

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
    """Read a frame from a parquet file. The time column counts only if the schema marks it as a pandas index."""
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
    match = re.fullmatch(r"([+-])(\d\d):(\d\d)", zone)
    if match is None:
        return 0
    return (int(match[2]) * 60 + int(match[3])) * (-1 if match[1] == "-" else 1)
