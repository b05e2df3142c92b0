"""What a cell means, the same in CSV and Parquet: a number, no reading, text, or a number in another notation; pure.

There is one definition of a number for given settings, so that no cell is ever read in a second way. Text where a
number belongs is a bad reading. What looks like a number in another notation, such as ``1.234`` with a decimal comma,
is neither: it is refused, since values that are skipped by their size would bias every mean.
"""

import re
from collections.abc import Collection
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from latigo.domain.series import Values

#: Cells without a reading, in any case of letters.
MISSING = frozenset(
    {
        "",
        "-",
        "#n/a",
        "-1.#ind",
        "1.#ind",
        "1.#qnan",
        "-1.#qnan",
        "-nan",
        "\\n",
        "n/a",
        "na",
        "nan",
        "none",
        "null",
    }
)
_SPACES = " \u00a0\u202f"
_WORDS = r"inf|infinity|nan(\([a-z0-9_]*\))?"

Mask = npt.NDArray[np.bool_]


class NotNumbers(Exception):
    """A column is of a kind that cannot hold readings; the message names the kind."""


class Cells(NamedTuple):
    """The cells of one column."""

    values: Values  #: NaN where there is no number
    texts: Mask | None = None  #: text where a number belongs; None: none
    others: Mask | None = None  #: numbers in another notation; None: none

    def text(self, column: Any, row: int) -> str:
        """Return a cell as it is written."""
        return str(_plain(column)[row].as_py())


class Notation:
    """How numbers, and what is no reading, are written.

    Args:
        decimal_point: a character.
        thousands: the separator of groups of three digits; empty: there are no groups.
        missing: further texts and numbers that stand for no reading.
    """

    def __init__(self, decimal_point: str = ".", thousands: str = "", missing: Collection[str] = ()) -> None:
        self._decimal_point = decimal_point
        self._thousands = thousands
        self._missing = sorted(MISSING | {text.strip().lower() for text in missing})
        self._missing_numbers = sorted({number for text in missing if (number := _number(text)) is not None})

    @property
    def is_plain(self) -> bool:
        """Whether Arrow's own parser takes the same numbers."""
        return self._decimal_point == "." and not self._thousands

    @cached_property
    def nulls(self) -> list[str]:
        """The usual forms of what is no reading, for Arrow's parser; `numbers` takes the others as well."""
        forms = {form for text in self._missing for form in (text, text.upper(), text.capitalize())}
        return sorted(forms | {"NaN", "-NaN", "1.#QNaN", "-1.#QNaN"})

    @cached_property
    def _pattern(self) -> str:
        """Numbers, in the syntax of RE2; without groups equal to what Arrow parses as a number."""
        point = re.escape(self._decimal_point)
        groups = rf"|\d{{1,3}}({self._group}\d{{3}})+" if self._thousands else ""
        return rf"(?i)^[+-]?(((\d+{groups})({point}\d*)?|{point}\d+)(e[+-]?\d+)?|{_WORDS})$"

    @property
    def _group(self) -> str:
        return f"[{_SPACES}]" if self._thousands in _SPACES else re.escape(self._thousands)

    @cached_property
    def _other_pattern(self) -> str:
        """Numbers with another decimal point, or with groups."""
        return rf"(?i)^[+-]?(\d{{1,3}}([.,'{_SPACES}]\d{{3}})+([.,]\d+)?|\d+[.,]\d*|[.,]\d+)(e[+-]?\d+)?$"

    def numbers(self, column: Any) -> Cells:
        """Return the numbers of an Arrow column of any kind.

        Raises:
            NotNumbers: it can hold no readings.
        """
        column = _plain(column)
        kind = column.type
        if is_text(kind):
            return self._of_text(column)
        if not (pa.types.is_primitive(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind)) or (
            pa.types.is_temporal(kind)
        ):
            raise NotNumbers(str(kind))
        numbers = column if kind == pa.float64() else _as_doubles(column)
        values: Values = numbers.to_numpy(zero_copy_only=False)  # nulls become NaN
        return Cells(self.without_missing(values))

    def without_missing(self, values: Values) -> Values:
        """Return the values, with NaN for those that stand for no reading."""
        if not self._missing_numbers:
            return values
        return np.where(np.isin(values, self._missing_numbers), np.nan, values)

    def _of_text(self, column: Any) -> Cells:
        cells = pc.utf8_trim_whitespace(column.cast(pa.string()))
        folded = pc.utf8_lower(cells)
        missing = _mask(pc.is_in(folded, pa.array(self._missing, pa.string()))) | _mask(pc.is_null(cells))
        true, false = _mask(pc.equal(folded, "true")), _mask(pc.equal(folded, "false"))
        numeric = _mask(pc.match_substring_regex(cells, self._pattern)) & ~missing
        values = np.full(len(cells), np.nan)
        values[numeric] = self._parsed(cells.filter(pa.array(numeric)))
        values[true], values[false] = 1.0, 0.0
        rest = ~(missing | true | false | numeric)
        if not rest.any():
            return Cells(self.without_missing(values))
        others = rest & _mask(pc.match_substring_regex(cells, self._other_pattern))
        texts = rest & ~others
        return Cells(self.without_missing(values), texts if texts.any() else None, others if others.any() else None)

    def _parsed(self, cells: Any) -> Values:
        if self._thousands:
            cells = pc.replace_substring_regex(cells, self._group, "")
        if self._decimal_point != ".":
            cells = pc.replace_substring(cells, self._decimal_point, ".")
        numbers: Values = pc.utf8_ltrim(cells, "+").cast(pa.float64()).to_numpy(zero_copy_only=False)
        return numbers


class Qualities:
    """Which qualities are good: numbers compare as numbers, texts as they are."""

    def __init__(self, good: Collection[str]) -> None:
        self._texts = sorted(good)
        self._numbers = sorted({number for text in good if (number := _number(text)) is not None})

    def are_good(self, column: Any) -> Mask:
        """Return which cells are good; a missing quality is not."""
        column = _plain(column)
        if not is_text(column.type):
            if pa.types.is_boolean(column.type):
                return _mask(pc.is_in(pc.if_else(column, "true", "false"), pa.array(self._texts, pa.string())))
            if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
                return np.zeros(len(column), np.bool_)
            return np.isin(_as_doubles(column).to_numpy(zero_copy_only=False), self._numbers)
        cells = pc.utf8_trim_whitespace(column.cast(pa.string()))
        good = _mask(pc.is_in(cells, pa.array(self._texts, pa.string())))
        if self._numbers:
            numeric = _mask(pc.match_substring_regex(cells, r"^[+-]?\d+(\.\d*)?$"))
            numbers = cells.filter(pa.array(numeric)).cast(pa.float64()).to_numpy(zero_copy_only=False)
            good[numeric] |= np.isin(numbers, self._numbers)
        return good


def is_text(kind: Any) -> bool:
    """Return whether an Arrow type is one of its types of text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def as_text(column: Any) -> Any:
    """Return a column of any type as text."""
    column = _plain(column)
    return column if column.type == pa.string() else column.cast(pa.string())


def _plain(column: Any) -> Any:
    """Return one array, without a dictionary."""
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _as_doubles(column: Any) -> Any:
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if pa.types.is_float16(column.type):
        column = column.cast(pa.float32())
    return column.cast(pa.float64(), safe=False)


def _mask(column: Any) -> Mask:
    mask: Mask = column.fill_null(False).to_numpy(zero_copy_only=False)
    return mask.copy() if not mask.flags.writeable else mask


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
