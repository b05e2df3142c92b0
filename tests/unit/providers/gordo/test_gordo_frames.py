"""Frames as Gordo reads them, answers as Gordo writes them."""

import gc
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from latigo.domain.model import ModelRef
from latigo.domain.series import Column, Frame, Predictions
from latigo.domain.windows import to_ns
from latigo.providers.gordo import frames
from latigo.providers.gordo.frames import UnreadableResponse, read_predictions, request_body, wanted_columns
from tests.support.examples import examples
from tests.support.gordo_replay import LATEST, PARQUET, Pair, _time, pairs, recorded, request_frames

#: Requests that no frame can be made of: Gordo refuses them or takes them for something else.
NO_FRAMES = ("err-", "timestamps-", "lists-", "list-", "columns-", "not-", "number-as-text", "text-in", "rows-unsorted")
NO_TIMES = {"parquet-no-index", "parquet-without-pandas-metadata", "parquet-y-without-filename"}
SENT = [
    pair
    for pair in pairs().values()
    if pair.method == "POST" and not pair.id.startswith(NO_FRAMES) and pair.id not in NO_TIMES and pair.request
]
TWINS = [
    pair
    for pair in pairs().values()
    if pair.id.endswith("-parquet") and pair.content_type == PARQUET and pair.id != "rows-unsorted-parquet"
    if f"{pair.id.removesuffix('-parquet')}-json" in pairs()
]
REF = ModelRef("demo-project", "pump")


def read(body: bytes, *, max_rows: int = 100, max_bytes: int = 1 << 24) -> Predictions:
    return read_predictions(bytearray(body), model=REF, revision=LATEST, max_rows=max_rows, max_bytes=max_bytes)


def assert_alike(result: Frame, expected: Frame) -> None:
    assert result.columns == expected.columns
    assert result.times.tolist() == expected.times.tolist()
    np.testing.assert_array_equal(result.values, expected.values)


def a_frame(rows: int = 3, *, tags: tuple[str, ...] = ("a", "b"), step_ns: int = 600_000_000_000) -> Frame:
    times = to_ns(_time("2025-10-20T00:00:00Z")) + step_ns * np.arange(rows)
    return Frame(times, tags, np.arange(rows * len(tags), dtype=np.float64).reshape(rows, len(tags)) + 0.1)


# Requests


@pytest.mark.parametrize("json_rows", [frames.JSON_ROWS, 0], ids=["as-json", "as-parquet"])
@pytest.mark.parametrize("pair", SENT, ids=lambda pair: pair.id)
def test_what_was_sent_to_gordo_is_written_so_that_it_reads_the_same(
    pair: Pair, json_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "JSON_ROWS", json_rows)
    sent = pair.frames()

    body = request_body(sent["X"], sent.get("y"))

    read_back = request_frames(body.content_type, body.data)
    infinite = any(np.isinf(frame.values).any() for frame in sent.values())
    assert (body.content_type == "application/json") == (json_rows > 0 and not infinite)
    assert read_back.keys() == sent.keys()
    for name, frame in sent.items():
        assert_alike(read_back[name], frame)


def frames_of(columns: tuple[str, ...]) -> st.SearchStrategy[Frame]:
    def of_rows(rows: int) -> st.SearchStrategy[Frame]:
        times = st.lists(st.integers(0, 4_000_000_000), min_size=rows, max_size=rows, unique=True)
        step = st.sampled_from([1, 1_000_000_000])
        values = stn.arrays(np.float64, (rows, len(columns)))
        return st.builds(lambda t, s, v: Frame(np.array(sorted(t), np.int64) * s, columns, v), times, step, values)

    return st.integers(1, 6).flatmap(of_rows)


names = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12)
pairs_of_frames = st.tuples(
    st.lists(names | st.just("time"), min_size=1, max_size=4, unique=True),
    st.lists(names, min_size=1, max_size=4, unique=True),
).flatmap(lambda tags: st.tuples(frames_of(tuple(tags[0])), frames_of(tuple(tags[1]))))


@settings(max_examples=examples(60))
@given(pairs_of_frames)
def test_any_frames_read_back_alike(x_and_y: tuple[Frame, Frame]) -> None:
    x, y = x_and_y

    body = request_body(x, y)

    read_back = request_frames(body.content_type, body.data)
    assert_alike(read_back["X"], x)
    assert_alike(read_back["y"], y)


