"""The numbers of the campaign: readings, rows and predictions as pure functions.

The source of readings, the stand-in for Gordo and the judge each compute from these, so that the judge knows every
prediction without the code that it judges. Times are whole seconds since the epoch, UTC.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PROJECT = "campaign"
#: Seconds between two rows of a model. There is a reading of every tag in every second.
RESOLUTION = 5
#: Groups of columns with one column for each tag, and their share of the model's output.
BY_TAG: Mapping[str, float] = {
    "model-output": 1.0,
    "tag-anomaly-scaled": 0.5,
    "tag-anomaly-unscaled": 0.25,
    "anomaly-confidence": 0.125,
}
#: Groups with one column for the whole model, and their share of the sum of all outputs.
IN_TOTAL: Mapping[str, float] = {
    "total-anomaly-scaled": 0.5,
    "total-anomaly-unscaled": 0.25,
    "total-anomaly-confidence": 0.125,
}
#: A switch is off in the last third of its cycle, so that a filtered model has slots with and without rows.
_CYCLE = 90
_ON = 60

Cells = Mapping[tuple[str, str], float]  #: by column group and tag


@dataclass(frozen=True)
class Model:
    """A model of the campaign: its name, its tags, and the switch that has to be on for a row to count."""

    name: str
    tags: tuple[str, ...]
    switch: str = ""

    @property
    def row_filter(self) -> str:
        """The row filter in Gordo's language."""
        return f"`{self.switch}` > 0.5" if self.switch else ""


def models(count: int) -> Sequence[Model]:
    """Return the models of a campaign; every fourth has a row filter."""
    return [
        Model(
            name=f"pump-{number:02d}",
            tags=tuple(f"1903.{quantity}-{number:04d}.PV" for quantity in ("PT", "TT")),
            switch=f"1903.XV-{number:04d}.STATUS" if number % 4 == 3 else "",
        )
        for number in range(count)
    ]


def reading(tag: str, second: int) -> float:
    """Return the value of a sensor."""
    seed = zlib.crc32(tag.encode())
    if tag.endswith(".STATUS"):
        return float((second + seed) % _CYCLE < _ON)
    return (second * 7919 + seed) % 4096 / 8


def row(tag: str, label: int) -> float:
    """Return the mean of the readings from this label up to the next one."""
    return sum(reading(tag, second) for second in range(label, label + RESOLUTION)) / RESOLUTION


def labels(model: Model, start: int, end: int) -> Sequence[int]:
    """Return the labels of the rows that the model has in a period of whole rows."""
    every = range(start, end, RESOLUTION)
    return [label for label in every if not model.switch or row(model.switch, label) > 0.5]


def output(revision: str, mean: float, label: int) -> float:
    """Return the output of a model for one tag: another one in each revision."""
    return mean * (1 + int(revision) // 1000 % 1021 / 1024) + label % 3600 / 64


def prediction(model: Model, revision: str, label: int) -> Cells:
    """Return everything that has to be stored for one row."""
    outputs = {tag: output(revision, row(tag, label), label) for tag in model.tags}
    cells = {(group, tag): share * value for group, share in BY_TAG.items() for tag, value in outputs.items()}
    total = sum(outputs.values())
    return cells | {(group, ""): share * total for group, share in IN_TOTAL.items()}
