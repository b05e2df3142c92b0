"""A simulated plant: sensor values as a pure function of tag and time.

Every tag is a mix of a daily and an hourly wave around a level of its own, plus noise; a tag that ends in ``.STATUS``
is a slow 0/1 switch. Nothing is stored: the same plant gives the same readings on any machine, for any period, however
the period is cut.
"""

import zlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from latigo.domain.series import Series, Values
from latigo.domain.windows import span_ns, to_ns

#: Sample number 0 of every tag.
PLANT_EPOCH_NS = to_ns(datetime(2020, 1, 1, tzinfo=UTC))

_SECOND_NS = 1_000_000_000
_MILLISECOND_NS = 1_000_000
_DAY_S = 86_400
_HOUR_S = 3_600
_JITTER_SEED = 0x5BD1E995


class FaultKind(StrEnum):
    """Kinds of faults of a sensor."""

    SILENCE = "silence"  #: no readings at all
    OFFSET = "offset"  #: reads too much by a constant
    DRIFT = "drift"  #: reads more and more too much, until it ends


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of one sensor from ``start`` for ``length``, repeated at intervals of ``every``.

    ``size`` counts amplitudes of the tag's daily wave, so that 1.0 is visible for any tag. A fault that is
    repeated also occurs before ``start``.
    """

    tag: str
    kind: FaultKind
    start: datetime
    length: timedelta
    every: timedelta | None = None
    size: float = 1.0

    def __post_init__(self) -> None:
        if self.length <= timedelta(0) or (self.every is not None and self.every < self.length):
            raise ValueError(f"a fault has a length, and ends before it comes again: {self}")

    def progress(self, times: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return the progress of the fault at each time (ns): 0 to 1 while it lasts, otherwise NaN."""
        since = times - to_ns(self.start)
        if self.every is not None:
            since %= span_ns(self.every)
        length = span_ns(self.length)
        return np.where((since >= 0) & (since < length), since / length, np.nan)


class _Character(NamedTuple):
    """Parameters of one analogue tag."""

    level: float
    daily: float
    hourly: float
    daily_phase: float
    hourly_phase: float


@lru_cache(maxsize=1 << 16)
def _character(seed: int) -> _Character:
    # The legacy generator on purpose: its stream never changes between numpy versions, and models were trained on it.
    draw = np.random.RandomState(seed)
    level, daily, hourly = draw.uniform(20, 200), draw.uniform(2, 20), draw.uniform(0.5, 4)
    daily_phase, hourly_phase = draw.uniform(0, 2 * np.pi, 2)
    return _Character(level, daily, hourly, float(daily_phase), float(hourly_phase))


def _noise(seed: int, samples: npt.NDArray[np.int64]) -> Values:
    """Return an integer hash of sample numbers, mapped to [-1, 1)."""
    mixed = (samples.astype(np.uint64) + np.uint64(seed)) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(32)
    return (mixed >> np.uint64(11)).astype(np.float64) / float(1 << 53) * 2.0 - 1.0


def _signal(name: str, seed: int, samples: npt.NDArray[np.int64], seconds: Values, cycle_s: int) -> Values:
    """Return the values of a healthy sensor at ``seconds`` since the plant's epoch, one per sample number."""
    if name.endswith(".STATUS"):
        return ((seconds + seed % cycle_s) % cycle_s < cycle_s * 0.75).astype(np.float64)
    tag = _character(seed)
    return (
        tag.level
        + tag.daily * np.sin(2 * np.pi * seconds / _DAY_S + tag.daily_phase)
        + tag.hourly * np.sin(2 * np.pi * seconds / _HOUR_S + tag.hourly_phase)
        + 0.05 * tag.daily * _noise(seed, samples)
    )


