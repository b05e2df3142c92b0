"""A Gordo whose predictions cost next to nothing; ``python -m benchmarks.gordo_stub`` runs it in a process of its own.

Where a benchmark measures Latigo, the server must not cost more than the client. A parquet response of real Gordo is
mostly footer: names of columns, over and over, which depend on nothing but the tags. So a response is encoded once, as
Gordo does it but for ``start``, ``end`` and the index: these are written without compression, dictionary and
statistics, so that a marker in the place of a time appears literally, as those in the place of tags do. Every later
response of the same form (rows, lengths of the names) is the same bytes with the markers replaced by the model's own
tags and the times of the request, also in the Arrow schema, which is in base64: a tenth of a millisecond against
several, for a file that every reader accepts and that is as large as Gordo's.

Columns, rows and times of such a response are those of the request. The numbers are the same in every response, also in
``model-input``.
"""

import io
import re
from base64 import b64decode, b64encode
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from latigo.sandbox.gordo import ModelDefinition
from latigo.sandbox.gordo.frames import Index
from latigo.sandbox.gordo.program import main
from latigo.sandbox.gordo.requests import files, read_labels
from latigo.sandbox.gordo.responses import Group, response_table

#: Names that are literally in the file, in a Python tuple and in JSON.
_SIMPLE_NAME = re.compile(r"[A-Za-z0-9 _.:/%+#-]{6,}")
_MARKER = re.compile(rb"@(\d{4})~+|<([SE])(\d{6})>~+")
_UTC_LABEL = re.compile(r".{19}(\+00:00|Z)")  #: as gordo-client writes it, and as Latigo does
_TIME_MARKER = 0x0123_4567_89AB_0000
_TEXT_LENGTH = len("2025-10-20T00:00:00+00:00")
_MOST_ROWS = 20_000  # beyond that a column takes more than one page, and its times are not in one piece
_MOST_TAGS = 2_000
_TEMPLATES_KEPT = 64
_SCHEMA_KEY = b"ARROW:schema"
_REPEATED = 126  #: bytes a column that pyarrow of Gordo's time writes twice, and that no reader reads

_TAG_GROUPS = ("tag-anomaly-scaled", "tag-anomaly-unscaled")


@dataclass(frozen=True, slots=True)
class _Form:
    """Everything that the bytes of a response depend on, except tags and times."""

    anomaly: bool
    single: bool  #: model output in float32
    rows: int
    index_name: str | None
    lengths: tuple[int, ...]  #: of the names of all tags, in bytes
    inputs: tuple[int, ...]  #: which of them are the columns of X
    targets: tuple[int, ...]


class _Pieces:
    """Bytes with markers, in pieces, every second of which is replaced."""

    def __init__(self, encoded: bytes, spans: Sequence[tuple[int, int, int]]) -> None:
        self._pieces: list[bytes] = []
        self._fills: list[int] = []
        end = 0
        for start, stop, fill in sorted(spans):
            self._pieces += (encoded[end:start], b"")
            self._fills.append(fill)
            end = stop
        self._pieces.append(encoded[end:])

    def render(self, fills: Sequence[bytes]) -> bytes:
        pieces = self._pieces.copy()
        pieces[1::2] = [fills[fill] for fill in self._fills]
        return b"".join(pieces)


class _Template:
    """The bytes of a response, and those of the Arrow schema within."""

    def __init__(self, form: _Form) -> None:
        times = np.arange(form.rows, dtype=np.int64) + _TIME_MARKER
        encoded = _encode(form, times)
        block, schema = times.tobytes(), _schema(encoded)
        first_start = 1 + len(form.lengths)
        after_all = first_start + 2 * form.rows

        def marked(content: bytes) -> list[tuple[int, int, int]]:
            spans = []
            for marker in _MARKER.finditer(content):
                if marker[1] is not None:
                    spans.append((*marker.span(), 1 + int(marker[1])))
                else:
                    spans.append((*marker.span(), first_start + form.rows * (marker[2] == b"E") + int(marker[3])))
            return spans

        where = [(encoded.index(part), len(part), fill) for part, fill in ((block, 0), (schema, after_all))]
        decoded = b64decode(schema)
        self._schema = _Pieces(decoded, marked(decoded))
        self._file = _Pieces(encoded, [*marked(encoded), *((at, at + length, fill) for at, length, fill in where)])
        self._no_ends = [b""] * (0 if form.anomaly else form.rows)

    def render(self, fills: Sequence[bytes]) -> bytes:
        """Return the response with times, tags, start and end texts in this order, all of the lengths of the form."""
        return self._file.render([*fills, *self._no_ends, b64encode(self._schema.render(fills))])


def _schema(encoded: bytes) -> bytes:
    """Return the Arrow schema of a file, in base64 as it stands there."""
    metadata = pq.ParquetFile(pa.BufferReader(encoded)).metadata.metadata
    schema: bytes = metadata[_SCHEMA_KEY]
    return schema