@pytest.mark.parametrize(("rows", "kind"), [(149, "application/json"), (150, "multipart/form-data")])
def test_small_frames_are_json_and_large_ones_parquet(rows: int, kind: str) -> None:
    body = request_body(a_frame(rows), a_frame(rows, tags=("c",)))

    assert body.content_type.split(";")[0] == kind


def test_targets_that_are_the_inputs_are_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[Frame] = []

    def encode(frame: Frame) -> pa.Buffer:
        encoded.append(frame)
        return pa.py_buffer(b"file")

    monkeypatch.setattr(frames, "_parquet_file", encode)
    x, twin = a_frame(200), a_frame(200)

    body = request_body(x, twin)

    assert len(encoded) == 1
    assert body.data.count(b"\r\n\r\nfile\r\n") == 2


def test_targets_with_one_other_number_are_encoded_on_their_own() -> None:
    x, y = a_frame(200), a_frame(200)
    y.values[7, 1] = np.nan

    body = request_body(x, y)

    read_back = request_frames(body.content_type, body.data)
    assert_alike(read_back["X"], x)
    assert_alike(read_back["y"], y)


def test_without_targets_only_x_is_sent() -> None:
    assert request_frames(*request_body(a_frame())).keys() == {"X"}
    assert request_frames(*request_body(a_frame(200))).keys() == {"X"}


# Answers


@pytest.mark.parametrize("pair", TWINS, ids=lambda pair: pair.id)
def test_a_parquet_answer_carries_the_numbers_of_its_json_twin(pair: Pair) -> None:
    data = json.loads(pairs()[pair.id.removesuffix("-parquet") + "-json"].reply.body)["data"]

    result = read(pair.reply.body)

    groups = {group for group in data if group not in {"start", "end", "model-input"}}
    assert {column.group for column in result.columns} == groups
    for i, column in enumerate(result.columns):
        twin = data[column.group][column.tag or column.group]
        assert result.times.tolist() == [to_ns(_time(label)) for label in twin]
        np.testing.assert_array_equal(result.values[:, i], [float(value) for value in twin.values()])
    assert len(result.columns) == sum(len(data[group]) for group in groups)
    assert result.values.dtype == np.float64
    assert (result.model, result.revision) == (REF, LATEST)


def test_outputs_of_keras_models_are_made_wider_without_loss() -> None:
    single = pq.read_table(io.BytesIO(recorded("anomaly-ff-hourglass-parquet").body))
    names_of_outputs = [name for name in single.column_names if name.startswith("('model-output'")]

    result = read(recorded("anomaly-ff-hourglass-parquet").body)

    assert {single.schema.field(name).type for name in names_of_outputs} == {pa.float32()}
    outputs = [i for i, column in enumerate(result.columns) if column.group == "model-output"]
    wide = np.column_stack([single.column(name).to_numpy().astype(np.float64) for name in names_of_outputs])
    np.testing.assert_array_equal(result.values[:, outputs], wide)


def test_null_is_nan_and_infinities_stay() -> None:
    result = read(recorded("not-finite-numbers-out-parquet").body)

    confidences = result.values[:, [c.group == "anomaly-confidence" for c in result.columns]]
    assert np.isnan(confidences).any()
    assert np.isinf(confidences).any()


def test_the_index_may_have_any_name() -> None:
    result = read(recorded("parquet-named-index").body)

    assert result.times[0] == to_ns(_time("2025-10-20T00:00:00Z"))


@given(st.text(), st.text())
def test_any_two_texts_written_as_a_python_tuple_are_read_back(group: str, tag: str) -> None:
    columns, wanted = wanted_columns([repr((group, tag))])

    expected = () if group in {"start", "end", "model-input"} else (Column(group, tag),)
    assert columns == expected
    assert len(wanted) == len(expected)


@pytest.mark.parametrize(
    "name",
    [
        "model-output",
        "('a',)",
        "('a', 'b', 'c')",
        "('a', 1)",
        "('a' 'b')",
        "__import__('os')",
        "(" * 5000,
        "",
        "('a', 'b'",
    ],
)
def test_a_column_that_is_not_named_by_two_texts_is_not_gordos(name: str) -> None:
    with pytest.raises(UnreadableResponse, match="a column is named"):
        wanted_columns([name])


