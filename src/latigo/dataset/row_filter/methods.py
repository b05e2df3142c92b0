"""Methods and attributes of columns in the row filter, with pandas' results."""

import math
from ast import Eq, Gt, GtE, Lt, LtE, NotEq
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from latigo.dataset.durations import read_frequency
from latigo.dataset.row_filter import rolling
from latigo.dataset.row_filter.expressions import Expression, Kind, Mask, all_numbers
from latigo.dataset.row_filter.operators import COMPARISONS, is_in
from latigo.domain.series import Times, Values

MOST_PERIODS: Final = 1_000_000
MOST_SPAN: Final = 1 << 62  #: ns


@dataclass(frozen=True, slots=True)
class Method:
    """A method of a column: ``function(values, *args)``.

    ``takes`` checks each argument, ``needs`` is their least number.
    """

    function: Callable[..., Any]
    takes: tuple[Callable[[Expression], bool], ...] = ()
    needs: int = 0
    kind: Kind = Kind.NUMBER
    rows: bool = True
    timed: bool = False  #: ``function(values, times, *args)``
    whole: bool = False  #: gives whole numbers for whole numbers
    problem: Callable[..., str] = lambda *_: ""  #: of the arguments together, which ``takes`` allows one by one
    raw: bool = False  #: the function takes whole numbers as they are, not as floats


def _is_number(part: Expression) -> bool:
    return part.kind is Kind.NUMBER


def _is_operand(part: Expression) -> bool:
    return part.kind in {Kind.NUMBER, Kind.TRUTH}


def _is_condition(part: Expression) -> bool:
    return part.kind is Kind.TRUTH and part.rows


def _is_count(part: Expression) -> bool:
    number = part.constant
    return part.kind is Kind.NUMBER and isinstance(number, int) and 0 <= number <= MOST_PERIODS


def _is_fraction(part: Expression) -> bool:
    return part.kind is Kind.NUMBER and part.constant is not None and 0 <= part.constant <= 1


def _is_side(part: Expression) -> bool:
    return part.kind in {Kind.TEXT, Kind.TRUTH} and part.constant in _SIDES


def _is_flag(part: Expression) -> bool:
    return part.kind is Kind.TRUTH and part.constant is not None


def _is_window(part: Expression) -> bool:
    """A number of rows, or a frequency."""
    if part.kind is Kind.TEXT:
        return 0 < (read_frequency(part.constant) or 0) <= MOST_SPAN
    return _is_count(part) and part.constant >= 1


def _problem_of_window(window: Expression, least: Expression | None = None, center: Expression | None = None) -> str:
    if window.kind is Kind.TEXT:
        return "a window that is a length of time cannot be centered" if center and center.constant else ""
    if least and least.constant > window.constant:
        return f"{least.constant} values of a window of {window.constant} are never there"
    return ""


def _is_line(part: Expression) -> bool:
    return part.kind is Kind.TEXT and part.constant in _LINES


def _is_text(part: Expression) -> bool:
    return part.kind is Kind.TEXT


def _is_list_of_texts(part: Expression) -> bool:
    return part.kind is Kind.LIST and all(isinstance(item, str) for item in part.constant)


def _is_list_or_column(part: Expression) -> bool:
    return (part.kind is Kind.LIST and all_numbers(part.constant)) or (part.kind is Kind.NUMBER and part.rows)


def _shift(values: Values, periods: int = 1) -> Values:
    shifted = np.full(len(values), np.nan)
    shifted[periods:] = values[: max(len(values) - periods, 0)]
    return shifted


def _diff(values: Values, periods: int = 1) -> Values:
    return values - _shift(values, periods)


def _round(values: Values, decimals: int = 0) -> Values:
    return np.round(values, decimals)


def _clip(values: Values, lower: Any = -np.inf, upper: Any = np.inf) -> Values:
    # Not numpy.clip: pandas ignores a bound that is NaN.
    values = np.where(values < lower, lower, values)
    return np.where(values > upper, upper, values)


def _fillna(values: Values, value: Any) -> Values:
    return np.where(np.isnan(values), value, values)


_SIDES: Final = {
    "both": (np.greater_equal, np.less_equal),
    "left": (np.greater_equal, np.less),
    "right": (np.greater, np.less_equal),
    "neither": (np.greater, np.less),
    True: (np.greater_equal, np.less_equal),
    False: (np.greater, np.less),
}


def _between(values: Any, left: Any, right: Any, inclusive: str | bool = "both") -> Mask:
    above, below = _SIDES[inclusive]
    inside: Mask = above(values, left) & below(values, right)
    return inside


def _pct_change(values: Values, periods: int = 1) -> Values:
    values = _ffill(values)
    return values / _shift(values, periods) - 1


def _accumulated(function: np.ufunc, neutral: float) -> Method:
    """Return a method that combines each value with all before it, without NaN."""

    def of(values: Values) -> Values:
        nan = np.isnan(values)
        return np.where(nan, np.nan, function.accumulate(np.where(nan, neutral, values)))

    return Method(of, whole=True)


