"""Receipts: what an executor measured while it worked on a window, in about a hundred octets."""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

Stage = Literal["claim", "read", "frame", "predict", "write", "settle"]
"""A measured part of a task, in order."""

#: Stages that a receipt has. How long settling takes is not known before it is written: see `Receipt.elapsed`.
STAGES: Final[tuple[Stage, ...]] = ("claim", "read", "frame", "predict", "write")

_VERSION: Final = 1  #: of the form below; a reader skips what it does not know
_WITH_TAGS: Final = 2  #: the same with what tags carry: a count in an octet, and `CARRIED` for each
_HAS_SCORE: Final = 1
_SCORE: Final = struct.Struct("<d")
_CARRIED: Final = struct.Struct("<HB")
MOST_CARRIERS: Final = 3


class Inputs(NamedTuple):
    """The readings of a window. By tag: in the order of `DatasetConfig.tags`, in the epoch of the task."""

    readings: tuple[int, ...]  #: by tag: readings of the period that was read, which begins before the window
    rows: tuple[int, ...]  #: by tag: labels of the window with readings of their own; the others are filled or empty
    labels: int  #: labels of the window
    filled: int  #: cells of the window (tags times labels) whose value was carried on or interpolated
    newest_age: int | None  #: seconds from the newest reading of any tag to the end of the window; None: no readings


class Carrier(NamedTuple):
    """A tag that carries much of an anomaly."""

    tag: int  #: its place in `DatasetConfig.tags`, in the epoch of the task
    percent: int  #: of the total anomaly of the rows over the threshold, or of all where none is


class Score(NamedTuple):
    """How far a window is from normal: the answer's columns ``total-anomaly-scaled`` and ``total-anomaly-confidence``.

    ``highest`` is the greatest finite value of the first. ``over`` counts the rows in which the second, which is the
    first divided by the model's threshold, exceeds 1; None: the model has no threshold. ``carriers`` are the tags that
    carry most of it, at most `MOST_CARRIERS`, the first one most; none: that was not measured.
    """

    highest: float
    over: int | None
    carriers: tuple[Carrier, ...] = ()


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an executor measured in its last attempt at a window; the ledger adds what it knows by itself."""

    stages: Mapping[Stage, int] = field(default_factory=dict)  #: ms; a stage that was not reached is absent or 0
    #: ms from the claim until the result was handed over to be settled. What is in no stage was spent on waiting for a
    #: turn; from then until the ledger's time of settling, the task was being settled.
    elapsed: int = 0
    inputs: Inputs | None = None  #: None: the readings were not read
    sinks: tuple[str, ...] = ()  #: downstreams of the sinks that were written to, or had the result already
    score: Score | None = None  #: None: nothing was predicted, or the model is no anomaly detector

    def to_bytes(self) -> bytes:
        """Return the compact form: whole numbers of seven bits an octet, then the score with carriers, then sinks."""
        inputs, score = self.inputs or Inputs((), (), 0, 0, None), self.score
        packed = _packed(
            (
                _WITH_TAGS if score is not None and score.carriers else _VERSION,
                *(self.stages.get(stage, 0) for stage in STAGES),
                self.elapsed,
                len(inputs.readings),
                *inputs.readings,
                *inputs.rows,
                inputs.labels,
                inputs.filled,
                0 if inputs.newest_age is None else inputs.newest_age + 1,
                0 if score is None or score.over is None else score.over + 1,
                0 if score is None else _HAS_SCORE,
            )
        )
        if score is not None:
            packed += _SCORE.pack(score.highest)
            if score.carriers:
                packed.append(len(score.carriers))
                packed += b"".join(_CARRIED.pack(*carrier) for carrier in score.carriers)
        packed += "\n".join(self.sinks).encode()
        return bytes(packed)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Receipt | None":
        """Return what `to_bytes` was called on; None where nothing was recorded, or in a form of a newer Latigo.

        Raises:
            ValueError: it ends too early.
        """
        if not data or data[0] not in {_VERSION, _WITH_TAGS}:
            return None
        reader = _Reader(data, at=1)
        stages = dict(zip(STAGES, reader.numbers(len(STAGES)), strict=True))
        elapsed, tags = reader.numbers(2)
        readings, rows = reader.numbers(tags), reader.numbers(tags)
        labels, filled, newest, over, flags = reader.numbers(5)
        score = None
        if flags & _HAS_SCORE:
            highest = reader.score()
            carriers = reader.carriers() if data[0] == _WITH_TAGS else ()
            score = Score(highest, over - 1 if over else None, carriers)
        return cls(
            stages=stages,
            elapsed=elapsed,
            inputs=Inputs(readings, rows, labels, filled, newest - 1 if newest else None) if tags else None,
            sinks=tuple(data[reader.at :].decode().split("\n")) if reader.at < len(data) else (),
            score=score,
        )


def _packed(numbers: Iterable[int]) -> bytearray:
    packed = bytearray()
    for number in numbers:
        left = number
        while left > 0x7F:
            packed.append(left & 0x7F | 0x80)
            left >>= 7
        packed.append(left)
    return packed


class _Reader:
    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self.at = at

    def numbers(self, count: int) -> tuple[int, ...]:
        return tuple(self._number() for _ in range(count))

    def _number(self) -> int:
        number = shift = 0
        while True:
            if self.at >= len(self._data):
                raise ValueError("a receipt ends within a number")
            octet = self._data[self.at]
            self.at += 1
            number |= (octet & 0x7F) << shift
            shift += 7
            if octet < 0x80:
                return number

    def score(self) -> float:
        if self.at + _SCORE.size > len(self._data):
            raise ValueError("a receipt ends within its score")
        (score,) = _SCORE.unpack_from(self._data, self.at)
        self.at += _SCORE.size
        return float(score)

    def carriers(self) -> tuple[Carrier, ...]:
        count = self._data[self.at] if self.at < len(self._data) else 1
        first, self.at = self.at + 1, self.at + 1 + count * _CARRIED.size
        if self.at > len(self._data):
            raise ValueError("a receipt ends within its tags")
        return tuple(map(Carrier._make, _CARRIED.iter_unpack(self._data[first : self.at])))
