"""How loaded the machine was: a fixed piece of work in pure Python, timed in turn with what is measured.

On a machine that does nothing else it takes as long by the clock as in CPU time, and the same CPU time in every part.
Where it waits for a core, figures by the clock are too high; where its CPU time is above the least of the run, others
use the same caches and the same physical cores, and all figures are.
"""

import statistics
import time
from typing import NamedTuple

from benchmarks.report import Row

_ADDITIONS = 300_000
_SAMPLES = 3  #: at a time


class _Sample(NamedTuple):
    cpu: float  #: seconds
    clock: float


class Control:
    """Samples of a run."""

    def __init__(self) -> None:
        self._least = float("inf")
        self._samples: list[_Sample] = []

    def take(self) -> None:
        """Do the work, and time it."""
        for _ in range(_SAMPLES):
            cpu, clock = time.thread_time(), time.perf_counter()
            total = 0
            for number in range(_ADDITIONS):
                total += number
            sample = _Sample(time.thread_time() - cpu, time.perf_counter() - clock)
            self._samples.append(sample)
            self._least = min(self._least, sample.cpu)

    def row(self) -> Row:
        """Return the row of the samples since the last one."""
        cpu, clock = (1e3 * statistics.median(each) for each in zip(*self._samples, strict=True))
        self._samples.clear()
        least = 1e3 * self._least
        return Row(
            "control: a fixed piece of Python, by the clock",
            f"{clock:.1f} ms ({cpu:.1f} ms CPU)",
            f"least CPU of the run: {least:.1f} ms",
            clock / least,
        )


CONTROL = Control()