def _ffill(values: Values) -> Values:
    last = np.maximum.accumulate(np.where(np.isnan(values), 0, np.arange(len(values))))
    return values[last]


def _bfill(values: Values) -> Values:
    return _ffill(values[::-1])[::-1]


_LINES: Final = frozenset({"linear", "time", "index", "values"})


def _interpolate(values: Values, times: Times, line: str = "linear") -> Values:
    (valid,) = (~np.isnan(values)).nonzero()
    if not len(valid):
        return values
    at = np.arange(len(values)) if line == "linear" else times
    filled = np.interp(at, at[valid], values[valid], left=np.nan)
    return np.where(np.isnan(values), filled, values)


def _rank(values: Values) -> Values:
    """Return the place of each value in the order of all; equal values have the mean of their places."""
    ranks = np.full(len(values), np.nan)
    (valid,) = (~np.isnan(values)).nonzero()
    _, which, counts = np.unique(values[valid], return_inverse=True, return_counts=True)
    ranks[valid] = (counts.cumsum() - (counts - 1) / 2)[which]
    return ranks


def _where(values: Values, kept: Mask, other: Any = np.nan) -> Values:
    return np.where(kept, values, other)


def _mask(values: Values, replaced: Mask, other: Any = np.nan) -> Values:
    return np.where(replaced, other, values)


def _rolling(
    values: Values, times: Times, window: int | str, least: int | None = None, center: bool = False
) -> rolling.Windows:
    if isinstance(window, str):
        return rolling.of_time(values, times, read_frequency(window) or 0, least)
    return rolling.of_rows(values, window, least, center=center)


def _over_valid(function: Callable[[Values], Any], fewest: int = 1, kind: Kind = Kind.NUMBER) -> Method:
    """Return a method that reduces a column to one number, without NaN."""

    def of(values: Values) -> Any:
        valid = values[~np.isnan(values)]
        result = function(valid) if len(valid) >= fewest else math.nan
        return bool(result) if kind is Kind.TRUTH else float(result)

    return Method(of, rows=False, kind=kind)


def _quantile(values: Values, q: float = 0.5) -> float:
    valid = values[~np.isnan(values)]
    return float(np.quantile(valid, q)) if len(valid) else math.nan


def _sem(values: Values) -> float:
    return float(np.std(values, ddof=1) / math.sqrt(len(values)))


def _compared(takes: Callable[[Expression], bool]) -> dict[str, Method]:
    """Return the methods that are written like ``a.gt(2)``."""
    return {
        name: Method(COMPARISONS[operator], (takes,), needs=1, kind=Kind.TRUTH)
        for name, operator in (("gt", Gt), ("ge", GtE), ("lt", Lt), ("le", LtE), ("eq", Eq), ("ne", NotEq))
    }


_IS_NA: Final = Method(np.isnan, kind=Kind.TRUTH)
_NOT_NA: Final = Method(lambda values: ~np.isnan(values), kind=Kind.TRUTH)
_FFILL: Final = Method(_ffill, whole=True)
_BFILL: Final = Method(_bfill, whole=True)
_ROLLING: Final = Method(
    _rolling, (_is_window, _is_count, _is_flag), needs=1, kind=Kind.WINDOWS, timed=True, problem=_problem_of_window
)
_MEAN: Final = _over_valid(np.mean)
_SUM: Final = _over_valid(np.sum, fewest=0)
_COUNT: Final = _over_valid(len, fewest=0)
_PROD: Final = _over_valid(np.prod, fewest=0)
_ANY: Final = _over_valid(np.any, fewest=0, kind=Kind.TRUTH)
_ALL: Final = _over_valid(np.all, fewest=0, kind=Kind.TRUTH)
_CUMSUM: Final = _accumulated(np.add, 0)


def _binary(function: Callable[..., Any], *, whole: bool = False) -> Method:
    return Method(function, (_is_operand,), needs=1, whole=whole)


def _division(function: np.ufunc) -> Method:
    """Return a method that divides whole numbers by a column as numpy does: by 0 gives 0; otherwise as floats."""

    def of(values: Any, other: Any) -> Any:
        whole = values.dtype.kind == "i" and getattr(other, "dtype", None) == np.int64 and np.ndim(other)
        return function(values if whole else np.asarray(values, np.float64), other)

    return Method(of, (_is_operand,), needs=1, raw=True)


