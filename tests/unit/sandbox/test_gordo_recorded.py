"""The sandbox's Gordo against all that was recorded of a real Gordo 6.0.4, but for what depends on trained models."""

import io
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import numpy as np
import pyarrow.parquet as pq
import pytest

from latigo.sandbox.gordo import SandboxGordo, open_sandbox_gordo
from tests.support.recorded_gordo import PAIRS, recorded_answer, recorded_project, recorded_request

#: Deleting changes what later calls see; these are requested in order, in a test of their own.
DELETES = [case for case in PAIRS if case.startswith("delete-")]
CASES = [case for case in PAIRS if case not in DELETES]
#: The text of a refusal is scikit-learn's and long; the sandbox answers with its first line.
FIRST_LINE_ONLY = {"nan-null-in-x-linear-plain", "nan-word-in-x-linear-plain"}


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxGordo]:
    async with open_sandbox_gordo(recorded_project()) as server:
        yield server


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


class Got:
    def __init__(self, response: aiohttp.ClientResponse, body: bytes) -> None:
        self.status, self.headers, self.body = response.status, response.headers, body


async def ask(http: aiohttp.ClientSession, sandbox: SandboxGordo, case: str) -> Got:
    pair = PAIRS[case]
    body, headers = recorded_request(pair)
    left_out = [] if "Content-Type" in headers else ["Content-Type"]
    async with http.request(
        pair["method"],
        sandbox.url + pair["path"],
        params=pair["query"],
        headers=headers,
        data=body,
        skip_auto_headers=left_out,
    ) as response:
        return Got(response, await response.read())


def shape(value: Any) -> Any:
    """A JSON value without its numbers: nulls, texts, keys and their order stay."""
    if isinstance(value, dict):
        return [(key, shape(inner)) for key, inner in value.items()]
    return type(value).__name__ if isinstance(value, float | int) else value


@pytest.mark.parametrize("case", CASES)
async def test_status_and_headers_are_those_of_gordo(
    http: aiohttp.ClientSession, sandbox: SandboxGordo, case: str
) -> None:
    recorded = PAIRS[case]

    got = await ask(http, sandbox, case)

    expected = recorded["response_headers"]
    assert got.status == recorded["status"]
    assert got.headers["Content-Type"] == recorded["content_type"]
    assert got.headers["revision"] == expected["revision"]
    assert got.headers.get("Allow") == expected.get("allow")
    assert re.fullmatch(r"request_walltime_s;dur=\d+\.\d+", got.headers["Server-Timing"])


@pytest.mark.parametrize("case", [case for case in CASES if PAIRS[case]["status"] != 200])
async def test_refusals_are_those_of_gordo_word_for_word(
    http: aiohttp.ClientSession, sandbox: SandboxGordo, case: str
) -> None:
    expected = recorded_answer(PAIRS[case])

    got = await ask(http, sandbox, case)

    if case in FIRST_LINE_ONLY:
        assert json.loads(expected)["error"].startswith(json.loads(got.body)["error"])
    elif got.headers["Content-Type"] == "application/json":
        assert got.body.rstrip() == expected.rstrip()
    else:
        assert got.body == expected


#: Gordo gives back the text that was sent for a number; the sandbox the number.
TEXT_ECHOED = {"number-as-text-in-x-linear-plain"}
ANSWERS = [
    case
    for case in CASES
    if "prediction" in PAIRS[case]["path"] and PAIRS[case]["status"] == 200 and case not in TEXT_ECHOED
]


@pytest.mark.parametrize("case", [case for case in ANSWERS if PAIRS[case]["content_type"] == "application/json"])
async def test_json_predictions_have_groups_columns_and_times_as_gordo_writes_them(
    http: aiohttp.ClientSession, sandbox: SandboxGordo, case: str
) -> None:
    expected = json.loads(recorded_answer(PAIRS[case]))

    answer = json.loads((await ask(http, sandbox, case)).body)

    assert list(answer) == list(expected)
    assert isinstance(answer.get("time-seconds", ""), str)
    assert shape(answer["data"]) == shape(expected["data"])
    assert answer["data"]["model-input"] == expected["data"]["model-input"]


