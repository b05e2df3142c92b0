"""Sets of data time and their algebra."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from latigo.domain.windows import Window


@dataclass(frozen=True, slots=True)
class Coverage:
    """A set of data time: disjoint windows in ascending order, no two adjacent.

    Create it with ``Coverage.of``; the constructor takes windows that are already in that form.
    """

    windows: tuple[Window, ...] = ()

    @classmethod
    def of(cls, windows: Iterable[Window]) -> "Coverage":
        """Return the union of windows, which may overlap, in any order."""
        merged: list[Window] = []
        for window in sorted(windows):
            if merged and window.start <= merged[-1].end:
                if window.end > merged[-1].end:
                    merged[-1] = Window(merged[-1].start, window.end)
            else:
                merged.append(window)
        return cls(tuple(merged))

    def __iter__(self) -> Iterator[Window]:
        return iter(self.windows)

    def __bool__(self) -> bool:
        return bool(self.windows)

    def __contains__(self, time: datetime) -> bool:
        return any(time in window for window in self.windows)

    def __or__(self, other: "Coverage") -> "Coverage":
        return Coverage.of((*self.windows, *other.windows))

    def __and__(self, other: "Coverage") -> "Coverage":
        common: list[Window] = []
        mine, theirs = iter(self.windows), iter(other.windows)
        a, b = next(mine, None), next(theirs, None)
        while a and b:
            if both := a.intersect(b):
                common.append(both)
            if a.end <= b.end:
                a = next(mine, None)
            else:
                b = next(theirs, None)
        return Coverage(tuple(common))

    def __sub__(self, other: "Coverage") -> "Coverage":
        left: list[Window] = []
        cuts = other.windows
        first = 0
        for window in self.windows:
            start = window.start
            while first < len(cuts) and cuts[first].end <= start:
                first += 1
            at = first
            while at < len(cuts) and cuts[at].start < window.end:
                if start < cuts[at].start:
                    left.append(Window(start, cuts[at].start))
                start = max(start, cuts[at].end)
                at += 1
            if start < window.end:
                left.append(Window(start, window.end))
        return Coverage(tuple(left))

    @property
    def total(self) -> timedelta:
        """Sum of the durations of the windows."""
        return sum((window.length for window in self.windows), timedelta(0))
