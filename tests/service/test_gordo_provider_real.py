"""The provider against a real Gordo server with every kind of model."""

import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from latigo.domain.errors import Reason, Rejected, RevisionGone, Unavailable
from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.series import Frame
from latigo.domain.windows import Window, from_ns
from latigo.providers.gordo import Gordo, open_gordo
from latigo.providers.gordo import frames as frames_module
from latigo.providers.protocols import Execution
from latigo.settings import GordoModels
from tests.support.gordo_process import gordo_server, running_gordo
from tests.support.gordo_replay import LATEST, OLD, PROJECT, DictRoster, pairs, recorded
from tests.support.real_gordo import gordo_home

__all__ = ["gordo_server"]

pytestmark = pytest.mark.real_gordo

MODELS = sorted(json.loads(recorded("models").body)["models"])
PLAIN = {"plain-linear", "plain-transform", "no-thresholds"}
KERAS = {"ff-hourglass", "lstm-ae", "lstm-forecast", "wide-keras"}
#: What another processor than that of the recordings makes of values near 100: an anomaly is their difference. Where a
#: threshold is 0, it decides between nan (no anomaly at all) and inf.
ROUNDING = 1e-10
ANOMALY_GROUPS = {
    "model-output", "tag-anomaly-scaled", "tag-anomaly-unscaled", "total-anomaly-scaled", "total-anomaly-unscaled",
    "anomaly-confidence", "total-anomaly-confidence",
}  # fmt: skip
RECORDED = [
    name
    for name in MODELS
    if f"anomaly-{name}-json" in pairs() or (name in PLAIN and f"prediction-{name}-json" in pairs())
]


@pytest.fixture
async def models(gordo_server: str) -> AsyncIterator[Gordo]:
    async with open_gordo(GordoModels(url=gordo_server), DictRoster()) as result:
        yield result


async def spec_of(models: Gordo, name: str, revision: str = LATEST) -> ModelSpec:
    return await models.catalogue.get_model_spec(ModelRef(PROJECT, name), revision)


def frames_for(spec: ModelSpec, rows: int | None = None) -> tuple[Frame, Frame]:
    """Recorded X and y of these very columns, or that many rows of similar values."""
    sent = [pair.frames() for pair in pairs().values() if pair.id.startswith(("anomaly-", "prediction-", "err-no-thr"))
            if pair.method == "POST" and pair.id.endswith(("-json", "thresholds"))]  # fmt: skip
    x = next(f["X"] for f in sent if f["X"].columns == spec.dataset.tag_list)
    y = next(f.get("y", f["X"]) for f in sent if f.get("y", f["X"]).columns == spec.dataset.target_tag_list)
    return (x, y) if rows is None else (stretched(x, rows), stretched(y, rows))


def stretched(frame: Frame, rows: int) -> Frame:
    step = frame.times[1] - frame.times[0]
    noise = np.random.default_rng(rows).normal(size=(rows, len(frame.columns)))
    return Frame(frame.times[0] + step * np.arange(rows), frame.columns, frame.values.mean(axis=0) + noise)


async def execute(models: Gordo, spec: ModelSpec, x: Frame, y: Frame) -> Execution:
    window = Window(from_ns(int(x.times[0])), from_ns(int(x.times[-1]) + 10**9))
    return await models.execution.execute_model(spec, window, x, y)


async def test_the_server_lists_its_models(models: Gordo) -> None:
    (project,) = await models.catalogue.get_model_list([PROJECT])

    assert (project.project, project.revision, project.error) == (PROJECT, LATEST, None)
    assert list(project.models) == MODELS
    assert await models.catalogue.ping(PROJECT) == f"revision {LATEST}, {len(MODELS)} models"