@pytest.mark.parametrize(
    "case", [case for case in ANSWERS if PAIRS[case]["content_type"] == "application/octet-stream"]
)
async def test_parquet_predictions_have_the_schema_that_gordo_writes(
    http: aiohttp.ClientSession, sandbox: SandboxGordo, case: str
) -> None:
    expected = pq.ParquetFile(io.BytesIO(recorded_answer(PAIRS[case])))

    answer = pq.ParquetFile(io.BytesIO((await ask(http, sandbox, case)).body))

    mine, theirs = answer.schema_arrow, expected.schema_arrow
    assert [(field.name, field.type) for field in mine] == [(field.name, field.type) for field in theirs]
    described, expected_description = (json.loads(schema.metadata[b"pandas"]) for schema in (mine, theirs))
    assert {**described, "creator": None} == {**expected_description, "creator": None}
    assert answer.metadata.num_rows == expected.metadata.num_rows
    assert answer.metadata.format_version == expected.metadata.format_version
    assert answer.metadata.row_group(0).column(0).compression == "SNAPPY"
    copied = [field.name for field in mine if "start" in field.name or "end" in field.name or "input" in field.name]
    assert answer.read(columns=copied).equals(expected.read(columns=copied))


@pytest.mark.parametrize("case", ["anomaly-pca-linear-parquet", "anomaly-lstm-ae-parquet", "anomaly-targets-parquet"])
async def test_json_and_parquet_carry_the_same_numbers(
    http: aiohttp.ClientSession, sandbox: SandboxGordo, case: str
) -> None:
    table = pq.read_table(io.BytesIO((await ask(http, sandbox, case)).body))

    answer = json.loads((await ask(http, sandbox, case.replace("-parquet", "-json"))).body)["data"]

    for group, columns in answer.items():
        for tag, cells in columns.items():
            name = repr((group, "" if tag == group else tag))
            assert table.column(name).to_pylist() == list(cells.values())


@pytest.mark.parametrize("model", ["pca-linear", "lstm-ae"])
async def test_rows_of_json_are_put_in_the_order_of_time_before_the_model_sees_them(
    http: aiohttp.ClientSession, sandbox: SandboxGordo, model: str
) -> None:
    """A model that looks back on rows would else see them in the order of the request."""
    body, headers = recorded_request(PAIRS[f"anomaly-{model}-json"])
    assert body
    frames = json.loads(body)
    turned = {
        name: {tag: dict(reversed(cells.items())) for tag, cells in frame.items()} for name, frame in frames.items()
    }

    answers = []
    for requested in (frames, turned):
        url = f"{sandbox.url}{PAIRS[f'anomaly-{model}-json']['path']}?format=parquet"
        async with http.post(url, data=json.dumps(requested), headers=headers) as response:
            answers.append(pq.read_table(io.BytesIO(await response.read())))

    assert answers[0].num_rows > 0
    assert answers[0].equals(answers[1])


async def test_metadata_has_every_key_that_a_client_reads(http: aiohttp.ClientSession, sandbox: SandboxGordo) -> None:
    def keys(document: Any, deep: int) -> Any:
        return {k: keys(v, deep - 1) for k, v in document.items()} if isinstance(document, dict) and deep else ...

    for case in [case for case in CASES if case.startswith("metadata-") and PAIRS[case]["status"] == 200]:
        recorded = json.loads(recorded_answer(PAIRS[case]))

        got = json.loads((await ask(http, sandbox, case)).body)

        build, recorded_build = (m["metadata"]["metadata"]["build_metadata"] for m in (got, recorded))
        assert list(got) == list(recorded)
        assert keys(got["metadata"], 1) == keys(recorded["metadata"], 1)
        assert keys(build["model"], 1) == keys(recorded_build["model"], 1)
        assert keys(build["dataset"], 2) == keys(recorded_build["dataset"], 2)
        assert keys(got["metadata"]["dataset"], 1) == keys(recorded["metadata"]["dataset"], 1)
        assert build["model"]["model_offset"] == recorded_build["model"]["model_offset"]
        meta, recorded_meta = build["model"]["model_meta"], recorded_build["model"]["model_meta"]
        assert len(meta.get("feature-thresholds", ())) == len(recorded_meta.get("feature-thresholds", ()))
        tags, recorded_tags = (
            b["dataset"]["dataset_meta"]["tag_loading_metadata"]["tags"] for b in (build, recorded_build)
        )
        if case != "metadata-random-data":  # its class in Gordo keeps no loading metadata
            assert set(tags) == set(recorded_tags)


#: What a prediction depends on; tags are left out, because some of the recorded ones are objects.
DATASET_KEYS = (
    *("resolution", "row_filter", "aggregation_methods", "interpolation_method", "interpolation_limit"),
    "target_tag_list",
)