def _sample(seed: int, start_ns: int, end_ns: int, period_s: float) -> tuple[npt.NDArray[np.int64], Values]:
    """Return sample numbers around a period, and their times in seconds since the plant's epoch, with jitter."""
    first = int((start_ns - PLANT_EPOCH_NS) / _SECOND_NS // period_s) - 1
    last = int((end_ns - PLANT_EPOCH_NS) / _SECOND_NS // period_s) + 1
    samples = np.arange(first, last + 1, dtype=np.int64)
    jitter = np.round(_noise(seed ^ _JITTER_SEED, samples) * period_s * 0.3, 3)
    return samples, samples * period_s + jitter


def _milliseconds(seconds: Values) -> npt.NDArray[np.int64]:
    """Convert seconds since the plant's epoch to ns since the Unix epoch, in whole milliseconds."""
    whole: npt.NDArray[np.int64] = np.round(seconds * 1000).astype(np.int64)
    return PLANT_EPOCH_NS + whole * _MILLISECOND_NS


def synth_series(tag: str, start_ns: int, end_ns: int, period_s: float = 60.0) -> Series:
    """Return the readings that the real test models of Gordo were trained on, bit for bit; ``start <= time < end``.

    One reading per ``period_s`` with jitter of up to 0.3 periods, so times are distinct and rising.
    """
    seed = zlib.crc32(tag.encode())
    samples, seconds = _sample(seed, start_ns, end_ns, period_s)
    times = _milliseconds(seconds)
    values = _signal(tag, seed, samples, seconds, 28_800)
    inside = slice(*np.searchsorted(times, (start_ns, end_ns)))
    return Series(times[inside], values[inside])


class Plant:
    """A plant with sensors and scheduled faults.

    Args:
        seed: another seed, another plant; 0 gives the values of `synth_series`.
        tags: the sensors it has; more can be installed later.
        period: from one reading of a sensor to the next; jitter is up to 0.3 of it.
        tempo: speed of the plant's days and hours; 1 is real time.
        switch_cycle: how long a ``.STATUS`` tag takes from on to on; it is off for the last quarter. Not sped up.
        faults: scheduled from the beginning.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        tags: Iterable[str] = (),
        period: timedelta = timedelta(minutes=1),
        tempo: float = 1.0,
        switch_cycle: timedelta = timedelta(hours=8),
        faults: Iterable[Fault] = (),
    ) -> None:
        if period < timedelta(milliseconds=10) or switch_cycle < timedelta(seconds=1) or tempo <= 0:
            raise ValueError("a plant needs a period of 10 ms, a switch cycle of 1 s and a tempo above 0, or more")
        self.seed = seed
        self.period = period
        self.tempo = tempo
        self._cycle_s = int(switch_cycle.total_seconds())
        self._tags = dict.fromkeys(tags)
        self._faults: defaultdict[str, list[Fault]] = defaultdict(list)
        self.schedule(*faults)

    def install(self, tags: Iterable[str]) -> None:
        """Add sensors; existing ones stay as they are."""
        self._tags.update(dict.fromkeys(tags))

    def schedule(self, *faults: Fault) -> None:
        """Add faults."""
        for fault in faults:
            self._faults[fault.tag].append(fault)

    def tags(self) -> tuple[str, ...]:
        """Return the names of all sensors, in order of installation."""
        return tuple(self._tags)

    def __contains__(self, tag: str) -> bool:
        return tag in self._tags

    def healthy(self, tag: str, start_ns: int, end_ns: int, period_ns: int | None = None) -> Series:
        """Return the readings of the sensor without faults; ``start <= time < end``. Any name is valid."""
        period_s = (span_ns(self.period) if period_ns is None else period_ns) / _SECOND_NS
        seed = self._seed(tag)
        samples, seconds = _sample(seed, start_ns, end_ns, period_s)
        times = _milliseconds(seconds)
        inside = slice(*np.searchsorted(times, (start_ns, end_ns)))
        times, samples, seconds = times[inside], samples[inside], seconds[inside]
        if self.tempo != 1.0 and not tag.endswith(".STATUS"):
            seconds = seconds * self.tempo
        return Series(times, _signal(tag, seed, samples, seconds, self._cycle_s))

    def values(self, tag: str, start_ns: int, end_ns: int, period_ns: int | None = None) -> Series:
        """Return the readings of the sensor, faults included; ``start <= time < end``, one per period."""
        series = self.healthy(tag, start_ns, end_ns, period_ns)
        times, values = series.times, series.values
        for fault in self._faults.get(tag, ()):
            progress = fault.progress(times)
            active = ~np.isnan(progress)
            if fault.kind is FaultKind.SILENCE:
                times, values = times[~active], values[~active]
                continue
            size = fault.size * self.amplitude(tag)
            extra = np.full(len(times), size) if fault.kind is FaultKind.OFFSET else size * progress
            values = values + np.where(active, extra, 0.0)
        return Series(times, values)

    def amplitude(self, tag: str) -> float:
        """Return the amplitude of the tag's daily wave; 1 for a switch."""
        if tag.endswith(".STATUS"):
            return 1.0
        return _character(self._seed(tag)).daily

    def _seed(self, tag: str) -> int:
        return (zlib.crc32(tag.encode()) ^ (self.seed * 0x9E3779B1)) & 0xFFFFFFFF