def _encode(form: _Form, times: np.ndarray[tuple[int], np.dtype[np.int64]]) -> bytes:
    names = [f"@{place:04d}".ljust(length, "~") for place, length in enumerate(form.lengths)]
    inputs = tuple(names[place] for place in form.inputs)
    targets = tuple(names[place] for place in form.targets)
    texts = {side: [f"<{side}{row:06d}>".ljust(_TEXT_LENGTH, "~") for row in range(form.rows)] for side in "SE"}
    numbers = _numbers(form.rows, len(inputs))
    outputs = _numbers(form.rows, len(targets))
    groups = [
        Group("start", (), texts["S"]),
        Group("end", (), texts["E"] if form.anomaly else None),
        Group("model-input", inputs, numbers),
        Group("model-output", targets, outputs.astype(np.float32) if form.single else outputs),
    ]
    if form.anomaly:
        for name in _TAG_GROUPS:
            groups += (Group(name, targets, outputs), Group(name.replace("tag", "total"), (), outputs[:, 0]))
        groups.append(Group("anomaly-confidence", targets, outputs))
        groups.append(Group("total-anomaly-confidence", (), outputs[:, 0]))
    return _parquet(response_table(groups, Index(times, timed=True, name=form.index_name)))


def _parquet(table: pa.Table) -> bytes:
    """Return a file as Gordo writes it, which has every name, text and time literally."""
    numbers = [field.name for field in table.schema if pa.types.is_floating(field.type)]
    literal = [name for name in table.schema.names if name not in numbers]
    sink = io.BytesIO()
    pq.write_table(
        table,
        sink,
        version="2.6",
        compression=dict.fromkeys(numbers, "snappy") | dict.fromkeys(literal, "none"),
        use_dictionary=numbers,
        write_statistics=numbers,
    )
    encoded = sink.getvalue()
    footer = len(encoded) - 8 - int.from_bytes(encoded[-8:-4], "little")
    return encoded[:footer] + bytes(_REPEATED * table.num_columns) + encoded[footer:]


def _numbers(rows: int, columns: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return finite numbers that compress no better than readings do."""
    return np.random.default_rng(rows).normal(100.0, 5.0, (rows, columns))


class StubPredictions:
    """Canned responses, cut to the tags of a model and the times of a request."""

    def __init__(self) -> None:
        self._templates: OrderedDict[_Form, _Template] = OrderedDict()

    def predict(
        self,
        definition: ModelDefinition,
        revision: str,  # noqa: ARG002 - the numbers are the same in every one
        body: bytes,
        content_type: str,
        *,
        anomaly: bool,
    ) -> tuple[bytes, Index] | None:
        index = read_index(body, content_type)
        response = None if index is None else self.answer(definition, index, anomaly=anomaly)
        return None if index is None or response is None else (response, index)

    def answer(self, definition: ModelDefinition, index: Index, *, anomaly: bool) -> bytes | None:
        """Return a parquet response for the rows of X; None if there is no template for it."""
        rows = len(index) - definition.offset
        if not 0 < rows <= _MOST_ROWS or not _whole_seconds(index) or not _simple(definition, index):
            return None
        lengths, inputs, targets, tags = self._named(definition)
        template = self._template(_Form(anomaly, definition.kind.keras, rows, index.name, lengths, inputs, targets))
        answered = index.last(rows)
        starts = "\0".join(answered.texts()).encode().split(b"\0")
        ends = "\0".join(answered.shifted(definition.resolution).texts()).encode().split(b"\0") if anomaly else []
        return template.render([answered.labels.tobytes(), *tags, *starts, *ends])

    def _named(
        self, definition: ModelDefinition
    ) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], list[bytes]]:
        names = list(dict.fromkeys((*definition.tags, *definition.target_list)))
        places = {name: place for place, name in enumerate(names)}
        return (
            tuple(len(name) for name in names),
            tuple(places[name] for name in definition.tags),
            tuple(places[name] for name in definition.target_list),
            [name.encode() for name in names],
        )

    def _template(self, form: _Form) -> _Template:
        template = self._templates.get(form)
        if template is None:
            template = self._templates[form] = _Template(form)
            if len(self._templates) > _TEMPLATES_KEPT:
                self._templates.popitem(last=False)
        self._templates.move_to_end(form)
        return template


def read_index(body: bytes, content_type: str) -> Index | None:
    """Return the labels of the rows of X, and nothing else of the request; None if they need the full parser."""
    if content_type.startswith("application/json"):
        try:
            columns = orjson.loads(body)["X"]
            keys = list(next(iter(columns.values())))
        except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError, StopIteration):
            return None
        if not all(map(_UTC_LABEL.fullmatch, keys)):
            return None
        return read_labels(keys)
    content = files(body, content_type).get("X")
    return None if content is None else _parquet_index(content)


def _parquet_index(content: bytes) -> Index | None:
    try:
        source = pq.ParquetFile(pa.BufferReader(content))
        pandas: Mapping[str, Sequence[object]] = orjson.loads((source.schema_arrow.metadata or {})[b"pandas"])
        name = next(name for name in pandas["index_columns"] if isinstance(name, str))
        times = source.read(columns=[name], use_threads=False).column(0).cast(pa.timestamp("ns", tz="UTC"))
    except (pa.ArrowException, LookupError, ValueError, StopIteration):
        return None
    labels = times.cast(pa.int64()).to_numpy()
    return Index(labels, timed=True, name=None if name.startswith("__index_level_") else name)


def _whole_seconds(index: Index) -> bool:
    rising = bool((np.diff(index.labels) > 0).all())
    return index.timed and index.offset == 0 and rising and not (index.labels % 1_000_000_000).any()


def _simple(definition: ModelDefinition, index: Index) -> bool:
    names = (*definition.tags, *definition.target_list)
    if index.name is not None and not index.name.isidentifier():
        return False
    return len(names) <= _MOST_TAGS and all(_SIMPLE_NAME.fullmatch(name) for name in names)


if __name__ == "__main__":
    main(StubPredictions(), "python -m benchmarks.gordo_stub")
