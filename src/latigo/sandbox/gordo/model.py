"""Models that are trained on the plant: PCA and regression in numpy.

They are trained on the simulated plant without faults, so a fault is an anomaly. The numbers mean
what Gordo's mean: section 4 of the reference page on its HTTP API lists them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from latigo.domain.series import Values
from latigo.domain.windows import span_ns
from latigo.providers.simulated.plant import PLANT_EPOCH_NS, Plant
from latigo.sandbox.gordo.definition import ModelDefinition, ModelKind

Output = npt.NDArray[np.float64] | npt.NDArray[np.float32]

TRAINING_ROWS = 720  #: a plant day in 2 minute rows, five days at 10 minutes
_READINGS_PER_ROW = 4
_LEAST_VARIANCE = 1e-9


class ValuesRefused(ValueError):
    """Values that the model refuses; the text is that of Gordo's model."""


@dataclass(frozen=True, slots=True)
class _Scale:
    """Scaling of the range in training to [0, 1], by column."""

    low: Values
    span: Values

    @classmethod
    def of(cls, values: Values) -> "_Scale":
        low = values.min(axis=0)
        span = values.max(axis=0) - low
        return cls(low, np.where(span == 0, 1.0, span))

    def __call__(self, values: Output) -> Values:
        scaled: Values = (values - self.low) / self.span
        return scaled


