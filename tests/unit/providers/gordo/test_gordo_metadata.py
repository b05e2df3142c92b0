"""Metadata to what Latigo keeps of a model."""

import json
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest

from latigo.domain.errors import Reason, Rejected
from latigo.domain.model import ModelRef, ModelSpec
from latigo.providers.gordo.metadata import model_spec
from tests.support.gordo_replay import LATEST, pairs, recorded

REF = ModelRef("demo-project", "pump")
MODELS = [
    pair.id.removeprefix("metadata-")
    for pair in pairs().values()
    if pair.id.startswith("metadata-") and pair.reply.status == 200
]
KERAS = {"ff-hourglass", "lstm-ae", "lstm-forecast", "wide-keras"}
OFFSETS = {"lstm-ae": 5, "lstm-forecast": 6}
PLAIN = {"plain-linear": False, "plain-transform": False, "no-thresholds": None}


def metadata(model: str = "pca-linear") -> dict[str, Any]:
    document: dict[str, Any] = json.loads(recorded(f"metadata-{model}").body)
    return document


def spec_of(result: dict[str, Any]) -> ModelSpec:
    return model_spec(result, ref=REF, revision=LATEST)


@pytest.mark.parametrize("model", MODELS)
def test_every_recorded_model_is_understood(model: str) -> None:
    document = metadata(model)

    spec = spec_of(document)

    names = [tag if isinstance(tag, str) else tag["name"] for tag in document["metadata"]["dataset"]["tag_list"]]
    assert (spec.ref, spec.revision) == (REF, LATEST)
    assert list(spec.dataset.tag_list) == names
    assert spec.model_offset == OFFSETS.get(model, 0)
    assert spec.accepts_nan == (model in KERAS)
    assert spec.anomaly is PLAIN.get(model, True)


def test_targets_and_assets_are_those_of_the_dataset() -> None:
    spec = spec_of(metadata("targets"))

    assert spec.dataset.target_tag_list == ("1902.E.PT-100.PV", "1902.E.TT-002.PV")
    assert spec.assets == dict.fromkeys(spec.dataset.tags, "1902-ABC")


def test_resolution_and_filter_are_those_of_the_dataset() -> None:
    spec = spec_of(metadata("minute-filter"))

    assert spec.dataset.resolution == timedelta(minutes=1)
    assert spec.dataset.filter_tags == ("1902.F.STATUS",)


