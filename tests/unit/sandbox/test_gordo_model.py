"""The models of the sandbox really model: errors are small on a healthy plant and rise with a fault."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from latigo.domain.series import Values
from latigo.domain.windows import span_ns, to_ns
from latigo.providers.simulated import FaultKind, Plant
from latigo.sandbox.gordo import ModelDefinition, ModelKind, demo_faults, demo_project
from latigo.sandbox.gordo.definition import frequency
from latigo.sandbox.gordo.model import FittedModel, ValuesRefused
from tests.support.examples import examples

UNTIL = to_ns(datetime(2025, 10, 15, tzinfo=UTC))
LATER = UNTIL + span_ns(timedelta(days=3))
TAGS = tuple(f"1903.PT-{n:04d}.PV" for n in range(10))
TEN = timedelta(minutes=10)


def fitted(kind: ModelKind = ModelKind.PCA, **traits: Any) -> FittedModel:
    return FittedModel.trained_on(Plant(), ModelDefinition("m", TAGS, kind, **traits), UNTIL)


def rows(count: int) -> Values:
    """Rows at ten minutes of a healthy plant, three days after training."""
    period = span_ns(TEN) // 4
    start = LATER - period // 2  # so that jitter moves no reading over the edge
    readings = [Plant().healthy(tag, start, start + 4 * count * period, period).values for tag in TAGS]
    return np.column_stack([values.reshape(count, 4).mean(axis=1) for values in readings])


FITTED = fitted()
WINDOWED = fitted(window=5)


@given(
    output=arrays(np.float64, (12, 10), elements=st.floats(-1e6, 1e6)),
    y=arrays(np.float64, (12, 10), elements=st.floats(-1e6, 1e6)),
)
def test_anomaly_columns_keep_the_laws_of_gordo(output: Values, y: Values) -> None:
    groups = WINDOWED.anomalies(output, y)

    scaled, unscaled = groups["tag-anomaly-scaled"], groups["tag-anomaly-unscaled"]
    np.testing.assert_allclose(unscaled, np.abs(output - y))
    np.testing.assert_allclose(groups["total-anomaly-unscaled"], (unscaled**2).mean(axis=1))
    np.testing.assert_allclose(groups["total-anomaly-scaled"], (scaled**2).mean(axis=1))
    np.testing.assert_allclose(groups["anomaly-confidence"], unscaled / WINDOWED.thresholds.feature)
    smooth = groups["smooth-total-anomaly-scaled"]
    assert np.isnan(smooth[:4]).all()
    for row in range(4, 12):
        assert smooth[row] == np.median(groups["total-anomaly-scaled"][row - 4 : row + 1])


def test_a_healthy_plant_stays_below_confidence_1_and_a_fault_stands_out() -> None:
    healthy = rows(144)
    faulty = healthy.copy()
    faulty[100:, 3] += Plant().amplitude(TAGS[3])

    before = FITTED.anomalies(FITTED.output(healthy), healthy)["total-anomaly-confidence"]
    after = FITTED.anomalies(FITTED.output(faulty), faulty)["total-anomaly-confidence"]

    assert np.quantile(before, 0.95) < 1
    np.testing.assert_array_equal(before[:100], after[:100])
    assert after[100:].min() > 3


def test_training_is_deterministic_and_depends_on_the_revision() -> None:
    again = FittedModel.trained_on(Plant(), FITTED.definition, UNTIL)
    later = FittedModel.trained_on(Plant(), FITTED.definition, LATER)

    x = rows(6)

    np.testing.assert_array_equal(FITTED.output(x), again.output(x))
    assert np.abs(FITTED.output(x) - later.output(x)).max() > 0


@pytest.mark.parametrize(
    ("kind", "offset", "needed"),
    [(ModelKind.PCA, 0, 1), (ModelKind.LSTM_AUTOENCODER, 5, 7), (ModelKind.LSTM_FORECAST, 6, 7)],
)
def test_an_answer_is_shorter_by_the_offset_and_too_few_rows_are_refused(
    kind: ModelKind, offset: int, needed: int
) -> None:
    model = fitted(kind)

    outputs = {count: len(model.output(rows(count))) for count in (needed, needed + 5)}

    assert model.definition.offset == offset
    assert outputs == {count: count - offset for count in (needed, needed + 5)}
    with pytest.raises(ValuesRefused):
        model.output(rows(20)[: needed - 1])


def test_a_forecast_never_sees_its_own_row_and_an_autoencoder_does() -> None:
    x = rows(8)
    changed = x.copy()
    changed[-1] += 10

    moved = {
        kind: np.abs(model.output(x)[-1] - model.output(changed)[-1]).max()
        for kind in (ModelKind.LSTM_AUTOENCODER, ModelKind.LSTM_FORECAST)
        for model in [fitted(kind)]
    }

    assert moved[ModelKind.LSTM_FORECAST] == 0
    assert moved[ModelKind.LSTM_AUTOENCODER] > 1


@given(row=st.integers(0, 11), column=st.integers(0, 9))
@settings(max_examples=examples(20))
def test_nan_is_refused_by_scikit_learn_manners_and_stays_in_its_row_by_keras_manners(row: int, column: int) -> None:
    x = rows(12)
    x[row, column] = np.nan

    answered = KERAS.output(x)

    assert np.isnan(answered).any(axis=1).tolist() == [n == row for n in range(12)]
    assert answered.dtype == np.float32
    with pytest.raises(ValuesRefused, match="contains NaN"):
        FITTED.output(x)


KERAS = fitted(ModelKind.KERAS)


@pytest.mark.parametrize("kind", [ModelKind.PCA, ModelKind.KERAS])
def test_infinity_is_refused_by_all(kind: ModelKind) -> None:
    x = rows(3)
    x[0, 0] = np.inf

    with pytest.raises(ValuesRefused, match="infinity"):
        fitted(kind).output(x)


def test_targets_may_be_other_tags_than_the_inputs() -> None:
    model = fitted(targets=(TAGS[0], "1903.PT-9999.PV"))

    assert model.output(rows(3)).shape == (3, 2)
    assert model.thresholds.feature.shape == (2,)


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5S"), (60, "1T"), (600, "10T"), (420, "7T"), (3600, "1H"), (86400, "1D"), (0.25, "250L")]
)
def test_resolutions_are_written_as_pandas_frequencies(seconds: float, text: str) -> None:
    assert frequency(timedelta(seconds=seconds)) == text


def test_a_demo_project_has_sensors_of_its_own_and_every_kind_of_model() -> None:
    plant = Plant()

    definition = demo_project(plant, "plant-a", 60, timedelta(seconds=5), 12)

    names = [model.name for model in definition.models]
    tags = [tag for model in definition.models for tag in model.loaded_tags]
    assert len(set(names)) == len(names) == 60
    assert (names[0], names[16]) == ("pump-001", "pump-017")
    assert len(set(tags)) == len(tags)
    assert set(tags) == set(plant.tags())
    assert {model.kind for model in definition.models} >= {ModelKind.PLAIN, ModelKind.LSTM_AUTOENCODER, ModelKind.KERAS}
    [filtered] = [model for model in definition.models if model.row_filter]
    assert filtered.row_filter == f"`{filtered.filter_tags[0]}` > 0.5"


def test_demo_faults_come_at_different_times_and_hit_the_tags_of_the_project() -> None:
    plant = Plant()
    definition = demo_project(plant, "plant-a", 64)

    faults = demo_faults(definition, start=datetime(2025, 1, 1, tzinfo=UTC), every=TEN, length=timedelta(minutes=2))

    assert len({fault.start for fault in faults}) == len(faults) == 16
    assert {fault.kind for fault in faults} == set(FaultKind)
    assert {fault.tag for fault in faults} <= set(plant.tags())
