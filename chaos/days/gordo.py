"""The models of the days, and predictions by formula that are counted."""

from datetime import timedelta
from typing import NamedTuple

from chaos.gordo_program import FormulaPredictions
from latigo.sandbox.gordo import ModelDefinition
from latigo.sandbox.gordo.frames import Index

RESOLUTION = timedelta(minutes=10)
REVISION = "1764547200000"
NEWER = str(int(REVISION) + 86_400_000)


class Call(NamedTuple):
    """A prediction that the model server has made."""

    model: str
    revision: str
    rows: int


class CountedPredictions(FormulaPredictions):
    """Predictions by formula, which are counted."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def predict(
        self, definition: ModelDefinition, revision: str, body: bytes, content_type: str, *, anomaly: bool
    ) -> tuple[bytes, Index] | None:
        answer = super().predict(definition, revision, body, content_type, anomaly=anomaly)
        if answer is not None:
            self.calls.append(Call(definition.name, revision, len(answer[1])))
        return answer


def definitions(first: int, count: int) -> tuple[ModelDefinition, ...]:
    """Return models with two tags of their own each, and a tag that three of them share."""
    return tuple(
        ModelDefinition(
            f"pump-{number:03d}",
            (f"PT-{number:03d}", f"TT-{number:03d}", f"SHARED-{number // 3:02d}"),
            resolution=RESOLUTION,
            interpolation_limit="10T",
        )
        for number in range(first, first + count)
    )