def change(result: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    changed = at = deepcopy(result)
    *way, last = path.split("/")
    for key in way:
        at = at[key]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return changed


OFFSET = "metadata/metadata/build_metadata/model/model_offset"


@pytest.mark.parametrize(
    ("path", "value", "naming"),
    [
        ("metadata", ..., "metadata is missing"),
        ("metadata", [], "metadata is not an object"),
        ("metadata/dataset", ..., "metadata.dataset is missing"),
        ("metadata/dataset", "none", "metadata.dataset is not an object"),
        ("metadata/dataset/tag_list", [], "tag_list"),
        ("metadata/dataset/resolution", "H", "resolution"),
        ("metadata/metadata", 7, "metadata.metadata is not an object"),
        ("metadata/metadata/build_metadata/model", [], "build_metadata.model is not an object"),
        ("metadata/metadata/build_metadata/model/model_meta", 3, "model_meta is not an object"),
        (OFFSET, -1, "model_offset is -1"),
        (OFFSET, "5", "model_offset is '5'"),
        (OFFSET, True, "model_offset is True"),
        (OFFSET, 10**9, "model_offset is 1000000000"),
    ],
)
def test_metadata_that_cannot_be_used_is_refused_by_key_for_the_whole_model(
    path: str, value: object, naming: str
) -> None:
    with pytest.raises(Rejected) as refused:
        spec_of(change(metadata(), path, value))

    assert naming in str(refused.value)
    assert refused.value.reason is Reason.BAD_METADATA
    assert refused.value.whole_model


@pytest.mark.parametrize("key", ["tag_list", "target_tag_list"])
def test_two_columns_that_would_be_one_series_are_refused_naming_both(key: str) -> None:
    tags = ["1902.B.TT-001.PV", "1902.B.TT-002.PV", "1902.B.TT-001.PV"]

    with pytest.raises(Rejected, match=rf"{key}: entries 1 and 3 are both '1902\.B\.TT-001\.PV'") as refused:
        spec_of(change(metadata(), f"metadata/dataset/{key}", tags))

    assert refused.value.whole_model


@pytest.mark.parametrize("odd", ["\0", "\udcff"], ids=ascii)
@pytest.mark.parametrize(
    ("key", "value", "naming"),
    [
        ("tag_list", ["TT-001{}"], "a tag"),
        ("target_tag_list", ["TT-001{}"], "a tag"),
        ("row_filter", "`TT-001{}` > 0", "a tag"),
        ("row_filter", "`1902.B.TT-001.PV` > 0 # {}", "row_filter"),
        ("tag_list", [{"name": "TT-001", "asset": "1902{}"}], "an asset"),
    ],
)
def test_what_no_ledger_and_no_sink_could_keep_as_text_is_refused(key: str, value: Any, naming: str, odd: str) -> None:
    reported = json.loads(json.dumps(value).replace("{}", json.dumps(odd)[1:-1]))
    document = change(metadata(), "metadata/metadata/build_metadata/dataset", ...)

    with pytest.raises(Rejected, match=naming) as refused:
        spec_of(change(document, f"metadata/dataset/{key}", reported))

    assert refused.value.reason is Reason.BAD_METADATA
    assert refused.value.whole_model


def test_what_an_older_builder_did_not_write_is_as_gordo_defaults_it() -> None:
    spec = spec_of(change(metadata(), "metadata/metadata/build_metadata", ...))

    assert spec.model_offset == 0
    assert spec.anomaly is None


@pytest.mark.parametrize(
    ("definition", "anomaly"),
    [
        ({"gordo.machine.model.anomaly.diff.DiffBasedKFCVAnomalyDetector": {}}, True),
        ({"gordo_components.model.anomaly.diff.DiffBasedAnomalyDetector": {}}, True),
        ({"sklearn.pipeline.Pipeline": {}}, False),
        ({"gordo.machine.model.models.KerasAutoEncoder": {}}, False),
        ("sklearn.linear_model.LinearRegression", False),
        ({"our_models.Detector": {}}, None),
        ({}, None),
        (None, None),
        (["sklearn.pipeline.Pipeline"], None),
    ],
)
def test_whether_a_model_scores_anomalies_is_derived_from_its_class_where_that_is_known(
    definition: object, anomaly: bool | None
) -> None:
    assert spec_of(change(metadata(), "metadata/model", definition)).anomaly is anomaly


@pytest.mark.parametrize(
    ("definition", "accepts_nan"),
    [
        (
            {
                "sklearn.pipeline.Pipeline": {
                    "steps": ["a.Scaler", {"gordo.machine.model.models.KerasLSTMForecast": {}}]
                }
            },
            True,
        ),
        ({"gordo.machine.model.models.KerasAutoEncoder": {}}, True),
        ({"sklearn.pipeline.Pipeline": {"steps": ["tensorflow.keras.wrappers.Regressor"]}}, True),
        (
            {"sklearn.pipeline.Pipeline": {"steps": ["sklearn.preprocessing.MinMaxScaler"], "note": "no keras here"}},
            False,
        ),
    ],
)
def test_keras_anywhere_in_the_definition_takes_values_that_are_not_finite(
    definition: object, accepts_nan: bool
) -> None:
    assert spec_of(change(metadata(), "metadata/model", definition)).accepts_nan is accepts_nan


def test_the_data_provider_is_not_kept() -> None:
    spec = spec_of(change(metadata(), "metadata/dataset/data_provider", {"type": "x", "password": "hunter2"}))

    assert "hunter2" not in repr(spec)
