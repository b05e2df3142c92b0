"""Predictions as Gordo's server writes them: JSON and parquet."""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from latigo.sandbox.gordo.frames import Index
from latigo.sandbox.gordo.model import Output


class Group(NamedTuple):
    """A group of columns of a response: ``values`` has shape (rows, tags), or (rows,) for a group without tags.

    A list of texts, or None for nothing but nulls, in ``start`` and ``end``.
    """

    name: str
    tags: tuple[str, ...]
    values: Output | list[str] | None


def response_json(groups: Sequence[Group], index: Index) -> Mapping[str, Any]:
    """Return ``{group: {column: {time: value}}}`` with sorted keys; NaN and infinities are left to the encoder."""
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


def response_parquet(groups: Sequence[Group], index: Index) -> bytes:
    """Return the parquet file of a response."""
    sink = io.BytesIO()
    pq.write_table(response_table(groups, index), sink, compression="snappy", version="2.6")
    return sink.getvalue()


def response_table(groups: Sequence[Group], index: Index) -> pa.Table:
    """Return the columns of a response, described so that pandas restores a column index of two levels."""
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
    """Yield name, array and pandas types of the columns of one group."""
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
