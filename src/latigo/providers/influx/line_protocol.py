"""Predictions as line protocol, in the layout of Gordo's own client; pure.

::

    model-output,machine=pump-1,project=plant-a,sensor_name=GRA-TT-001 sensor_value=97.3 1795176000
    total-anomaly-scaled,machine=pump-1,project=plant-a,sensor_name=total-anomaly-scaled sensor_value=0.98 1795176000

A series is named by the column group, the model and the sensor; whole-model columns bear the group's name as that of
their sensor. Never by a revision: writing a point again replaces it only under the same tags.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import orjson

from latigo.domain.errors import Reason, Rejected
from latigo.domain.model import ModelRef
from latigo.domain.series import Column, Predictions, Times, Values
from latigo.providers.influx.query import can_be_queried

FIELD = "sensor_value"
TAGS = frozenset({"machine", "project", "sensor_name"})
MOST_LINES = 5000  #: of a body; more cost the server more for each of them
_SECOND = 1_000_000_000
#: The server would refuse the line, or end it there.
_UNWRITABLE = re.compile(r"\A\Z|\n|\\\Z|[\ud800-\udfff]")
#: The server would take the line for a comment, skip the character, or never find the measurement again.
_NO_MEASUREMENT = re.compile(r"\A[#\t\0]|\\[,= \"]")

Precision = Literal["s", "ns"]


@dataclass(frozen=True, slots=True)
class Encoded:
    """Finite points of some predictions."""

    precision: Precision  #: the unit of the times in ``bodies``
    points_by_row: npt.NDArray[np.int64]  #: how many points of each row there are in ``bodies``
    bodies: Iterator[bytes]  #: at most `MOST_LINES` lines each, none empty; encoded on demand


def encode(predictions: Predictions) -> Encoded:
    """Encode every finite point as a line.

    Raises:
        Rejected: ``WRITE_REFUSED``; the name of a series cannot be written, or two columns have the same.
    """
    prefixes = _prefixes(predictions.model, predictions.columns)
    finite = np.isfinite(predictions.values)
    precision, ends = _ends(predictions.times)
    return Encoded(precision, finite.sum(axis=1), _bodies(_lines(prefixes, predictions.values, ends)))


def halves(body: bytes) -> tuple[bytes, bytes] | None:
    """Return a body divided at a line near its middle; None when it is a single line."""
    middle = len(body) // 2
    cut = body.find(b"\n", middle)
    if cut < 0:
        cut = body.rfind(b"\n", 0, middle)
    return (body[:cut], body[cut + 1 :]) if cut >= 0 else None


def column_of(measurement: str, sensor_name: str) -> Column:
    """Return the column whose points have these names."""
    return Column(measurement, "" if sensor_name == measurement else sensor_name)


def _prefixes(model: ModelRef, columns: Sequence[Column]) -> list[str]:
    """Return the part of a line before the value, for every column.

    Not kept from one call to the next: 9000 models would take 150 MB, to save 0.1 ms each.
    """
    machine, project = tag_value(model.name, "model"), tag_value(model.project, "project")
    if unheard := [name for name in model if not can_be_queried(name, bind=False)]:
        raise _refused(f"the predictions of {unheard[0]!r} could not be queried from InfluxDB")
    tags = f",machine={machine},project={project},sensor_name="
    groups = {name: _measurement(name) for name in {group for group, _ in columns}}
    sensors = {name: tag_value(name, "sensor") for name in {tag or group for group, tag in columns}}
    if len(set(columns)) < len(columns):
        twice = next(column for column, times in Counter(columns).items() if times > 1)
        raise _refused(f"two columns of {model} are the same series {'|'.join(twice)!r}")
    if odd := [group for group, tag in columns if tag == group]:
        raise _refused(f"InfluxDB cannot distinguish the sensor {odd[0]!r} from the whole-model column of that name")
    return [f"{groups[group]}{tags}{sensors[tag or group]} {FIELD}=" for group, tag in columns]


def _measurement(name: str) -> str:
    if _NO_MEASUREMENT.search(name):
        raise _unspeakable(name, "column group")
    return _escaped(name, "column group")


def tag_value(name: str, of_a: str) -> str:
    """Return the name of a model, project or sensor as it is written in a line.

    Raises:
        Rejected: ``WRITE_REFUSED``; it cannot be written.
    """
    return _escaped(name, of_a).replace("=", r"\=")


def _escaped(name: str, of_a: str) -> str:
    """Escape a name. Backslashes stay: one is an escape only before a comma, a space or an equals sign."""
    if _UNWRITABLE.search(name):
        raise _unspeakable(name, of_a)
    return name.replace(",", r"\,").replace(" ", r"\ ")


def _unspeakable(name: str, of_a: str) -> Rejected:
    return _refused(f"InfluxDB cannot store {name!r}: it is not a valid {of_a} name there")


def _refused(message: str) -> Rejected:
    return Rejected(message, reason=Reason.WRITE_REFUSED, whole_model=True)


def _ends(times: Times) -> tuple[Precision, list[str]]:
    """Return the unit of times and the ends of lines, together, since the server accepts a wrong unit silently."""
    if (times % _SECOND).any():
        return "ns", [f" {time}" for time in times.tolist()]
    return "s", [f" {time}" for time in (times // _SECOND).tolist()]


def _lines(prefixes: Sequence[str], values: Values, ends: Sequence[str]) -> Iterator[list[str]]:
    """Yield the lines of finite values, column by column: of as many columns at once as make up a body."""
    rows, together = len(ends), max(MOST_LINES // max(len(ends), 1), 1)
    for first in range(0, len(prefixes), together):
        for top in range(0, rows, MOST_LINES):
            some = ends[top : top + MOST_LINES]
            block = np.ascontiguousarray(values[top : top + MOST_LINES, first : first + together].T)
            # Shortest texts that are read as the same number, as of `repr`, and "null" for what is not finite.
            texts = orjson.dumps(block.ravel(), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].decode().split(",")
            yield [
                f"{prefix}{text}{end}"
                for column, prefix in enumerate(prefixes[first : first + together])
                for text, end in zip(texts[column * len(some) : (column + 1) * len(some)], some, strict=True)
                if text != "null"
            ]


def _bodies(blocks: Iterator[list[str]]) -> Iterator[bytes]:
    waiting: list[str] = []
    for lines in blocks:
        waiting += lines
        while len(waiting) >= MOST_LINES:
            yield "\n".join(waiting[:MOST_LINES]).encode()
            del waiting[:MOST_LINES]
    if waiting:
        yield "\n".join(waiting).encode()
