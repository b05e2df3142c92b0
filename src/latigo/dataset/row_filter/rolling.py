"""Rolling windows of the row filter: ``a.rolling(6).mean()``, with pandas' results.

The cost grows with the rows and hardly with the length of a window: numbers of spans whose length doubles are combined.
Nothing is subtracted from a running total, so that a spike leaves no rounding error in the windows after it. In pandas
it leaves one in ``std`` and ``var``, the only difference: after 1e6 among tens, in the seventh digit.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from latigo.domain.series import Times, Values

Rows = npt.NDArray[np.int64]
#: One or more numbers by row.
State = tuple[Values, ...]


@dataclass(frozen=True, slots=True)
class Windows:
    """A window of rows for each row: from ``first`` on, before ``end``; both of shape (rows,)."""

    values: Values  #: NaN instead of infinite ones, as in pandas
    held: npt.NDArray[np.bool_]  #: false where the value is NaN, true also where it is infinite
    first: Rows
    end: Rows
    least: int | None  #: values that a window needs, else its result is NaN; None: as many as it has rows
    length: int  #: rows of a window that is not cut, or 1 if windows are a stretch of time


def of_rows(values: Values, length: int, least: int | None = None, *, center: bool = False) -> Windows:
    """Return windows of ``length`` rows that end with their row, or have it in the middle."""
    end = np.arange(1, len(values) + 1) + ((length - 1) // 2 if center else 0)
    rows = len(values)
    return Windows(_finite(values), ~np.isnan(values), (end - length).clip(0, rows), end.clip(0, rows), least, length)


def of_time(values: Values, times: Times, span: int, least: int | None = None) -> Windows:
    """Return windows of the rows that are less than ``span`` ns older than their row."""
    first = times.searchsorted(times - span, side="right").astype(np.int64)
    return Windows(_finite(values), ~np.isnan(values), first, np.arange(1, len(values) + 1), least, 1)


def _finite(values: Values) -> Values:
    return np.where(np.isinf(values), np.nan, values)


def _combined(windows: Windows, state: State, combine: Callable[[State, State], State]) -> State:
    """Return the states of the rows of each window, combined; unspecified for a window without rows."""
    rows, length = len(windows.values), windows.end - windows.first
    at, result, started = windows.first.copy(), tuple(part.copy() for part in state), np.zeros(rows, np.bool_)
    span, longest = 1, int(length.max(initial=0))
    while span <= longest:
        # ``state`` holds, at each row, what the ``span`` rows from there on give.
        (chosen,) = (length & span).nonzero()
        here = tuple(part[at[chosen]] for part in state)
        both = combine(tuple(part[chosen] for part in result), here)
        fresh = ~started[chosen]
        for part, combined, alone in zip(result, both, here, strict=True):
            part[chosen] = np.where(fresh, alone, combined)
        started[chosen] = True
        at[chosen] += span
        following = np.minimum(np.arange(rows) + span, rows - 1)
        state = combine(state, tuple(part[following] for part in state))
        span *= 2
    return result


def _counts(windows: Windows, counted: npt.NDArray[np.bool_] | None = None) -> Rows:
    """Return the number of values in each window, or of those that are counted."""
    counted = ~np.isnan(windows.values) if counted is None else counted
    before = np.concatenate(([0], np.cumsum(counted)))
    counts: Rows = before[windows.end] - before[windows.first]
    return counts


def _where_enough(windows: Windows, values: Values, fewest: int = 1) -> Values:
    least = windows.length if windows.least is None else windows.least
    return np.where(_counts(windows) >= max(least, fewest), values, np.nan)


def _extreme(windows: Windows, function: np.ufunc, empty: float) -> Values:
    values = np.where(np.isnan(windows.values), empty, windows.values)
    (result,) = _combined(windows, (values,), lambda a, b: (function(*a, *b),))
    return result


def _minimum(windows: Windows) -> Values:
    return _where_enough(windows, _extreme(windows, np.minimum, np.inf))


def _maximum(windows: Windows) -> Values:
    return _where_enough(windows, _extreme(windows, np.maximum, -np.inf))


def _total(windows: Windows) -> Values:
    (total,) = _combined(windows, (np.nan_to_num(windows.values),), lambda a, b: (a[0] + b[0],))
    # As in pandas: equal values are not added up but multiplied, so that their mean is exactly their value.
    lowest = _extreme(windows, np.minimum, np.inf)
    equal = lowest == _extreme(windows, np.maximum, -np.inf)
    total = np.where(equal, lowest * _counts(windows), total)
    return np.where(windows.end > windows.first, total, 0.0)


def _sum(windows: Windows) -> Values:
    return _where_enough(windows, _total(windows), fewest=0)


def _mean(windows: Windows) -> Values:
    lowest = _extreme(windows, np.minimum, np.inf)
    equal = lowest == _extreme(windows, np.maximum, -np.inf)
    return _where_enough(windows, np.where(equal, lowest, _total(windows) / _counts(windows)))


def _merge_moments(a: State, b: State) -> State:
    (count, mean, squares), (other_count, other_mean, other_squares) = a, b
    total = count + other_count
    share = np.divide(other_count, total, out=np.zeros_like(total), where=total > 0)
    apart = other_mean - mean
    return total, mean + apart * share, squares + other_squares + apart * apart * count * share


def _var(windows: Windows) -> Values:
    valid = ~np.isnan(windows.values)
    start = (valid.astype(np.float64), np.nan_to_num(windows.values), np.zeros(len(valid)))
    count, _, squares = _combined(windows, start, _merge_moments)
    return _where_enough(windows, squares / np.where(count > 1, count - 1, np.nan), fewest=2)


def _std(windows: Windows) -> Values:
    return np.sqrt(_var(windows))


def _count(windows: Windows) -> Values:
    # As in pandas: without a least number there is none, and otherwise it is one of rows, not of values.
    enough = windows.end - windows.first >= (windows.least or 0)
    return np.where(enough, _counts(windows, windows.held).astype(np.float64), np.nan)


def _quantile(windows: Windows, q: float = 0.5) -> Values:
    held: list[float] = []
    result = np.full(len(windows.values), np.nan)
    values, first, end = windows.values.tolist(), windows.first.tolist(), windows.end.tolist()
    oldest = newest = 0
    for row in range(len(values)):
        for value in values[newest : end[row]]:
            if not math.isnan(value):
                insort(held, value)
        for value in values[oldest : first[row]]:
            if not math.isnan(value):
                del held[bisect_left(held, value)]
        newest, oldest = end[row], first[row]
        if held:
            place = q * (len(held) - 1)
            low = int(place)
            high = min(low + 1, len(held) - 1)
            result[row] = held[low] + (held[high] - held[low]) * (place - low)
    return _where_enough(windows, result)


#: By name: windows, and further arguments, to one number for each row.
REDUCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "sum": _sum,
    "mean": _mean,
    "median": partial(_quantile, q=0.5),
    "min": _minimum,
    "max": _maximum,
    "std": _std,
    "var": _var,
    "count": _count,
    "quantile": _quantile,
}