def test_a_name_of_two_lines_does_not_stand_for_two_columns() -> None:
    with pytest.raises(UnreadableResponse, match="a column is named"):
        wanted_columns(["('a', 'b')\n('c', 'd')", "e"])


@given(st.lists(st.tuples(st.text(), st.text()), max_size=5))
def test_each_of_several_names_is_read_as_if_it_were_the_only_one(names: list[tuple[str, str]]) -> None:
    columns, wanted = wanted_columns([repr(name) for name in names])

    kept = [number for number, (group, _) in enumerate(names) if group not in {"start", "end", "model-input"}]
    assert wanted == kept
    assert columns == tuple(Column(*names[number]) for number in kept)


def parquet(table: pa.Table, **options: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


TIMES = pa.array([0, 1], pa.timestamp("ns", "UTC"))
SOUND = pa.table({"('model-output', 'a')": [1.0, 2.0], "t": TIMES})


def test_the_sound_table_of_these_tests_is_read() -> None:
    assert read(parquet(SOUND)).columns == (Column("model-output", "a"),)


def test_an_answer_that_was_read_is_freed_without_the_collector() -> None:
    """Its metadata takes more memory than its numbers, and cycles wait for many other objects."""
    body = parquet(SOUND)
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        read(body)
        gc.collect()
        left = [each for each in gc.garbage if type(each).__module__.startswith("pyarrow")]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()

    assert left == []


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_times_of_any_unit_are_nanoseconds(unit: str) -> None:
    coarse = pa.array([0, 3], pa.timestamp(unit, "UTC"))

    result = read(parquet(SOUND.set_column(1, "t", coarse)))

    assert result.times.tolist() == [0, 3 * {"s": 10**9, "ms": 10**6, "us": 10**3}[unit]]


def test_row_groups_are_joined() -> None:
    assert read(parquet(SOUND, row_group_size=1)).values.tolist() == [[1.0], [2.0]]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Welcome</html>",
        b"PAR1" + b"\0" * 100 + b"PAR1",
        recorded("anomaly-pca-linear-parquet").body[:-1],
        recorded("anomaly-pca-linear-json").body,
        recorded("parquet-no-index").body,
        parquet(SOUND.drop_columns(["t"])),
        parquet(SOUND.slice(0, 0)),
        parquet(SOUND.set_column(1, "t", pa.array([1.0, 2.0]))),
        parquet(SOUND.set_column(1, "t", pa.array([None, 1], pa.timestamp("ns", "UTC")))),
        parquet(SOUND.set_column(0, "('model-output', 'a')", pa.array(["x", "y"]))),
        parquet(SOUND.set_column(0, "('model-output', 'a')", pa.array([{"b": 1.0}, {"b": 2.0}]))),
        parquet(SOUND.set_column(0, "model-output", pa.array([1.0, 2.0]))),
    ],
    ids=[
        "empty",
        "page",
        "no-footer",
        "cut",
        "json",
        "no-index",
        "no-times",
        "no-rows",
        "numbers-as-times",
        "missing-time",
        "text",
        "nested",
        "other-name",
    ],
)
def test_what_is_no_parquet_answer_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableResponse):
        read(body)


def test_an_answer_with_more_rows_than_its_request_is_not_decoded() -> None:
    with pytest.raises(UnreadableResponse, match="2 rows to a request of 1"):
        read(parquet(SOUND), max_rows=1)


def test_an_answer_that_grows_when_decoded_is_not_decoded() -> None:
    zeros = pa.table({"('model-output', 'a')": np.zeros(100_000), "t": pa.array(range(100_000), TIMES.type)})
    body = parquet(zeros, compression="zstd", use_dictionary=False)

    with pytest.raises(UnreadableResponse, match="more than 1000000 bytes"):
        read(body, max_rows=100_000, max_bytes=1_000_000)


@settings(max_examples=examples(150))
@given(st.data())
def test_a_damaged_answer_is_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    body = bytearray(recorded("prediction-plain-transform-parquet").body)
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))

    try:
        result = read(bytes(body))
    except UnreadableResponse:
        return

    assert result.values.shape == (len(result.times), len(result.columns))