@dataclass(frozen=True, slots=True)
class _Regression:
    """Projection of rows to a few principal components, and regression of the targets on them."""

    scale: _Scale
    centre: Values
    axes: Values  #: (columns, components)
    weights: Values  #: (components, targets)
    intercept: Values

    @classmethod
    def fit(cls, x: Values, y: Values, components: int) -> "_Regression":
        scale = _Scale.of(x)
        scaled = scale(x)
        centre = scaled.mean(axis=0)
        # By way of the small covariance matrix: a decomposition of all rows would cost ten times as much.
        variances, vectors = np.linalg.eigh((scaled - centre).T @ (scaled - centre))
        axes, variances = vectors[:, ::-1][:, :components], variances[::-1][:components]
        intercept = y.mean(axis=0)
        # The components are orthogonal, so they regress independently; a constant one has no weight.
        weights = ((scaled - centre) @ axes).T @ (y - intercept) / np.maximum(variances, _LEAST_VARIANCE)[:, None]
        return cls(scale, centre, axes, weights, intercept)

    def project(self, x: Values) -> Values:
        projected: Values = (self.scale(x) - self.centre) @ self.axes
        return projected

    def __call__(self, x: Values) -> Values:
        predicted: Values = self.project(x) @ self.weights + self.intercept
        return predicted


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Largest normal errors: shape (targets,), and one number for all."""

    feature: Values
    aggregate: float


class FittedModel:
    """A model after training: rows in, numbers out."""

    def __init__(self, definition: ModelDefinition, x: Values, y: Values) -> None:
        """Train on rows of X and y, shapes (n, tags) and (n, targets), consecutive and finite."""
        self.definition = definition
        self._components = definition.components or min(4, max(1, len(definition.tags) // 2))
        if definition.kind is ModelKind.IDENTITY:
            self._components = len(definition.tags)
        seen, aim = _features(definition, x), y[definition.offset :]
        self._target_scale = _Scale.of(aim)
        self._regression = _Regression.fit(seen, aim, self._components)
        self.thresholds = self._validate(seen, aim)

    @classmethod
    def trained_on(cls, plant: Plant, definition: ModelDefinition, until_ns: int) -> "FittedModel":
        """Train on the rows of a healthy plant before ``until_ns``; a row is the mean of four readings."""
        y = training_rows(plant, definition.target_list, definition, until_ns)
        x = y if definition.targets is None else training_rows(plant, definition.tags, definition, until_ns)
        return cls(definition, x, y)

    def output(self, x: Values) -> Output:
        """Return the output for X: ``offset`` rows fewer, one column a target (a component for ``TRANSFORM``).

        Raises:
            ValuesRefused: too few rows, or values that are not finite where the model does not take them.
        """
        kind = self.definition.kind
        if np.isinf(x).any():
            raise ValuesRefused("Input X contains infinity or a value too large for dtype('float64').")
        if not kind.keras and np.isnan(x).any():
            raise ValuesRefused("Input X contains NaN.")
        if not len(x):
            raise ValuesRefused(f"Found array with 0 sample(s) (shape={x.shape}) while a minimum of 1 is required.")
        if kind.lstm and len(x) <= self.definition.lookback:
            raise ValuesRefused("For KerasLSTMForecast lookback_window must be < size of X")
        if kind is ModelKind.TRANSFORM:
            return self._regression.project(x)
        predicted = self._regression(_features(self.definition, x))
        return predicted.astype(np.float32) if kind.keras else predicted

    def anomalies(self, output: Output, y: Values) -> Mapping[str, Values]:
        """Return the columns of ``anomaly/prediction`` by group: (rows, targets) per tag, (rows,) in total.

        ``y`` has as many rows as ``output``. Divisions by a threshold of 0 give NaN or infinity, as Gordo's do.
        """
        scaled = np.abs(self._target_scale(output) - self._target_scale(y))
        unscaled: Values = np.abs(output - y)
        groups = {
            "tag-anomaly-scaled": scaled,
            "total-anomaly-scaled": np.square(scaled).mean(axis=1),
            "tag-anomaly-unscaled": unscaled,
            "total-anomaly-unscaled": np.square(unscaled).mean(axis=1),
        }
        if self.definition.window:
            groups |= {
                f"smooth-{name}": _rolling_median(group, self.definition.window) for name, group in groups.items()
            }
        with np.errstate(divide="ignore", invalid="ignore"):
            groups["anomaly-confidence"] = unscaled / self.thresholds.feature
            groups["total-anomaly-confidence"] = groups["total-anomaly-scaled"] / self.thresholds.aggregate
        return groups

    def _validate(self, seen: Values, aim: Values) -> Thresholds:
        """Train on the first three quarters and measure the errors in the last, as Gordo's last fold does.

        Gordo takes the highest of the rolling minima of six errors; here it is the highest error itself, so that a
        healthy plant stays below a confidence of 1 and an anomaly is clear.
        """
        if self.definition.kind is ModelKind.IDENTITY:
            return Thresholds(np.zeros(aim.shape[1]), 0.0)
        cut = len(seen) * 3 // 4
        fold = _Regression.fit(seen[:cut], aim[:cut], self._components)
        predicted = fold(seen[cut:])
        scaled = self._target_scale(predicted) - self._target_scale(aim[cut:])
        return Thresholds(np.abs(predicted - aim[cut:]).max(axis=0), float(np.square(scaled).mean(axis=1).max()))


def training_rows(plant: Plant, tags: tuple[str, ...], definition: ModelDefinition, until_ns: int) -> Values:
    """Return consecutive rows at the model's resolution, shape (`TRAINING_ROWS`, tags), of the plant without faults."""
    period = span_ns(definition.resolution) // _READINGS_PER_ROW
    readings = TRAINING_ROWS * _READINGS_PER_ROW
    # Half a period before a sample's time, jitter of 0.3 periods puts no reading on the wrong side of the edge; one
    # reading more or less would shift this tag's rows against those of the others.
    end = until_ns - (until_ns - PLANT_EPOCH_NS) % period - period // 2
    columns = [plant.healthy(tag, end - readings * period, end, period).values for tag in tags]
    return np.column_stack([values.reshape(TRAINING_ROWS, _READINGS_PER_ROW).mean(axis=1) for values in columns])


def _features(definition: ModelDefinition, x: Values) -> Values:
    """Return the features of each output row: the row itself, or a blend of the rows it looks back on."""
    if not definition.kind.lstm:
        return x
    rows = len(x) - definition.offset
    past = np.lib.stride_tricks.sliding_window_view(x, definition.lookback, axis=0)[:rows]
    blend: Values = 0.5 * (past[:, :, -1] + past.mean(axis=2))
    return blend


def _rolling_median(values: Values, window: int) -> Values:
    """Return the median over the ``window`` rows up to each row; NaN where there are fewer."""
    smooth = np.full_like(values, np.nan)
    if len(values) >= window:
        smooth[window - 1 :] = np.median(np.lib.stride_tricks.sliding_window_view(values, window, axis=0), axis=-1)
    return smooth
