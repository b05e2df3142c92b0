"""A model server whose models answer values that are not finite, as far as a test wants it."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.gordo_stub import StubPredictions
from latigo.sandbox.gordo import ModelDefinition
from latigo.sandbox.gordo.frames import Index

#: Replaces values of an answer; of shape (rows, columns), with the labels of the rows (ns).
Change = Callable[[npt.NDArray[np.int64], npt.NDArray[np.float64]], None]


class ChangedPredictions:
    """Canned answers of the sandbox's Gordo, changed for some models as long as they stand in ``changes``."""

    def __init__(self) -> None:
        self.changes: dict[str, Change] = {}
        self._stub = StubPredictions()

    def predict(
        self, definition: ModelDefinition, revision: str, body: bytes, content_type: str, *, anomaly: bool
    ) -> tuple[bytes, Index] | None:
        answered = self._stub.predict(definition, revision, body, content_type, anomaly=anomaly)
        change = self.changes.get(definition.name)
        if answered is None or change is None:
            return answered
        response, index = answered
        return _changed(response, index, change), index


def _changed(response: bytes, index: Index, change: Change) -> bytes:
    table = pq.read_table(pa.BufferReader(response))
    numbers = [
        place
        for place, field in enumerate(table.schema)
        if pa.types.is_floating(field.type) and not field.name.startswith("('model-input'")
    ]
    values = np.column_stack([table.column(place).to_numpy() for place in numbers]).astype(np.float64)
    change(index.labels[len(index.labels) - len(values) :], values)
    for place, column in zip(numbers, values.T, strict=True):
        field = table.schema.field(place)
        # Gordo writes NaN as null, and infinities as they are.
        table = table.set_column(place, field, pa.array(column, field.type, from_pandas=True))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())
