"""Methods of a column in the row filter, with pandas' results."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from latigo.dataset.row_filter.expressions import Expression, Kind, Mask, all_numbers
from latigo.dataset.row_filter.operators import is_in
from latigo.domain.series import Values

MOST_PERIODS: Final = 1_000_000


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


def _is_number(part: Expression) -> bool:
    return part.kind is Kind.NUMBER


def _is_count(part: Expression) -> bool:
    number = part.constant
    return part.kind is Kind.NUMBER and isinstance(number, int) and 0 <= number <= MOST_PERIODS


def _is_fraction(part: Expression) -> bool:
    return part.kind is Kind.NUMBER and part.constant is not None and 0 <= part.constant <= 1


def _is_side(part: Expression) -> bool:
    return part.kind is Kind.TEXT and part.constant in _SIDES


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
}


def _between(values: Values, left: Any, right: Any, inclusive: str = "both") -> Mask:
    above, below = _SIDES[inclusive]
    inside: Mask = above(values, left) & below(values, right)
    return inside


def _over_valid(function: Callable[[Values], Any], fewest: int = 1) -> Method:
    """Return a method that reduces a column to one number, without NaN."""

    def of(values: Values) -> float:
        valid = values[~np.isnan(values)]
        return float(function(valid)) if len(valid) >= fewest else math.nan

    return Method(of, rows=False)


def _quantile(values: Values, q: float = 0.5) -> float:
    valid = values[~np.isnan(values)]
    return float(np.quantile(valid, q)) if len(valid) else math.nan


_IS_NA: Final = Method(np.isnan, kind=Kind.TRUTH)
_NOT_NA: Final = Method(lambda values: ~np.isnan(values), kind=Kind.TRUTH)

METHODS: Final[dict[str, Method]] = {
    "shift": Method(_shift, (_is_count,)),
    "diff": Method(_diff, (_is_count,)),
    "abs": Method(np.abs),
    "round": Method(_round, (_is_count,)),
    "clip": Method(_clip, (_is_number, _is_number)),
    "fillna": Method(_fillna, (_is_number,), needs=1),
    "between": Method(_between, (_is_number, _is_number, _is_side), needs=2, kind=Kind.TRUTH),
    "isin": Method(is_in, (_is_list_or_column,), needs=1, kind=Kind.TRUTH),
    "isna": _IS_NA,
    "isnull": _IS_NA,
    "notna": _NOT_NA,
    "notnull": _NOT_NA,
    "mean": _over_valid(np.mean),
    "median": _over_valid(np.median),
    "min": _over_valid(np.min),
    "max": _over_valid(np.max),
    "std": _over_valid(lambda values: np.std(values, ddof=1), fewest=2),
    "var": _over_valid(lambda values: np.var(values, ddof=1), fewest=2),
    "sum": _over_valid(np.sum, fewest=0),
    "count": _over_valid(len, fewest=0),
    "quantile": Method(_quantile, (_is_fraction,), rows=False),
}