@pytest.mark.parametrize("name", MODELS)
async def test_every_model_answers_with_a_row_for_every_row_after_its_offset(name: str, models: Gordo) -> None:
    spec = await spec_of(models, name)
    x, y = frames_for(spec)

    execution = await execute(models, spec, x, y)

    frame = execution.predictions
    assert execution.anomaly is (name not in PLAIN)
    assert frame.times.tolist() == x.times[spec.model_offset :].tolist()
    assert {column.group for column in frame.columns} == (ANOMALY_GROUPS if execution.anomaly else {"model-output"})
    outputs = [i for i, column in enumerate(frame.columns) if column.group == "model-output"]
    assert np.isfinite(frame.values[:, outputs]).all()


@pytest.mark.parametrize("name", RECORDED)
async def test_every_model_predicts_what_was_recorded(name: str, models: Gordo) -> None:
    path = "prediction" if name in PLAIN else "anomaly"
    data = json.loads(recorded(f"{path}-{name}-json").body)["data"]
    spec = await spec_of(models, name)
    sent = pairs()[f"{path}-{name}-json"].frames()

    frame = (await execute(models, spec, sent["X"], sent.get("y", sent["X"]))).predictions

    for i, column in enumerate(frame.columns):
        expected = np.array(list(data[column.group][column.tag or column.group].values()), float)
        actual, finite = frame.values[:, i], np.isfinite(expected)
        assert (np.isfinite(actual) == finite).all()
        relative = 1e-4 if name in KERAS else 1e-12
        np.testing.assert_allclose(actual[finite], expected[finite], rtol=relative, atol=ROUNDING)


