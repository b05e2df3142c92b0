"""Expressions of a row filter: typed functions over a table of rows."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import numpy as np
import numpy.typing as npt

from latigo.domain.errors import Reason, Rejected
from latigo.domain.series import Times
from latigo.runtime import redaction

Mask = npt.NDArray[np.bool_]


class Kind(Enum):
    """Type of an expression."""

    NUMBER = auto()
    TRUTH = auto()  #: a condition
    INDEX = auto()  #: the labels of the rows
    TEXT = auto()
    LIST = auto()  #: of constant numbers, or of texts
    WINDOWS = auto()  #: ``a.rolling(3)``
    CALENDAR = auto()  #: ``index.dt``


@dataclass(frozen=True, slots=True)
class Table:
    """The joined rows that a filter is applied to. Columns have shape (rows,), float64, or int64 for counts."""

    times: Times
    columns: Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Expression:
    """A typed part of a filter: `value` computes it for a table."""

    kind: Kind
    value: Callable[[Table], Any]
    rows: bool = False  #: one value a row, not one for all
    term: bool = False  #: a name, a constant or a method's result: only these have methods and are equal to lists
    constant: Any = None
    array: bool = False  #: made of ``.values`` only: an array of numpy, which pandas does not take everywhere


def apply(kind: Kind, function: Callable[..., Any], parts: Sequence[Expression]) -> Expression:
    """Return ``function`` of the parts as an expression, computed at once where all of them are constants."""
    if all(part.constant is not None for part in parts):
        with np.errstate(all="ignore"):
            value = function(*(part.constant for part in parts))
        return literal(kind, bool(value) if kind is Kind.TRUTH else bounded(value.item()), term=False)
    values = [part.value for part in parts]
    by_row = [part for part in parts if part.rows]
    return Expression(
        kind,
        lambda table: function(*(value(table) for value in values)),
        rows=bool(by_row),
        array=bool(by_row) and all(part.array for part in by_row),
    )


def bounded(number: float) -> float:
    """Return the number as an integer where numpy cannot overflow on it, else as a float."""
    if isinstance(number, int) and abs(number) < 1 << 31:
        return number
    try:
        return float(number)
    except OverflowError:
        return math.inf


def literal(kind: Kind, value: Any, *, term: bool = True) -> Expression:
    """Return a constant as an expression."""
    return Expression(kind, lambda _: value, term=term, constant=value)


def all_numbers(items: Sequence[object]) -> bool:
    """Return whether a list holds numbers only."""
    return all(isinstance(item, int | float) for item in items)


def rejected(problem: str) -> Rejected:
    """Return the error of a filter that Latigo cannot apply as gordo-core does."""
    return Rejected(f"row_filter: {problem}", reason=Reason.BAD_METADATA, whole_model=True)


def excerpt(text: str) -> str:
    """Return the beginning of a text, for a message."""
    shown = redaction.excerpt(text, 200).encode(errors="backslashreplace").decode()
    return shown if len(text) <= 200 else f"{shown}..."
