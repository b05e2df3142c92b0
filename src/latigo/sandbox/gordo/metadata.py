"""The response to ``M/metadata``.

The shape is section 7 of the reference page on Gordo's HTTP API. Scores, statistics and histograms, most of the size
of a real document and unused by Latigo, are left out unless requested, and then invented.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from latigo.domain.windows import from_ns, span_ns
from latigo.sandbox.gordo.definition import ModelDefinition, ModelKind, frequency
from latigo.sandbox.gordo.model import TRAINING_ROWS, Thresholds

GORDO_VERSION = "6.0.4"

_DETECTOR = "gordo.machine.model.anomaly.diff.DiffBasedAnomalyDetector"
_PIPELINE = "sklearn.pipeline.Pipeline"
_MIN_MAX = "sklearn.preprocessing.MinMaxScaler"
_METRICS = ("explained-variance-score", "mean-absolute-error", "mean-squared-error", "r2-score")
_FOLDS = ("fold-1", "fold-2", "fold-3", "fold-max", "fold-mean", "fold-min", "fold-std")
_BINS = 100

Json = dict[str, Any]


def model_class(definition: ModelDefinition) -> str:
    """Return the Python class of the model in Gordo."""
    return "sklearn.pipeline.Pipeline" if definition.kind.plain else _DETECTOR


def metadata_document(
    project: str, definition: ModelDefinition, revision: str, thresholds: Thresholds | None, *, full: bool = False
) -> Json:
    """Return the document without the key ``revision``, keys sorted as Gordo sends them.

    ``thresholds`` are left out for models that have none. ``full`` adds what makes the document about 4 kB a tag.
    """
    configuration = _configuration(definition)
    until = _trained_until(revision)
    document: Json = {
        "checksum": hashlib.sha512(orjson.dumps([definition.name, configuration, revision])).hexdigest(),
        "env": {"MODEL_COLLECTION_DIR": f"/sandbox/{project}/models/{revision}"},
        "gordo-server-version": GORDO_VERSION,
        "metadata": {
            "dataset": _dataset(definition, until),
            "evaluation": {"cv_mode": "build_only" if definition.kind is ModelKind.UNVALIDATED else "full_build"},
            "metadata": {
                "build_metadata": {
                    "dataset": {
                        "dataset_meta": _dataset_meta(definition, until, full=full),
                        "query_duration_sec": 0.05,
                    },
                    "model": {
                        "cross_validation": _cross_validation(definition, full=full),
                        "model_builder_version": GORDO_VERSION,
                        "model_creation_date": _pandas_time(until),
                        "model_meta": _model_meta(definition, thresholds),
                        "model_offset": definition.offset,
                        "model_training_duration_sec": 0.005,
                    },
                },
                "user_defined": {"global-metadata": {}, "machine-metadata": {"sandbox": "a development part"}},
            },
            "model": configuration,
            "name": definition.name,
            "project_name": project,
            "runtime": {"reporters": []},
        },
    }
    return document


def _trained_until(revision: str) -> int:
    """Return when training ended, in ns: a revision is the time of a build in ms, as in production."""
    return int(revision) * 1_000_000


def _pandas_time(nanoseconds: int) -> str:
    return str(from_ns(nanoseconds))


def _configuration(definition: ModelDefinition) -> Json:
    match definition.kind:
        case ModelKind.PLAIN | ModelKind.IDENTITY:
            estimator: Any = "sklearn.linear_model.LinearRegression"
        case ModelKind.KERAS:
            estimator = {"gordo.machine.model.models.KerasAutoEncoder": {"kind": "feedforward_hourglass"}}
        case ModelKind.LSTM_AUTOENCODER:
            estimator = {"gordo.machine.model.models.KerasLSTMAutoEncoder": {"lookback_window": definition.lookback}}
        case ModelKind.LSTM_FORECAST:
            estimator = {"gordo.machine.model.models.KerasLSTMForecast": {"lookback_window": definition.lookback}}
        case _:
            estimator = {"sklearn.decomposition.PCA": {"n_components": definition.components or None}}
    pipeline = {_PIPELINE: {"steps": [_MIN_MAX, estimator]}}
    if definition.kind.plain:
        return pipeline
    options = {"smoothing_method": "smm", "window": definition.window} if definition.window else {}
    return {_DETECTOR: {"base_estimator": pipeline, "scaler": _MIN_MAX, **options}}


def _dataset(definition: ModelDefinition, until: int) -> Json:
    filters = definition.row_filter
    return {
        "additional_tags": [{"name": tag} for tag in definition.filter_tags] or None,
        "aggregation_methods": definition.aggregation,
        "asset": definition.asset,
        "data_provider": {"type": "latigo.providers.simulated.Plant"},
        "default_tag": None,
        "filter_periods": None,
        "interpolation_limit": definition.interpolation_limit,
        "interpolation_method": definition.interpolation_method,
        "known_filter_periods": None,
        "n_samples_threshold": 0,
        "resolution": frequency(definition.resolution),
        "row_filter": filters if isinstance(filters, str) else list(filters),
        "row_filter_buffer_size": 0,
        "tag_list": list(definition.tags),
        "target_tag_list": None if definition.targets is None else list(definition.targets),
        "train_end_date": from_ns(until).isoformat(),
        "train_start_date": from_ns(_trained_since(definition, until)).isoformat(),
        "type": "gordo_core.time_series.TimeSeriesDataset",
    }


def _trained_since(definition: ModelDefinition, until: int) -> int:
    return until - TRAINING_ROWS * span_ns(definition.resolution)


def _dataset_meta(definition: ModelDefinition, until: int, *, full: bool) -> Json:
    since = _trained_since(definition, until)
    loading: Json = {
        tag: {
            "first_timestamp": since / 1e9,
            "gaps": {},
            "last_timestamp": until / 1e9,
            "original_length": TRAINING_ROWS * 4,
            "resampled_length": TRAINING_ROWS,
        }
        for tag in definition.loaded_tags
    }
    asset = {"asset": definition.asset} if definition.asset else {}
    loading["aggregate_metadata"] = {"dropped_na_length": TRAINING_ROWS, "joined_length": TRAINING_ROWS}
    loading["tags"] = {tag: {**asset, "name": tag} for tag in definition.loaded_tags}
    return {
        "row_filter_tags": list(definition.filter_tags),
        "summary_statistics": _statistics(definition.tags) if full else {},
        "tag_loading_metadata": loading,
        "train_end_date_actual": _pandas_time(until),
        "train_start_date_actual": _pandas_time(since),
        "x_hist": {tag: _histogram() for tag in definition.tags} if full else {},
    }


def _model_meta(definition: ModelDefinition, thresholds: Thresholds | None) -> Json:
    if definition.kind.plain:
        return {}
    meta: Json = {
        "base_estimator": "Pipeline(steps=[('step_0', MinMaxScaler()), ...])",
        "scaler": "MinMaxScaler()",
        "shuffle": False,
        "smoothing-method": "smm" if definition.window else None,
        "window": definition.window or None,
    }
    if thresholds is not None:
        meta["aggregate-threshold"] = thresholds.aggregate
        meta["feature-thresholds"] = thresholds.feature.tolist()
    if definition.kind.lstm:
        meta["forecast_steps"] = definition.offset - definition.lookback + 1
    return dict(sorted(meta.items()))


def _cross_validation(definition: ModelDefinition, *, full: bool) -> Json:
    if definition.kind is ModelKind.UNVALIDATED:
        return {"cv_duration_sec": None, "scores": {}, "splits": {}}
    scores = {}
    if full:
        names = ("", *(f"-{tag}" for tag in definition.target_list))
        scores = {f"{metric}{name}": _invented(_FOLDS) for metric in _METRICS for name in names}
    return {"cv_duration_sec": 0.05, "scores": scores, "splits": {}}


def _statistics(tags: Sequence[str]) -> Mapping[str, Mapping[str, float]]:
    return {tag: _invented(("25%", "50%", "75%", "count", "max", "mean", "min", "std")) for tag in tags}


def _invented(names: Sequence[str]) -> Mapping[str, float]:
    return {name: 1 / (place + 3) for place, name in enumerate(names)}


def _histogram() -> str:
    """Return text of the length of the hundred bins of a real document."""
    return orjson.dumps({f"({edge:.3f}, {edge + 0.123:.3f}]": 20 for edge in range(100, 100 + _BINS)}).decode()
