"""What a cell means, the same in CSV and Parquet: a number, no reading, text, or a number in another notation; pure.

There is one definition of a number for given settings, so that no cell is ever read in a second way. Text where a
number belongs is a bad reading. What looks like a number in another notation, such as ``1.234`` with a decimal comma,
is neither: it is refused, since values that are skipped by their size would bias every mean.

Arrow's parser of CSV files reads plain numbers; what it does not take comes here as text. It takes nothing that has
another meaning here.
"""

import math
import re
from collections.abc import Collection
from enum import IntEnum
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from latigo.domain.series import Values
from latigo.providers.qualities import BOOLEANS, WORDS, Qualities, plain_number

#: Cells without a reading, in any case of letters.
MISSING = frozenset({"", "-", "#n/a", "-nan", "\\n", "n/a", "na", "nan", "none", "null"})
_SPACES = " \u00a0\u2009\u202f"
_APOSTROPHES = "'\u2019"
_MINUS = "\u2212"  #: as some languages write it
#: How Microsoft's C library writes what is no number, and infinity.
_NO_NUMBER = re.compile(r"[+-]?1[.,]#(qnan|snan|ind|nan)0*", re.IGNORECASE)
_INFINITY = re.compile(r"([+-]?)1[.,]#inf0*", re.IGNORECASE)
_ASCII = 128

_MARK = rf"[.,·_{_APOSTROPHES}{_SPACES}\u066b\u066c]"
#: Numbers with any decimal point, any groups, and a sign before or after them; digits of any script.
_OTHER_NOTATION = re.compile(
    rf"(?=[^ed]*\d)[(]?[+-]?[{_SPACES}]?"
    rf"(\d{{1,3}}({_MARK}\d{{3}})+|\d{{1,2}}({_MARK}\d{{2}})+{_MARK}\d{{3}}|\d{{1,4}}({_MARK}\d{{4}})+|\d*)"
    rf"([.,·\u066b]\d*)?([ed][+-]?\d+)?[{_SPACES}]?[)+-]?",
    re.IGNORECASE,
)

Mask = npt.NDArray[np.bool_]


class NotNumbers(Exception):
    """A column is of a kind that cannot hold readings; the message names the kind."""


class NotText(NotNumbers):
    """A column has bytes that are no text."""


class Cells(NamedTuple):
    """The cells of one column."""

    values: Values  #: NaN where there is no number
    texts: Mask | None = None  #: text where a number belongs; None: none
    others: Mask | None = None  #: numbers in another notation; None: none


class Notation:
    """How numbers, and what is no reading, are written.

    Args:
        decimal_point: a character.
        thousands: the separator of groups of three digits; empty: there are no groups.
        missing: further texts and numbers that stand for no reading.
    """

    def __init__(self, decimal_point: str = ".", thousands: str = "", missing: Collection[str] = ()) -> None:
        self._decimal_point = decimal_point
        self._group = _group(thousands)
        self._missing = frozenset(MISSING | {text.strip().lower() for text in missing})
        numbers = [number for text in missing for number in (plain_number(text), self._number(text.strip()))]
        self._missing_numbers = np.unique([number for number in numbers if number is not None])

    @property
    def point_of_parser(self) -> str | None:
        """The decimal point for Arrow's parser of CSV files; None if it does not take it."""
        return self._decimal_point if ord(self._decimal_point) < _ASCII else None

    @cached_property
    def nulls(self) -> list[str]:
        """The usual forms of what is no reading, for Arrow's parser; `numbers` takes the others as well."""
        return sorted({form for text in self._missing for form in (text, text.upper(), text.capitalize())} | {"NaN"})

    def numbers(self, column: Any) -> Cells:
        """Return the numbers of an Arrow column of any kind.

        Raises:
            NotNumbers: it can hold no readings.
        """
        column = plain_column(column)
        if is_text(column.type):
            return self._of_text(pc.utf8_trim_whitespace(as_text(column)))
        values: Values = _as_doubles(column).to_numpy(zero_copy_only=False)  # nulls become NaN
        if pa.types.is_boolean(column.type):
            absent = [number for text, number in BOOLEANS.items() if text in self._missing]
            return Cells(self.without_missing(np.where(np.isin(values, absent), np.nan, values) if absent else values))
        return Cells(self.without_missing(values, np.float32 if pa.types.is_float32(column.type) else np.float64))

    def without_missing(self, values: Values, precision: type[np.floating[Any]] = np.float64) -> Values:
        """Return the values, with NaN for those that stand for no reading; ``precision`` is that of the source."""
        if not len(self._missing_numbers):
            return values
        with np.errstate(over="ignore"):
            markers = self._missing_numbers.astype(precision).astype(np.float64)
        return np.where(np.isin(values, markers), np.nan, values)

    @cached_property
    def _pattern(self) -> str:
        """Numbers, in the syntax of RE2 and in that of Python; without groups what Arrow parses as a number."""
        point = re.escape(self._decimal_point)
        groups = rf"|[0-9]{{1,3}}({self._group}[0-9]{{3}})+" if self._group else ""
        return rf"^[+-]?((([0-9]+{groups})({point}[0-9]*)?|{point}[0-9]+)([eE][+-]?[0-9]+)?|{WORDS})$"

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        return re.compile(self._pattern.replace("$", r"\Z"))

    def _of_text(self, cells: Any) -> Cells:
        """Return the numbers of trimmed cells: those in the usual form at once, then each other text once."""
        values = np.full(len(cells), np.nan)
        numeric = _mask(pc.match_substring_regex(cells, self._pattern))
        values[numeric] = self._parsed(cells if numeric.all() else cells.filter(pa.array(numeric)))
        values = self.without_missing(values)
        rest = np.flatnonzero(~numeric & _mask(pc.is_valid(cells)))
        if not len(rest):
            return Cells(values)
        encoded = cells.take(pa.array(rest)).dictionary_encode()
        meanings = [self._meaning(text) for text in encoded.dictionary.to_pylist()]
        codes = encoded.indices.to_numpy()
        kinds = np.zeros(len(cells), np.int8)
        values[rest] = self.without_missing(np.array([value for value, _ in meanings])[codes])
        kinds[rest] = np.array([kind for _, kind in meanings], np.int8)[codes]
        texts, others = kinds == _Kind.TEXT, kinds == _Kind.OTHER_NOTATION
        return Cells(values, texts if texts.any() else None, others if others.any() else None)

    def _parsed(self, cells: Any) -> Values:
        if self._group:
            cells = pc.replace_substring_regex(cells, self._group, "")
        if self._decimal_point != ".":
            cells = pc.replace_substring(cells, self._decimal_point, ".")
        numbers: Values = cells.cast(pa.float64()).to_numpy(zero_copy_only=False)
        return numbers

    def _meaning(self, text: str) -> "tuple[float, _Kind]":
        """Return what a trimmed cell means that is no number in the usual form."""
        lower = text.lower()
        if lower in self._missing or _NO_NUMBER.fullmatch(text):
            return math.nan, _Kind.READABLE
        if lower in BOOLEANS:
            return BOOLEANS[lower], _Kind.READABLE
        if infinity := _INFINITY.fullmatch(text):
            return (-math.inf if infinity[1] == "-" else math.inf), _Kind.READABLE
        signed = text.replace(_MINUS, "-")
        if (number := self._number(signed)) is not None:
            return number, _Kind.READABLE
        return math.nan, _Kind.OTHER_NOTATION if _OTHER_NOTATION.fullmatch(signed) else _Kind.TEXT

    def _number(self, text: str) -> float | None:
        if not self._regex.match(text):
            return None
        ungrouped = re.sub(self._group, "", text) if self._group else text
        return plain_number(ungrouped.replace(self._decimal_point, "."))


