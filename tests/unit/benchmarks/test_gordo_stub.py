"""Canned answers: columns, rows and times are those of the request, and only the numbers are made up."""

import io
import json
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.gordo_stub import StubPredictions, read_index
from latigo.domain.series import Frame
from latigo.domain.windows import to_ns
from latigo.providers.gordo.frames import request_body
from latigo.sandbox.gordo import ModelDefinition, ModelKind, ProjectDefinition, SandboxGordo, open_sandbox_gordo
from latigo.sandbox.gordo.frames import Index
from tests.support.examples import examples

Nested = Mapping[str, Mapping[str, float]]

RESPONSES = Path(__file__).parents[2] / "data/gordo_recorded/responses"
START = datetime(2025, 10, 20, tzinfo=UTC)
TEN = timedelta(minutes=10)
AB = ("1903.PT-0017.PV", "1903.TT-0017.PV")
CD = ("1903.PT-4711.PV", "1903.TT-4711.PV")
MODELS = (
    ModelDefinition("ab", AB),
    ModelDefinition("cd", CD),
    ModelDefinition("targets", AB, targets=("1903.FT-0001.PV", AB[1])),
    ModelDefinition("lstm", AB, ModelKind.LSTM_AUTOENCODER),
    ModelDefinition("keras", AB, ModelKind.KERAS),
    ModelDefinition("plain", AB, ModelKind.PLAIN),
    ModelDefinition("odd", ("a'b", 'c"d\\e', "Å-ÅÅÅÅ")),
)


def index(rows: int, start: datetime = START, step: timedelta = TEN) -> Index:
    return Index(np.array([to_ns(start + n * step) for n in range(rows)], dtype=np.int64), timed=True)


@settings(max_examples=examples(40))
@given(
    tags=st.lists(st.from_regex(r"[A-Za-z0-9 _.:/%+#-]{6,30}", fullmatch=True), min_size=1, max_size=8, unique=True),
    rows=st.integers(1, 40),
    kind=st.sampled_from([ModelKind.PCA, ModelKind.KERAS, ModelKind.LSTM_FORECAST]),
    anomaly=st.booleans(),
    seconds=st.integers(0, 4 * 10**9),
    resolution=st.integers(1, 86400),
)
def test_any_reader_finds_the_tags_of_the_model_and_the_times_of_the_request(
    tags: list[str], rows: int, kind: ModelKind, anomaly: bool, seconds: float, resolution: int
) -> None:
    step = timedelta(seconds=resolution)
    model = ModelDefinition("m", tuple(tags), kind, resolution=step)
    start = datetime.fromtimestamp(seconds, UTC)

    answer = StubPredictions().answer(model, index(rows + model.offset, start, step), anomaly=anomaly)

    assert answer is not None
    table = pq.read_table(io.BytesIO(answer))
    times = [start + (n + model.offset) * step for n in range(rows)]
    assert table.column("__index_level_0__").to_pylist() == [
        pa.scalar(t, pa.timestamp("ns", "UTC")).as_py() for t in times
    ]
    assert table.column("('start', '')").to_pylist() == [time.isoformat() for time in times]
    ends = [(time + step).isoformat() if anomaly else None for time in times]
    assert table.column("('end', '')").to_pylist() == ends
    outputs = [name for name in table.schema.names if name.startswith("('model-output'")]
    assert outputs == [repr(("model-output", tag)) for tag in tags]
    assert all(np.isfinite(table.column(name).to_numpy()).all() for name in outputs)


def test_an_answer_is_as_large_as_that_of_real_gordo_and_describes_its_columns_as_often() -> None:
    recorded = (RESPONSES / "anomaly-wide-linear-parquet.parquet").read_bytes()
    there = pq.ParquetFile(io.BytesIO(recorded))
    tags = tuple(f"1902.W.TT-{number:03d}.PV" for number in range(1, 21))

    answer = StubPredictions().answer(ModelDefinition("m", tags), index(there.metadata.num_rows), anomaly=True)

    assert answer is not None
    here = pq.ParquetFile(io.BytesIO(answer))
    assert len(answer) == pytest.approx(len(recorded), rel=0.01)
    assert here.schema.names == there.schema.names
    assert here.metadata.metadata.keys() == there.metadata.metadata.keys()
    schema = pa.ipc.read_schema(pa.py_buffer(b64decode(here.metadata.metadata[b"ARROW:schema"])))
    assert schema.names == there.schema.names


@pytest.fixture
async def servers() -> AsyncIterator[tuple[SandboxGordo, SandboxGordo]]:
    project = ProjectDefinition("plant-a", MODELS)
    async with open_sandbox_gordo(project, canned=StubPredictions()) as stub, open_sandbox_gordo(project) as real:
        yield stub, real


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def nested(tags: Sequence[str], rows: int) -> Nested:
    times = [str(START + n * TEN) for n in range(rows)]
    return {tag: {time: 50.0 + n for n, time in enumerate(times)} for tag in tags}


