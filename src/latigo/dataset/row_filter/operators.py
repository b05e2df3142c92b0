"""Operators and functions of the row filter, over numpy, with numexpr's results."""

import ast
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from latigo.dataset.row_filter.expressions import Mask


def _floor_divide(a: Any, b: Any) -> Any:
    # numexpr rounds the computed quotient down, numpy the exact one: 1 // 0.1 is 10 in numexpr and 9 in numpy.
    if _is_integer(a) and _is_integer(b):
        return np.floor_divide(a, b)
    return np.floor(np.true_divide(a, b))


def _modulo(a: Any, b: Any) -> Any:
    if _is_integer(a) and _is_integer(b):
        return np.remainder(a, b)
    return a - b * _floor_divide(a, b)


def _power(a: Any, b: Any) -> Any:
    return np.power(np.asarray(a, np.float64), b)


def _is_integer(value: Any) -> bool:
    return bool(np.asarray(value).dtype.kind == "i")


ARITHMETIC: Final[dict[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.true_divide,
    ast.FloorDiv: _floor_divide,
    ast.Mod: _modulo,
    ast.Pow: _power,
}
#: Operators that numexpr applies to two conditions, with numpy's meaning: or, and.
OF_TRUTHS: Final = (ast.Add, ast.Mult)

COMPARISONS: Final[dict[type[ast.cmpop], Callable[[Any, Any], Any]]] = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}

FUNCTIONS: Final[dict[str, tuple[Callable[..., Any], int]]] = {
    **{
        function.__name__: (function, 1)
        for function in (
            *(np.sin, np.cos, np.exp, np.log, np.expm1, np.log1p, np.sqrt, np.sinh, np.cosh, np.tanh),
            *(np.arcsin, np.arccos, np.arctan, np.arccosh, np.arcsinh, np.arctanh, np.log10, np.floor, np.ceil),
        )
    },
    "abs": (np.abs, 1),
    "arctan2": (np.arctan2, 2),
}


def is_in(values: npt.NDArray[Any], among: Any) -> Mask:
    """Return which values are among others; NaN is in what holds NaN, as in pandas."""
    if isinstance(among, tuple):
        among = np.asarray(among, values.dtype if values.dtype.kind == "i" and _all_ints(among) else np.float64)
    inside: Mask = np.isin(values, among)
    if values.dtype.kind == "f" and np.isnan(among).any():
        inside |= np.isnan(values)
    return inside


def _all_ints(items: Sequence[object]) -> bool:
    return all(isinstance(item, int) for item in items)


def is_not_in(values: npt.NDArray[Any], among: Any) -> Mask:
    """Return which values are not among others."""
    return ~is_in(values, among)