class _Kind(IntEnum):
    READABLE = 0  #: a number, or no reading
    TEXT = 1
    OTHER_NOTATION = 2


def are_good(column: Any, qualities: Qualities) -> Mask:
    """Return which cells of an Arrow column are good qualities; a missing one is not."""
    column = plain_column(column)
    try:
        column = as_text(column) if is_text(column.type) else _as_doubles(column)
    except NotNumbers:  # dates, or bytes that are no text
        return np.zeros(len(column), np.bool_)
    encoded = column.dictionary_encode()
    good = [qualities.is_good(cell) for cell in encoded.dictionary.to_pylist()]
    mask: Mask = np.array([*good, False])[encoded.indices.fill_null(len(good)).to_numpy(zero_copy_only=False)]
    return mask


def is_text(kind: Any) -> bool:
    """Return whether an Arrow type is text, or bytes, as which some programs write it."""
    is_type = pa.types
    return any(
        test(kind)
        for test in (
            is_type.is_string,
            is_type.is_large_string,
            is_type.is_string_view,
            is_type.is_binary,
            is_type.is_large_binary,
            is_type.is_binary_view,
        )
    )


def as_text(column: Any) -> Any:
    """Return a column of any type as text.

    Raises:
        NotText: it holds bytes that are no text.
    """
    column = plain_column(column)
    try:
        return column if column.type == pa.string() else column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise NotText(f"{column.type} that is no text") from error


def tags_in(column: Any) -> frozenset[str]:
    """Return the tags in a column of any type: each text once, trimmed."""
    names = as_text(pc.unique(column if pa.types.is_dictionary(column.type) else as_text(column))).to_pylist()
    return frozenset(name.strip() for name in names if name) - {""}


def plain_column(column: Any) -> Any:
    """Return one array, without a dictionary or a name for its type."""
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _as_doubles(column: Any) -> Any:
    """Return numbers, booleans and decimals as doubles, each the nearest one.

    Raises:
        NotNumbers: the column is of another type.
    """
    kind = column.type
    if kind == pa.float64():
        return column
    if pa.types.is_decimal(kind):
        return column.cast(pa.string()).cast(pa.float64())  # directly, every fifth is not the nearest one
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    elif pa.types.is_float16(kind):
        column = column.cast(pa.float32())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)):
        raise NotNumbers(str(kind))
    return column.cast(pa.float64(), safe=False)


def _group(thousands: str) -> str:
    """Return the pattern of a separator of groups: a space of any width, an apostrophe of either form."""
    for alike in (_SPACES, _APOSTROPHES):
        if thousands and thousands in alike:
            return f"[{alike}]"
    return re.escape(thousands)


def _mask(column: Any) -> Mask:
    mask: Mask = column.fill_null(False).to_numpy(zero_copy_only=False)
    return mask