def parquet_form(frames: Mapping[str, Nested]) -> aiohttp.FormData:
    form = aiohttp.FormData()
    for name, columns in frames.items():
        times = pa.array([datetime.fromisoformat(t) for t in next(iter(columns.values()))], pa.timestamp("ns", "UTC"))
        arrays = {tag: list(cells.values()) for tag, cells in columns.items()}
        described = {"name": "time", "field_name": "time", "pandas_type": "datetimetz", "numpy_type": "datetime64[ns]"}
        pandas = {
            "index_columns": ["time"],
            "column_indexes": [],
            "columns": [{**described, "metadata": {"timezone": "UTC"}}],
        }
        sink = io.BytesIO()
        pq.write_table(
            pa.table({**arrays, "time": times}).replace_schema_metadata({"pandas": json.dumps(pandas)}), sink
        )
        form.add_field(name, sink.getvalue(), filename=name)
    return form


async def post(
    http: aiohttp.ClientSession,
    server: SandboxGordo,
    model: ModelDefinition,
    *,
    parquet: bool = False,
    path: str = "anomaly/prediction",
) -> tuple[int, bytes]:
    frames = {"X": nested(model.tags, 9), "y": nested(model.target_list, 9)}
    body: dict[str, Any] = {"data": parquet_form(frames)} if parquet else {"json": frames}
    url = f"{server.url}/gordo/v0/plant-a/{model.name}/{path}"
    async with http.post(url, params={"format": "parquet"}, **body) as response:
        return response.status, await response.read()


@pytest.mark.parametrize("parquet", [False, True])
@pytest.mark.parametrize("path", ["anomaly/prediction", "prediction"])
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
async def test_a_canned_answer_has_the_schema_rows_and_times_of_a_computed_one(
    http: aiohttp.ClientSession,
    servers: tuple[SandboxGordo, SandboxGordo],
    model: ModelDefinition,
    path: str,
    parquet: bool,
) -> None:
    stub, real = [await post(http, server, model, parquet=parquet, path=path) for server in servers]

    if model.kind is ModelKind.PLAIN and path == "anomaly/prediction":
        assert stub[0] == real[0] == 422
        return
    canned, computed = (pq.read_table(io.BytesIO(body)) for _, body in (stub, real))
    described, expected = (json.loads(table.schema.metadata[b"pandas"]) for table in (canned, computed))
    assert canned.schema.equals(computed.schema)
    assert described == expected
    for name in ("('start', '')", "('end', '')", canned.schema.names[-1]):
        assert canned.column(name) == computed.column(name)


async def test_models_whose_tags_are_as_long_share_one_template_and_train_nothing(
    http: aiohttp.ClientSession, servers: tuple[SandboxGordo, SandboxGordo]
) -> None:
    stub, _ = servers

    bodies = [(await post(http, stub, model))[1] for model in MODELS[:2] for _ in range(2)]

    assert b"1903.PT-4711.PV" in bodies[2]
    assert b"1903.PT-0017.PV" not in bodies[2]
    assert isinstance(stub._canned, StubPredictions)
    assert len(stub._canned._templates) == 1
    assert len(stub._fitted) == 0
    assert [run.model for run in stub.controls.executed] == ["ab", "ab", "cd", "cd"]


async def test_names_that_do_not_stand_in_the_file_as_they_are_get_a_computed_answer(
    http: aiohttp.ClientSession, servers: tuple[SandboxGordo, SandboxGordo]
) -> None:
    stub, _ = servers

    status, body = await post(http, stub, MODELS[-1])

    assert status == 200
    assert repr(("model-output", "a'b")) in pq.read_table(io.BytesIO(body)).schema.names
    assert len(stub._fitted) == 1


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"X": {}}', b'{"X": null}', b'{"y": {}}', b'{"X": {"a": {"garbage": 1}}}', b"{"]
)
async def test_a_request_that_is_not_plain_gets_the_refusal_that_it_deserves(
    http: aiohttp.ClientSession, servers: tuple[SandboxGordo, SandboxGordo], body: bytes
) -> None:
    statuses = []
    for server in servers:
        url = f"{server.url}/gordo/v0/plant-a/ab/anomaly/prediction?format=parquet"
        async with http.post(url, data=body, headers={"Content-Type": "application/json"}) as response:
            statuses.append((response.status, await response.text()))

    assert statuses[0] == statuses[1]
    assert statuses[0][0] >= 400


async def test_metadata_of_a_stub_marks_anomaly_models_without_training_them(
    http: aiohttp.ClientSession, servers: tuple[SandboxGordo, SandboxGordo]
) -> None:
    stub, _ = servers
    metas = []
    for name in ("ab", "plain"):
        async with http.get(f"{stub.url}/gordo/v0/plant-a/{name}/metadata") as response:
            document = await response.json()
        metas.append(document["metadata"]["metadata"]["build_metadata"]["model"]["model_meta"])

    assert metas[0]["feature-thresholds"] == [1.0, 1.0]
    assert metas[1] == {}
    assert len(stub._fitted) == 0


@pytest.mark.parametrize("rows", [4, 500])
def test_the_labels_of_a_request_as_latigo_writes_it_are_plain_to_see(rows: int) -> None:
    times = np.arange(rows) * 600_000_000_000
    x = Frame(times, ("a", "b"), np.zeros((rows, 2)))

    body = request_body(x, x)

    index = read_index(body.data, body.content_type)
    assert index is not None
    assert index.labels.tolist() == times.tolist()
