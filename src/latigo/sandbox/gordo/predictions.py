"""Predictions: frames of a request in, groups of columns out."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from latigo.sandbox.gordo.body import Refused, message, page
from latigo.sandbox.gordo.definition import ModelDefinition
from latigo.sandbox.gordo.frames import Index, Table
from latigo.sandbox.gordo.metadata import model_class
from latigo.sandbox.gordo.model import FittedModel, Output, ValuesRefused
from latigo.sandbox.gordo.responses import Group


class CannedPredictions(Protocol):
    """Prediction responses that are made without a model, for benchmarks."""

    def predict(
        self, definition: ModelDefinition, revision: str, body: bytes, content_type: str, *, anomaly: bool
    ) -> tuple[bytes, Index] | None:
        """Return a parquet response, and the labels of the request's rows; None to let the model itself respond."""


def check_inputs(
    frames: Mapping[str, Table | None], model: ModelDefinition, *, anomaly: bool
) -> tuple[Table, Table | None]:
    """Return X and y with the columns of the model; y is None if it is not needed.

    Raises:
        Refused: in the order of Gordo's checks.
    """
    x, y = frames.get("X"), frames.get("y")
    if x is None:
        raise Refused(message(400, 'Cannot predict without "X"'))
    x = x.checked(model.tags)
    if y is not None:
        y = y.checked(model.target_list)
    if not anomaly:
        return x, None
    if y is None:
        raise Refused(message(400, "Cannot perform anomaly without 'y' to compare against."))
    if not model.kind.detector:
        text = f"Model is not an AnomalyDetector, it is of type: <class '{model_class(model)}'>"
        raise Refused(message(422, text))
    return x, y


def predict(fitted: FittedModel, x: Table, y: Table | None) -> tuple[list[Group], Index]:
    """Return the columns of a response in the order of a parquet file; with anomalies if there is a y.

    Raises:
        Refused: the model refuses the values: 400 with the reason without y, 500 without it with y.
    """
    if y is None:
        try:
            output = fitted.output(x.numbers())
        except ValuesRefused as refusal:
            raise Refused(message(400, f"ValueError: {refusal}", "error")) from None
        return _plain_groups(fitted.definition, x, output, None)
    try:
        output = fitted.output(x.numbers())
        targets = y.numbers()
    except ValuesRefused:
        raise Refused(page(500)) from None
    if len(targets) < len(output) or len(np.unique(x.index.labels)) < len(x.index):
        raise Refused(page(500))
    # y belongs to X by position, counted from the last row, whatever its times are.
    anomalies = fitted.anomalies(output, targets[len(targets) - len(output) :])
    groups, index = _plain_groups(fitted.definition, x, output, fitted.definition)
    for name, values in anomalies.items():
        groups.append(Group(name, fitted.definition.target_list if values.ndim == 2 else (), values))
    return groups, index


def _plain_groups(
    model: ModelDefinition, x: Table, output: Output, timed: ModelDefinition | None
) -> tuple[list[Group], Index]:
    index = x.index.last(len(output))
    start = index.texts() if index.timed else None
    end = index.shifted(model.resolution).texts() if timed and index.timed else None
    targets = model.target_list
    columns = targets if output.shape[1] == len(targets) else tuple(str(n) for n in range(output.shape[1]))
    return [
        Group("start", (), start),
        Group("end", (), end),
        Group("model-input", model.tags, x.values[len(x.values) - len(output) :]),
        Group("model-output", columns, output),
    ], index
