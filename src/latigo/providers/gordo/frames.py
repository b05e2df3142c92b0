"""Frames to request bodies, parquet responses to predictions. Pure: bytes in, bytes out."""

import re
import secrets
from ast import literal_eval
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from latigo.domain.model import ModelRef
from latigo.domain.series import Column, Frame, Predictions, Times, Values
from latigo.runtime.redaction import excerpt

#: Below this many rows JSON costs client and server less than parquet does, above it more.
JSON_ROWS = 150

NOT_WRITTEN = frozenset({"start", "end", "model-input"})  #: column groups of a response that are not stored

_SECOND = 1_000_000_000
_TIME = pa.timestamp("ns", "UTC")
#: Key of what repeats the columns in Arrow's own words, and the same so that pyarrow does not know it: to read it takes
#: a fifth of the time of a response of few rows, and the types of Gordo's columns are those of parquet.
_ARROW_SCHEMA, _HIDDEN = b"\x0cARROW:schema", b"\x0c------schema"
#: A tuple of two texts as Python writes it, where neither needs escapes; all names but the oddest.
_PLAIN_NAMES = re.compile(r"^\('([^'\\\n]*)', '([^'\\\n]*)'\)$", re.MULTILINE)
_LONGEST_NAME = 4096
_MOST_COLUMNS = 20_000
_THRIFT_LIMIT = 64 << 20


class UnreadableResponse(ValueError):
    """The bytes are not a parquet response of Gordo."""


class RequestBody(NamedTuple):
    """Body of a POST request."""

    content_type: str
    data: bytes


def request_body(x: Frame, y: Frame | None = None) -> RequestBody:
    """Return X, and y where the path needs it, as Gordo reads them: JSON while they are small, parquet above.

    The format of the response does not depend on it. JSON has no word for infinity, and Gordo reads six digits of a
    second at most, so frames with infinities or fractions of a second are parquet whatever their size.
    """
    if len(x) < JSON_ROWS and _fits_json(x) and (y is None or _fits_json(y)):
        return _json_body(x, y)
    return _multipart_body(x, y)


def _fits_json(frame: Frame) -> bool:
    return not (np.isinf(frame.values).any() or (frame.times % _SECOND).any())


def _json_body(x: Frame, y: Frame | None) -> RequestBody:
    parts = {"X": _json_frame(x)}
    if y is not None:
        parts["y"] = parts["X"] if _alike(x, y) else _json_frame(y)
    return RequestBody("application/json", orjson.dumps(parts))


def _json_frame(frame: Frame) -> orjson.Fragment:
    labels = np.datetime_as_string(frame.times.view("M8[ns]").astype("M8[s]"), timezone="UTC").tolist()
    columns = zip(frame.columns, frame.values.T.tolist(), strict=True)
    return orjson.Fragment(orjson.dumps({name: dict(zip(labels, values, strict=True)) for name, values in columns}))


def _multipart_body(x: Frame, y: Frame | None) -> RequestBody:
    boundary = secrets.token_hex(16)
    files = {"X": _parquet_file(x)}
    if y is not None:
        files["y"] = files["X"] if _alike(x, y) else _parquet_file(y)
    lines: list[bytes | memoryview] = []
    for name, file in files.items():
        # The file name is what makes it a file: a part without one is a form field, and "X" is missing.
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        lines += [head.encode(), memoryview(file), b"\r\n"]
    lines.append(f"--{boundary}--\r\n".encode())
    return RequestBody(f"multipart/form-data; boundary={boundary}", b"".join(lines))


def _parquet_file(frame: Frame) -> pa.Buffer:
    index = _index_name(frame.columns)
    fields = [*(pa.field(name, pa.float64()) for name in frame.columns), pa.field(index, _TIME)]
    columns = np.asfortranarray(frame.values)
    arrays = [*(pa.array(columns[:, i]) for i in range(len(frame.columns))), pa.array(frame.times).view(_TIME)]
    table = pa.Table.from_arrays(arrays, schema=pa.schema(fields, {"pandas": _pandas_metadata(index)}))
    sink = pa.BufferOutputStream()
    # Readings hardly compress, and this file is never searched.
    pq.write_table(table, sink, compression="none", use_dictionary=False, write_statistics=False)
    return sink.getvalue()


def _index_name(columns: Sequence[str]) -> str:
    name = "time"
    while name in columns:
        name += "_"
    return name


def _pandas_metadata(index: str) -> bytes:
    """Return metadata that marks the times as index: without it Gordo numbers the rows; with less, it answers 500."""
    column = {
        "name": index,
        "field_name": index,
        "pandas_type": "datetimetz",
        "numpy_type": "datetime64[ns]",
        "metadata": {"timezone": "UTC"},
    }
    return orjson.dumps({"index_columns": [index], "column_indexes": [], "columns": [column]})


def _alike(x: Frame, y: Frame) -> bool:
    """Return whether X and y are equal, so that they are encoded once: most models predict their own inputs."""
    return x is y or (
        x.columns == y.columns and np.array_equal(x.times, y.times) and np.array_equal(x.values, y.values, True)
    )