#: By the kind of what they belong to, and by name.
METHODS: Final[dict[Kind, dict[str, Method]]] = {
    Kind.NUMBER: {
        **_compared(_is_operand),
        "add": _binary(np.add, whole=True),
        "sub": _binary(np.subtract, whole=True),
        "mul": _binary(np.multiply, whole=True),
        "div": _binary(np.true_divide),
        "truediv": _binary(np.true_divide),
        "floordiv": _division(np.floor_divide),
        "mod": _division(np.remainder),
        "pow": _binary(np.power),
        "shift": Method(_shift, (_is_count,)),
        "diff": Method(_diff, (_is_count,)),
        "pct_change": Method(_pct_change, (_is_count,)),
        "abs": Method(np.abs, whole=True),
        "round": Method(_round, (_is_count,), whole=True),
        "clip": Method(_clip, (_is_number, _is_number), whole=True),
        "where": Method(_where, (_is_condition, _is_number), needs=1, whole=True),
        "mask": Method(_mask, (_is_condition, _is_number), needs=1, whole=True),
        "fillna": Method(_fillna, (_is_number,), needs=1, whole=True),
        "ffill": _FFILL,
        "pad": _FFILL,
        "bfill": _BFILL,
        "backfill": _BFILL,
        "interpolate": Method(_interpolate, (_is_line,), timed=True, whole=True),
        "cumsum": _CUMSUM,
        "cumprod": _accumulated(np.multiply, 1),
        "cummax": _accumulated(np.maximum, -np.inf),
        "cummin": _accumulated(np.minimum, np.inf),
        "rank": Method(_rank),
        "rolling": _ROLLING,
        "between": Method(_between, (_is_number, _is_number, _is_side), needs=2, kind=Kind.TRUTH),
        "isin": Method(is_in, (_is_list_or_column,), needs=1, kind=Kind.TRUTH),
        "isna": _IS_NA,
        "isnull": _IS_NA,
        "notna": _NOT_NA,
        "notnull": _NOT_NA,
        "mean": _MEAN,
        "median": _over_valid(np.median),
        "min": _over_valid(np.min),
        "max": _over_valid(np.max),
        "std": _over_valid(lambda values: np.std(values, ddof=1), fewest=2),
        "var": _over_valid(lambda values: np.var(values, ddof=1), fewest=2),
        "sem": _over_valid(_sem, fewest=2),
        "sum": _SUM,
        "prod": _PROD,
        "count": _COUNT,
        "nunique": _over_valid(lambda values: len(np.unique(values)), fewest=0),
        "any": _ANY,
        "all": _ALL,
        "quantile": Method(_quantile, (_is_fraction,), rows=False),
    },
    Kind.TRUTH: {
        **_compared(_is_operand),
        "cumsum": _CUMSUM,
        "rolling": _ROLLING,
        "mean": _MEAN,
        "sum": _SUM,
        "count": _COUNT,
        "any": _ANY,
        "all": _ALL,
    },
    Kind.INDEX: {
        **_compared(_is_text),
        "between": Method(_between, (_is_text, _is_text, _is_side), needs=2, kind=Kind.TRUTH),
        "isin": Method(is_in, (_is_list_of_texts,), needs=1, kind=Kind.TRUTH),
    },
    Kind.WINDOWS: {
        name: Method(function, (_is_fraction,) if name == "quantile" else (), needs=int(name == "quantile"))
        for name, function in rolling.REDUCTIONS.items()
    },
}

_BY_NAME: Final = "write the method itself: a.abs()"
#: What to write instead of methods that pandas has.
INSTEAD: Final = {
    "astype": "write a * 1",
    "to_numpy": "write a.values",
    "expanding": "write a.cumsum(), a.cummax() or a.rolling(1000, 1)",
    "ewm": "write a.rolling(6)",
    "dropna": "write a.notna()",
    **dict.fromkeys(("agg", "aggregate", "apply", "map", "transform"), _BY_NAME),
}

_SECOND_NS: Final = 1_000_000_000
_DAY_NS: Final = 86_400 * _SECOND_NS


def _calendar(times: Times, unit: str, within: str) -> Any:
    """Return how many units after the beginning of what they are within: days within a month, from 0."""
    days = times.astype("datetime64[ns]").astype(f"datetime64[{within}]")
    return (times.astype("datetime64[ns]").astype(f"datetime64[{unit}]") - days).astype(np.int64)


#: Attributes of ``index.dt``, in UTC.
CALENDAR: Final[dict[str, Callable[[Times], Any]]] = {
    "second": lambda times: times // _SECOND_NS % 60,
    "minute": lambda times: times // (60 * _SECOND_NS) % 60,
    "hour": lambda times: times // (3600 * _SECOND_NS) % 24,
    "day": lambda times: _calendar(times, "D", "M") + 1,
    "month": lambda times: _calendar(times, "M", "Y") + 1,
    "year": lambda times: times.astype("datetime64[ns]").astype("datetime64[Y]").astype(np.int64) + 1970,
    "quarter": lambda times: _calendar(times, "M", "Y") // 3 + 1,
    "dayofyear": lambda times: _calendar(times, "D", "Y") + 1,
    "dayofweek": lambda times: (times // _DAY_NS + 3) % 7,
    "weekday": lambda times: (times // _DAY_NS + 3) % 7,
}
