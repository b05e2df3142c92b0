"""Which run of a repeated hour a row belongs to, by what the rows around it show; pure.

Where clocks are set back, local times occur twice: in a first run, and in a second one. The rows of a tag, in the order
in which they were written, show what is meant: time went on from row to row, so a jump back is the border between the
runs; and a tag that is sampled regularly has no gap of just the hour. Every border between the runs that is possible
is given a cost: the sum of the logarithms of the gaps that it leaves, in steps of the sampling. A row is placed if all
borders that cost little place it in the same run. Where that is not so the row is doubtful: one run alone that fits
both places, or a file of which nothing but the hour is at hand.

What this cannot see: two outages near the hour, one of which is as long as the hour.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from latigo.domain.series import Times

Runs = npt.NDArray[np.int8]  #: a `Run` for each row
Rows = npt.NDArray[np.intp]

_SECOND = 10**9
_MARGIN = 3 * 3600 * _SECOND  #: before and after the hour, in which rows are evidence
_LEAST_MARGIN = 60 * _SECOND
_MOST_ROWS = 500_000  #: in the margins, approximately: where there are more, the margins are shorter
_JITTER = 5 * _SECOND  #: by which a row may be early or late
_REGULAR = 0.25  #: by which steps of regular sampling differ from the usual one
_REGULAR_OF_FEW = 0.01  #: the same where there are few steps
_MANY_STEPS = 8
_SHARE = 0.8  #: of the steps that are usual, where sampling is regular
_CLEAR = float(np.log(8.0))  #: difference of costs that decides; of an irregular tag, or where there is a gap anyhow
_SHORT = float(np.log(2.0))  #: cost of a step that is too short for a regular tag


_CLEAR_STEPS = 3  #: more steps one way than the other that show the order of rows which are all ambiguous
_ASCENDING, _DESCENDING = slice(None, None, 1), slice(None, None, -1)


class Run(IntEnum):
    """Placement of a row in a repeated hour."""

    FIRST = 0
    SECOND = 1
    DOUBTFUL = 2


class RepeatedHour(NamedTuple):
    """Local times that occur twice: before and after ``at``, when clocks are set back by ``length``, both in ns."""

    at: int
    length: int


@dataclass(frozen=True, slots=True, eq=False)
class NearRows:
    """The rows of one file near a repeated hour, in file order.

    Args:
        first: their times, those of ambiguous rows in the first run.
        second: the same with ambiguous rows in the second run.
        tags: of the rows, an Arrow array of text with a dictionary; None if each row is of all tags of the file.
        parts: the parts of the file that they are from, each with the number of its ambiguous rows.
    """

    first: Times
    second: Times
    tags: Any
    parts: Sequence[tuple[Hashable, int]]

    @property
    def ambiguous(self) -> Rows:
        return np.flatnonzero(self.first != self.second)

    def part_of(self, number: int) -> tuple[Hashable, int]:
        """Return the part of an ambiguous row, and its number among the ambiguous rows there."""
        for part, count in self.parts:
            if number < count:
                return part, number
            number -= count
        raise IndexError(number)


@dataclass(frozen=True, slots=True, eq=False)
class PartRows:
    """The rows of one part of a file near a repeated hour; see `NearRows`."""

    first: Times
    second: Times
    tags: Any

    @classmethod
    def of(
        cls,
        times: Times,
        readable: npt.NDArray[np.bool_],
        ambiguous: Rows,
        tags: Any,
        *,
        length: int,
        window: tuple[int, int],
    ) -> "PartRows":
        """Return the rows within a window.

        Args:
            times: of all rows of the part, those of ambiguous rows in the first run.
            readable: which times are valid.
            ambiguous: the rows that belong to the hour.
            tags: of all rows, an Arrow array of text; None if they have no tags of their own.
            length: of the hour.
            window: the first and last time.
        """
        second = times.copy()
        second[ambiguous] += length
        rows = np.flatnonzero(readable & (second >= window[0]) & (times <= window[1]))
        return cls(times[rows], second[rows], None if tags is None else tags.take(pa.array(rows)).dictionary_encode())

    @classmethod
    def joined(cls, parts: Sequence["PartRows"]) -> "PartRows":
        """Return the rows of several parts, at least one, in their order."""
        tags = None
        if all(part.tags is not None for part in parts):
            tags = pa.chunked_array([part.tags for part in parts]).unify_dictionaries().combine_chunks()
        first, second = (np.concatenate([getattr(part, name) for part in parts]) for name in ("first", "second"))
        return cls(first, second, tags)


def joined_rows(parts: Mapping[Hashable, PartRows]) -> NearRows | None:
    """Return the rows of the parts of a file, None if there are none."""
    joined = PartRows.joined(list(parts.values())) if parts else None
    if joined is None or not len(joined.first):
        return None
    counts = [(key, int((part.first != part.second).sum())) for key, part in parts.items()]
    return NearRows(joined.first, joined.second, joined.tags, [(key, count) for key, count in counts if count])


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """The parts of a file, in file order: blocks, row groups.

    Args:
        origin: the same object while the file grows, another if it is replaced.
        firsts: the first time of each part; a row of a repeated hour may be in either run.
        lasts: the last one.
        counts: how many rows it has.
        key: returns what tells a part from others by its number.
    """

    origin: object
    firsts: Times
    lasts: Times
    counts: Times
    key: Callable[[int], Hashable]

    def window_near(self, hour: RepeatedHour) -> tuple[int, int]:
        """Return the times (ns, both inclusive) between which rows are evidence: hours, or less for dense data."""
        first, last = hour.at - hour.length, hour.at + hour.length
        start, end = first - _MARGIN, last + _MARGIN
        near = self.between((start, end))
        firsts, lasts = self.firsts[near].astype(np.float64), self.lasts[near].astype(np.float64)
        shares = (np.minimum(lasts, end) - np.maximum(firsts, start)) / np.maximum(lasts - firsts, 1)
        rows = float((self.counts[near] * shares).sum())
        margin = _MARGIN if rows <= _MOST_ROWS else max(int(_MARGIN * _MOST_ROWS / rows), _LEAST_MARGIN)
        return first - margin, last + margin

    def between(self, window: tuple[int, int]) -> Rows:
        """Return the numbers of parts that may have rows in a window."""
        return np.flatnonzero((self.lasts >= window[0]) & (self.firsts <= window[1]))


class Evidence:
    """The rows of one file near repeated hours, kept while they stay the same."""

    def __init__(self) -> None:
        self._origin: object = None
        self._rows: dict[RepeatedHour, tuple[tuple[Hashable, ...], Mapping[Hashable, PartRows], NearRows | None]] = {}

    def near(
        self, hour: RepeatedHour, parts: Parts, read: Callable[[int, tuple[int, int]], PartRows]
    ) -> NearRows | None:
        """Return the rows near an hour; those of parts that are not known yet are read.

        Args:
            hour: which hour.
            parts: of the file.
            read: reads a part, given by its number, within a window.
        """
        if parts.origin is not self._origin:
            self._origin, self._rows = parts.origin, {}
        window = parts.window_near(hour)
        numbers = {parts.key(number): number for number in parts.between(window).tolist()}
        state = window, *numbers
        before, known, rows = self._rows.get(hour, ((), {}, None))
        if state != before:
            usable = known if before[:1] == state[:1] else {}
            of_parts = {key: usable.get(key) or read(number, window) for key, number in numbers.items()}
            rows = joined_rows(of_parts)
            self._rows[hour] = state, of_parts, rows
        return rows


def runs_by_part(placed: Mapping[RepeatedHour, tuple[NearRows, Runs]]) -> dict[Hashable, dict[RepeatedHour, Runs]]:
    """Return the runs of ambiguous rows for each part of a file."""
    result: dict[Hashable, dict[RepeatedHour, Runs]] = {}
    for hour, (rows, runs) in placed.items():
        ends = np.cumsum([count for _, count in rows.parts])
        for (part, _), of_part in zip(rows.parts, np.split(runs, ends[:-1]), strict=True):
            result.setdefault(part, {})[hour] = of_part
    return result


def joined_runs(parts: Iterable[Mapping[RepeatedHour, Runs]]) -> dict[RepeatedHour, Runs]:
    """Return the runs of several parts in their order."""
    result: dict[RepeatedHour, list[Runs]] = {}
    for part in parts:
        for hour, runs in part.items():
            result.setdefault(hour, []).append(runs)
    return {hour: np.concatenate(runs) for hour, runs in result.items()}


def describe_doubt(time: str, zone: str) -> str:
    """Return what is wrong with a time that is not placed."""
    return f"{time} occurs twice in {zone}, and no row near it shows which one is meant"


def place(files: Sequence[NearRows], hour: RepeatedHour) -> list[Runs]:
    """Return the runs of the ambiguous rows of each file.

    Args:
        files: that have tags in common, in the order of their paths.
        hour: which hour.
    """
    placed = [np.full(len(file.first), Run.DOUBTFUL, np.int8) for file in files]
    known: dict[tuple[bytes, ...], list[Runs]] = {}  # tags that are sampled together have the same times
    for rows in _rows_by_tag(files):
        series = [_Times(file.first[each], file.second[each]) for file, each in zip(files, rows, strict=True)]
        key = tuple(times.tobytes() for each in series for times in each)
        if key not in known:
            known[key] = _place_series(series, hour.length)
        for target, each, runs in zip(placed, rows, known[key], strict=True):
            target[each] = runs
    return [runs[file.ambiguous] for file, runs in zip(files, placed, strict=True)]


class _Times(NamedTuple):
    """The times of rows of one tag."""

    first: Times
    second: Times

    @property
    def is_ambiguous(self) -> npt.NDArray[np.bool_]:
        ambiguous: npt.NDArray[np.bool_] = self.first != self.second
        return ambiguous

    @property
    def steps(self) -> Times:
        """From row to row as the clock on the wall shows them."""
        first, second = np.diff(self.first), np.diff(self.second)
        return np.where(np.abs(first) <= np.abs(second), first, second)

    def take(self, rows: Any) -> "_Times":
        return _Times(self.first[rows], self.second[rows])


def _rows_by_tag(files: Sequence[NearRows]) -> Iterator[list[Rows]]:
    """Yield the rows of each file, for each tag that has ambiguous ones."""
    if any(file.tags is None for file in files):
        yield [np.arange(len(file.first)) for file in files]
        return
    unified = pa.chunked_array([file.tags for file in files]).unify_dictionaries()
    codes = [chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in unified.chunks]
    orders = [np.argsort(each, kind="stable") for each in codes]
    wanted = {code for file, each in zip(files, codes, strict=True) for code in np.unique(each[file.ambiguous])}
    for code in sorted(wanted - {-1}):
        bounds = [np.searchsorted(each[order], (code, code + 1)) for each, order in zip(codes, orders, strict=True)]
        yield [order[low:high] for order, (low, high) in zip(orders, bounds, strict=True)]


def _place_series(files: Sequence[_Times], length: int) -> list[Runs]:
    """Place the rows of one tag, by the rows of all files together, or else by those of each file alone."""
    directions = _directions(files)
    one_row_each = all(len(each.first) < 2 for each in files)  # so that none shows an order
    readings = [
        (turned, order, ascending)
        for turned in directions
        for ascending in [[each.take(turned) for each in files]]
        for order in _orders(ascending, descends=one_row_each or turned != _ASCENDING)
        if not _overlap(order, ascending, length)
    ]
    if len({turned.step for turned, _, _ in readings}) == len(directions):  # else one may be true that shows nothing
        for late_rows in (False, True):
            placed = [
                [runs[turned] for runs in of_order]
                for turned, order, ascending in readings
                if (of_order := _place_in(order, ascending, length, late_rows=late_rows))
            ]
            if placed:
                return [_agreed(runs) for runs in zip(*placed, strict=True)]
    if len(files) > 1:
        return [_place_series([each], length)[0] for each in files]
    return [np.full(len(each.first), Run.DOUBTFUL, np.int8) for each in files]


def _overlap(order: Sequence[int], files: Sequence[_Times], length: int) -> bool:
    """Return whether a file begins before another ends, by less than makes it a jump: it is not the next one."""
    ends = [files[number] for number in order]
    steps = [
        _Times(*(np.array([each[-1], other[0]]) for each, other in zip(*pair, strict=True))).steps
        for pair in pairwise(ends)
    ]
    return any(-(length // 2) < int(step[0]) <= -_JITTER for step in steps)


def _directions(files: Sequence[_Times]) -> list[slice]:
    """Return how to take the rows of files so that they ascend: both ways if the rows may be in either order."""
    certain, others = 0, 0
    for each in files:
        signs, is_ambiguous = np.sign(each.steps), each.is_ambiguous
        of_certain = ~(is_ambiguous[1:] | is_ambiguous[:-1])
        certain, others = certain + int(signs[of_certain].sum()), others + int(signs[~of_certain].sum())
    if certain or abs(others) >= _CLEAR_STEPS or all(len(each.first) < 2 for each in files):
        return [_ASCENDING if (certain or others) >= 0 else _DESCENDING]
    return [_ASCENDING, _DESCENDING]


def _agreed(placed: Sequence[Runs]) -> Runs:
    """Return the runs in which all interpretations agree."""
    first = placed[0]
    agree = np.logical_and.reduce([first == other for other in placed])
    return np.where(agree, first, Run.DOUBTFUL).astype(np.int8)


def _orders(files: Sequence[_Times], *, descends: bool) -> list[list[int]]:
    """Return the possible orders of files from the earliest to the latest, as their numbers.

    Files are in the order of their paths, or in the opposite one, as those show that do not overlap. If none shows it,
    it is the order of the paths; but files in which time descends, or of one row each, may be in the other as well.
    """
    numbers = [number for number, each in enumerate(files) if len(each.first)]
    rises = falls = False
    for before, after in pairwise(numbers):
        rises |= bool(files[before].second.max() < files[after].first.min())
        falls |= bool(files[after].second.max() < files[before].first.min())
    if rises and falls:
        return []
    if not rises and not falls and descends and len(numbers) > 1:
        return [numbers, numbers[::-1]]
    return [numbers[::-1] if falls else numbers]


def _place_in(order: Sequence[int], files: Sequence[_Times], length: int, *, late_rows: bool) -> list[Runs] | None:
    """Place the rows of files that ascend, in an order of the files; None if that shows nothing."""
    parts = [files[number] for number in order]
    joined = _Times(*(np.concatenate([part[each] for part in parts]) for each in (0, 1)))
    file_of = np.repeat(order, [len(part.first) for part in parts])
    if (runs := _place_ascending(joined, file_of, length, late_rows=late_rows)) is None:
        return None
    return [runs[file_of == number] for number in range(len(files))]


def _place_ascending(rows: _Times, file_of: Rows, length: int, *, late_rows: bool) -> Runs | None:
    """Place rows that ascend; None if those with one meaning do not, or no border between the runs is possible.

    Args:
        rows: of one tag.
        file_of: which file each is from: from file to file no row is late.
        length: of the hour.
        late_rows: rows that are late just where the second run begins are doubtful, and ignored.
    """
    is_ambiguous = rows.is_ambiguous
    if not late_rows:
        back = np.where(np.diff(file_of) == 0, length // 2, _JITTER)
        certain = ~(is_ambiguous[1:] | is_ambiguous[:-1])
        is_unordered = bool((np.diff(rows.first) <= -back)[certain].any())
        return None if is_unordered else _place_by_cost(rows, back, length)
    steps = np.concatenate([[0], rows.steps, [0]])
    jumps = np.where(np.abs(steps) >= length // 2, np.sign(steps), 0)
    kept = np.flatnonzero(~(is_ambiguous & (jumps[1:] * jumps[:-1] < 0)))
    if len(kept) == len(file_of):
        return None
    of_kept = _place_ascending(rows.take(kept), file_of[kept], length, late_rows=False)
    if of_kept is None:
        return None
    runs = np.full(len(file_of), Run.DOUBTFUL, np.int8)
    runs[kept] = of_kept
    return runs


def _place_by_cost(rows: _Times, back: Times, length: int) -> Runs | None:
    """Place rows that ascend by the cheapest border between the runs; None if no border is possible.

    Args:
        rows: of one tag.
        back: for each step, by how much it may lead back, ns.
        length: of the hour.
    """
    is_ambiguous = rows.is_ambiguous
    costs = _Costs.of(rows, length)
    counted = is_ambiguous[1:] | is_ambiguous[:-1]

    def cost(steps: Times) -> npt.NDArray[np.float64]:
        return np.where(counted, np.where(steps <= -back, np.inf, costs.of_steps(steps)), 0.0)

    in_first, in_second = cost(np.diff(rows.first)), cost(np.diff(rows.second))
    across = cost(rows.second[1:] - rows.first[:-1])
    if costs.has_equal_times:  # rows with equal times are one row
        across[is_ambiguous[1:] & is_ambiguous[:-1] & (np.diff(rows.first) == 0)] = np.inf
    # Border k: the first run ends before row k.
    before, after = np.cumsum(in_first), np.cumsum(in_second[::-1])[::-1]
    borders = np.zeros(len(is_ambiguous) + 1)
    borders[0], borders[-1] = (after[0], before[-1]) if len(after) else (0.0, 0.0)
    borders[1:-1] = across + np.concatenate([[0.0], before[:-1]]) + np.concatenate([after[1:], [0.0]])
    if np.isinf(borders.min()):
        return None
    second = np.minimum.accumulate(borders)[:-1]
    first = np.minimum.accumulate(borders[::-1])[::-1][1:]
    cheapest = np.minimum(first, second)
    clear = np.maximum(first, second) - cheapest >= np.where(costs.is_regular & (cheapest == 0), 1e-9, _CLEAR)
    return np.where(clear, np.where(first < second, Run.FIRST, Run.SECOND), Run.DOUBTFUL).astype(np.int8)


@dataclass(frozen=True, slots=True)
class _Costs:
    """What steps of a tag cost.

    Args:
        longest: the longest step without cost, ns; None if nothing is known.
        shortest: the shortest one.
        is_regular: nearly all steps are alike.
        has_equal_times: times are repeated even where they have one meaning.
    """

    longest: float | None
    shortest: float
    is_regular: bool
    has_equal_times: bool

    @classmethod
    def of(cls, rows: _Times, length: int) -> "_Costs":
        """Return the costs of steps, by the steps that there are."""
        is_ambiguous, steps = rows.is_ambiguous, rows.steps
        certain = ~(is_ambiguous[1:] | is_ambiguous[:-1])
        has_equal_times = bool((certain & (steps == 0)).any())
        rising = steps[steps > 0]
        if not len(rising):
            return cls(None, -np.inf, is_regular=False, has_equal_times=has_equal_times)
        usual = float(np.median(rising))
        share = _REGULAR if len(rising) >= _MANY_STEPS else _REGULAR_OF_FEW
        alike = np.abs(rising - usual) <= share * usual + _JITTER
        is_late = (steps <= -_JITTER) & (steps > -(length // 2))
        is_regular = len(rising) > 1 and bool(alike.mean() >= _SHARE) and not is_late.any()
        most = usual if is_regular else float(np.quantile(rising, 0.9))
        shortest = (1 - _REGULAR) * usual - _JITTER if is_regular and usual >= length / 2 else -np.inf
        longest = (1 + _REGULAR) * most + _JITTER
        return cls(longest, shortest, is_regular=is_regular, has_equal_times=has_equal_times)

    def of_steps(self, steps: Times) -> npt.NDArray[np.float64]:
        """Return the costs of steps between instants: 0 for usual ones."""
        costs = np.zeros(len(steps))
        if self.longest is not None:
            costs = np.log(np.maximum(steps / self.longest, 1.0))
            costs[steps < self.shortest] = _SHORT
        return costs