def read_predictions(body: bytearray, *, model: ModelRef, revision: str, max_rows: int, max_bytes: int) -> Predictions:
    """Return the predictions in a parquet response, without ``start``, ``end`` and ``model-input``.

    Null becomes NaN, every number float64, times int64 ns UTC in the order of the response.

    Args:
        body: the whole response; the key of its Arrow schema is changed in place.
        model: the model that was executed.
        revision: the revision that was executed.
        max_rows: rows of the request; more are refused before they are decoded.
        max_bytes: largest decoded response; a larger one is refused before it is decoded.

    Raises:
        UnreadableResponse: it is no parquet, has no times, or its columns are not named as Gordo names them.
    """
    try:
        table, columns = _wanted_table(body, max_rows, max_bytes)
        return Predictions(model, revision, _times(table), columns, _matrix(table))
    except UnreadableResponse:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UnreadableResponse(f"no parquet that can be read: {error}") from error


class _FlatFile(pq.ParquetFile):  # type: ignore[misc]  # pyarrow has no types
    """A file whose columns are read by number."""

    def _build_nested_paths(self) -> dict[str, list[int]]:
        return {}  # only for columns by name; a tenth of the work. A pyarrow without this method just does that work


def _wanted_table(body: bytearray, max_rows: int, max_bytes: int) -> tuple[pa.Table, tuple[Column, ...]]:
    """Return the columns that are kept, and the times after them."""
    if (key := body.rfind(_ARROW_SCHEMA)) >= 0:  # in place: to copy 100 kB costs 30 us and more
        body[key : key + len(_HIDDEN)] = _HIDDEN
    file = _FlatFile(
        pa.BufferReader(body),
        pre_buffer=False,  # it is in memory
        thrift_string_size_limit=_THRIFT_LIMIT,
        thrift_container_size_limit=1 << 20,
    )
    # Not file.schema, which with the metadata is a cycle: a third of a megabyte until garbage is collected.
    names: list[str] = [path[-1] for path in file.reader.column_paths]
    _check_size(file.metadata, max_rows, max_bytes)
    columns, wanted = wanted_columns(names[:-1])
    # By number and in this thread: looking names up and starting threads takes longer than the reading.
    table = file.reader.read_all(column_indices=[*wanted, len(names) - 1], use_threads=False)
    if table.num_columns != len(wanted) + 1:
        raise UnreadableResponse("columns within columns")
    return table, columns


def _check_size(metadata: Any, max_rows: int, max_bytes: int) -> None:
    if not 1 < metadata.num_columns <= _MOST_COLUMNS:
        raise UnreadableResponse(f"{metadata.num_columns} columns")
    if not 0 < metadata.num_rows <= max_rows:
        raise UnreadableResponse(f"{metadata.num_rows} rows to a request of {max_rows}")
    groups = metadata.num_row_groups
    size = sum(metadata.row_group(i).total_byte_size for i in range(groups)) if groups <= max_rows else max_bytes + 1
    if max(size, metadata.num_rows * metadata.num_columns * 8) > max_bytes:
        raise UnreadableResponse(f"more than {max_bytes} bytes when decoded")


def wanted_columns(names: Sequence[str]) -> tuple[tuple[Column, ...], list[int]]:
    """Return the columns that are kept, and their positions.

    Raises:
        UnreadableResponse: a name is not a tuple of two texts.
    """
    lines = "\n".join(names)  # there are many names, and one search costs half of as many
    pairs: Sequence[tuple[str, str]] = _PLAIN_NAMES.findall(lines)
    if len(pairs) != len(names) or lines.count("\n") != len(names) - 1:
        pairs = [_pair(name) for name in names]
    wanted = [i for i, (group, _) in enumerate(pairs) if group not in NOT_WRITTEN]
    return tuple([tuple.__new__(Column, pairs[i]) for i in wanted]), wanted  # a third of what the constructor takes


def _pair(name: str) -> tuple[str, str]:
    """Return the two parts of a column name, which is a Python tuple as text."""
    try:
        parts = literal_eval(name) if len(name) <= _LONGEST_NAME else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        parts = None
    match parts:
        case (str(group), str(tag)):
            return group, tag
    raise UnreadableResponse(f"a column is named {excerpt(name, 100)!r}")


def _times(table: pa.Table) -> Times:
    """Return the row labels: the last column, whatever the name of the index in X."""
    index = table.column(table.num_columns - 1)
    if not pa.types.is_timestamp(index.type) or index.null_count:
        raise UnreadableResponse("the last column does not contain times")
    times: Times = index.cast(_TIME).to_numpy().view(np.int64)
    return times


def _matrix(table: pa.Table) -> Values:
    numbers = table.remove_column(table.num_columns - 1)
    if not numbers.num_columns:
        return np.empty((len(table), 0))
    batches = numbers.to_batches()
    (batch,) = batches if len(batches) == 1 else numbers.combine_chunks().to_batches()
    # Gordo writes NaN as null. The outputs of Keras models are float32; next to float64 they are widened.
    values: Values = batch.to_tensor(null_to_nan=True).to_numpy().astype(np.float64, copy=False)
    return values