@pytest.mark.parametrize("model", ["pca-linear", "targets", "minute-filter", "filter-list", "lstm-ae"])
async def test_the_dataset_configuration_is_written_as_gordo_writes_it(
    http: aiohttp.ClientSession, sandbox: SandboxGordo, model: str
) -> None:
    recorded = json.loads(recorded_answer(PAIRS[f"metadata-{model}"]))["metadata"]["dataset"]

    dataset = json.loads((await ask(http, sandbox, f"metadata-{model}")).body)["metadata"]["dataset"]

    assert {key: dataset[key] for key in DATASET_KEYS} == {key: recorded[key] for key in DATASET_KEYS}
    assert {key: len(dataset[key]) for key in ("train_start_date", "train_end_date")} == {
        key: len(recorded[key]) for key in ("train_start_date", "train_end_date")
    }
    assert dataset["train_end_date"] == "2025-12-01T00:00:00+00:00"  # the time of the revision


@pytest.mark.parametrize("case", ["metadata-pca-linear", "metadata-wide-linear"])
async def test_full_metadata_is_about_as_large_as_the_real_one(http: aiohttp.ClientSession, case: str) -> None:
    async with open_sandbox_gordo(recorded_project(), full_metadata=True) as sandbox:
        got = await ask(http, sandbox, case)

    assert len(got.body) == pytest.approx(PAIRS[case]["response_bytes"], rel=0.3)


@pytest.mark.parametrize("case", ["models", "models-old-revision", "expected-models", "revisions", "server-version"])
async def test_listings_hold_what_gordo_lists(http: aiohttp.ClientSession, sandbox: SandboxGordo, case: str) -> None:
    expected = json.loads(recorded_answer(PAIRS[case]))

    got = json.loads((await ask(http, sandbox, case)).body)

    assert list(got) == list(expected)  # the key order, the revision last
    for key, value in expected.items():
        assert sorted(got[key]) == sorted(value)


async def test_a_deleted_model_is_gone_from_that_revision(http: aiohttp.ClientSession, sandbox: SandboxGordo) -> None:
    for case in DELETES:
        recorded = PAIRS[case]

        got = await ask(http, sandbox, case)

        assert (got.status, got.headers["revision"]) == (recorded["status"], recorded["response_headers"]["revision"])
        if case != "delete-before-use":
            assert got.body.rstrip() == recorded_answer(recorded).rstrip()


@pytest.mark.parametrize(
    "case", [case for case in ANSWERS if case.startswith("anomaly-") and case.endswith("-parquet")]
)
async def test_the_numbers_keep_the_laws_of_anomaly_models(
    http: aiohttp.ClientSession, sandbox: SandboxGordo, case: str
) -> None:
    table = pq.read_table(io.BytesIO((await ask(http, sandbox, case)).body))
    groups: dict[str, list[str]] = {}
    for name in table.schema.names[:-1]:
        groups.setdefault(name.split("'")[1], []).append(name)

    def numbers(group: str) -> Any:
        return np.column_stack([table.column(name).to_numpy() for name in groups[group]])

    metadata = await http.get(sandbox.url + PAIRS[case]["path"].replace("anomaly/prediction", "metadata"))
    meta = (await metadata.json())["metadata"]["metadata"]["build_metadata"]["model"]["model_meta"]
    body, _ = recorded_request(PAIRS[case])
    assert body
    sent = pq.read_table(io.BytesIO(body[body.rindex(b"PAR1", 0, body.rindex(b"PAR1")) :].split(b"\r\n--")[0]))
    y = np.column_stack([sent.column(name).to_numpy() for name in sent.schema.names[:-1]])[-table.num_rows :]
    total = "total-anomaly-"

    unscaled, scaled = numbers("tag-anomaly-unscaled"), numbers("tag-anomaly-scaled")

    np.testing.assert_allclose(unscaled, np.abs(numbers("model-output") - y))
    np.testing.assert_allclose(numbers(f"{total}scaled")[:, 0], (scaled**2).mean(axis=1))
    np.testing.assert_allclose(numbers(f"{total}unscaled")[:, 0], (unscaled**2).mean(axis=1))
    np.testing.assert_allclose(numbers("anomaly-confidence"), unscaled / np.array(meta["feature-thresholds"]))
    np.testing.assert_allclose(numbers(f"{total}confidence"), numbers(f"{total}scaled") / meta["aggregate-threshold"])