@pytest.mark.parametrize("name", ["pca-linear", "targets", "lstm-ae", "odd-names", "plain-transform"])
async def test_json_and_parquet_requests_get_the_same_numbers(
    name: str, models: Gordo, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = await spec_of(models, name)
    x, y = frames_for(spec)
    by_json = await execute(models, spec, x, y)

    monkeypatch.setattr(frames_module, "JSON_ROWS", 0)
    by_parquet = await execute(models, spec, x, y)

    assert by_parquet.predictions.columns == by_json.predictions.columns
    np.testing.assert_allclose(by_parquet.predictions.values, by_json.predictions.values, rtol=1e-4)


@pytest.mark.parametrize("name", ["targets", "lstm-forecast"])
async def test_a_large_frame_is_answered_row_by_row(name: str, models: Gordo) -> None:
    spec = await spec_of(models, name)
    x, y = frames_for(spec, rows=1000)

    frame = (await execute(models, spec, x, y)).predictions

    assert len(frame) == 1000 - spec.model_offset


@pytest.mark.parametrize("name", ["lstm-ae", "lstm-forecast"])
async def test_the_least_number_of_rows_is_enough(name: str, models: Gordo) -> None:
    spec = await spec_of(models, name)
    x, y = frames_for(spec, rows=spec.rows_needed)

    assert len((await execute(models, spec, x, y)).predictions) == spec.rows_needed - spec.model_offset


async def test_an_anomaly_model_without_thresholds_is_asked_twice_once(models: Gordo) -> None:
    spec = await spec_of(models, "no-thresholds")
    x, y = frames_for(spec)

    first, second = await execute(models, spec, x, y), await execute(models, spec, x, y)

    assert spec.anomaly is None
    assert not first.anomaly
    np.testing.assert_array_equal(first.predictions.values, second.predictions.values)


async def test_what_metadata_calls_plain_is_asked_for_plain_predictions(models: Gordo) -> None:
    requested = await spec_of(models, "plain-linear")
    x, y = frames_for(requested)

    refused_first = await execute(models, replace(requested, anomaly=None), x, y)

    assert requested.anomaly is False
    assert not refused_first.anomaly


@pytest.mark.parametrize(
    ("name", "frame", "value", "says"),
    [
        ("pca-linear", "X", np.nan, "Input X contains NaN"),
        ("plain-linear", "X", np.inf, "Input X contains infinity"),
        ("ff-hourglass", "X", np.inf, "Input X contains infinity"),
        ("ff-hourglass", "y", np.inf, "values of y are infinite: '1902.A.TT-002.PV'"),
    ],
)
async def test_values_that_a_model_refuses_are_named(
    name: str, frame: str, value: float, says: str, models: Gordo
) -> None:
    spec = replace(await spec_of(models, name), accepts_nan=True)  # so that they are sent
    x, y = frames_for(spec)
    bad = Frame(x.times, x.columns, x.values.copy())
    bad.values[1, 1] = value

    with pytest.raises(Rejected, match=r"^values|ValueError") as refused:
        await execute(models, spec, bad if frame == "X" else x, bad if frame == "y" else y)

    assert says in str(refused.value)
    assert refused.value.reason is Reason.VALUES_REFUSED


async def test_a_keras_model_takes_missing_values(models: Gordo) -> None:
    spec = await spec_of(models, "ff-hourglass")
    x, y = frames_for(spec)
    gap = Frame(x.times, x.columns, x.values.copy())
    gap.values[1, 0] = np.nan

    frame = (await execute(models, spec, gap, y)).predictions

    outputs = [i for i, column in enumerate(frame.columns) if column.group == "model-output"]
    assert np.isnan(frame.values[1, outputs]).all()
    assert np.isfinite(frame.values[0, outputs]).all()


async def test_columns_that_a_model_does_not_have_are_refused(models: Gordo) -> None:
    spec = await spec_of(models, "pca-linear")
    fewer = replace(spec, dataset=replace(spec.dataset, tag_list=spec.dataset.tag_list[:2]))
    x, y = frames_for(spec)

    with pytest.raises(Rejected, match="Unexpected features") as refused:
        await execute(models, fewer, Frame(x.times, x.columns[:2], x.values[:, :2]), y)

    assert refused.value.reason is Reason.COLUMNS_REFUSED
    assert refused.value.whole_model


async def test_an_old_revision_is_answered_by_its_own_model(models: Gordo) -> None:
    spec = await spec_of(models, "pca-linear", OLD)
    x, y = frames_for(spec)

    frame = (await execute(models, spec, x, y)).predictions

    data = json.loads(recorded("revision-old-query").body)["data"]
    score = next(i for i, column in enumerate(frame.columns) if column.group == "total-anomaly-scaled")
    expected = list(data["total-anomaly-scaled"]["total-anomaly-scaled"].values())
    np.testing.assert_allclose(frame.values[:, score], expected, rtol=1e-12, atol=ROUNDING)
    assert frame.revision == OLD


async def test_a_model_that_is_not_in_a_revision_is_gone(models: Gordo) -> None:
    spec = replace(await spec_of(models, "lstm-ae"), revision=OLD)
    x, y = frames_for(spec)

    with pytest.raises(Rejected) as from_prediction:
        await execute(models, spec, x, y)
    with pytest.raises(Rejected) as from_metadata:
        await spec_of(models, "retired")

    assert from_prediction.value.reason is from_metadata.value.reason is Reason.MODEL_GONE


async def test_a_revision_that_the_server_does_not_have_is_gone(models: Gordo) -> None:
    spec = replace(await spec_of(models, "pca-linear"), revision="1234567890123")
    x, y = frames_for(spec)

    with pytest.raises(RevisionGone):
        await execute(models, spec, x, y)
    with pytest.raises(RevisionGone):
        await spec_of(models, "pca-linear", "1234567890123")


async def test_half_built_models_may_come_and_a_newest_revision_without_its_directory_is_an_outage(
    tmp_path: Path,
) -> None:
    shutil.copytree(gordo_home() / "data", tmp_path / "data", symlinks=True)
    revision = tmp_path / "data" / PROJECT / "models" / LATEST
    (revision / "pca-linear" / "metadata.json").unlink()
    async with (
        running_gordo(tmp_path / "data") as url,
        open_gordo(GordoModels(url=url), DictRoster()) as models,
    ):
        status = await models.execution.get_model_status(ModelRef(PROJECT, "pca-linear"))
        shutil.rmtree(revision)
        (project,) = await models.catalogue.get_model_list([PROJECT])

    assert status.exists
    assert "may be unfinished" in status.problem
    assert isinstance(project.error, Unavailable)
    assert project.error.alarm
