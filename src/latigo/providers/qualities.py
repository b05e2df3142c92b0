"""Which qualities of readings are good, and what a truth value is as a number: the same in every source; pure."""

import math
import re
from collections.abc import Collection
from decimal import Decimal
from typing import Final

#: Spelt out: without regard to case, more letters would match than these, such as the long s.
WORDS: Final = r"[iI][nN][fF]([iI][nN][iI][tT][yY])?|[nN][aA][nN](\([A-Za-z0-9_]*\))?"
_PLAIN_NUMBER = re.compile(rf"[+-]?(([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?|{WORDS})")

#: Truth values as text, in any case of letters, and the numbers that they are.
BOOLEANS: Final = {"true": 1.0, "false": 0.0}


_QUALITY = re.compile(
    r"((?P<whose>.*?\S)\s*[ ._:/-])??\s*((opc|value)[ _-]?)?(quality|status)([ _-]?code)?\s*", re.IGNORECASE
)


def whose_quality(name: str) -> str | None:
    """Return of which column or field one seems to have the qualities, empty if only that it has; None: of none."""
    match = _QUALITY.fullmatch(name)
    return None if match is None else (match["whose"] or "").strip()


class Qualities:
    """Which qualities are good: numbers and booleans compare as numbers, texts as they are.

    Args:
        good: as in the settings.
    """

    def __init__(self, good: Collection[str]) -> None:
        self._good = frozenset(map(_quality, good))

    def is_good(self, quality: str | float | None) -> bool:
        """Return whether a quality is good; a missing one is not."""
        return _quality(quality) in self._good

    @property
    def pattern(self) -> str:
        """A regular expression, in the syntax of RE2, for texts that are good, of numbers those without an exponent.

        Empty if no text is good.
        """
        texts = sorted(re.escape(mark) for mark in self._good if isinstance(mark, str))
        texts += [_form_of(number) for number in self.numbers]
        texts += [f"(?i:{text})" for text, number in BOOLEANS.items() if number in self._good]
        return rf"^\s*({'|'.join(texts)})\s*$" if texts else ""

    @property
    def numbers(self) -> list[float]:
        """The good qualities that are finite numbers, booleans among them, smallest first."""
        return sorted(mark for mark in self._good if isinstance(mark, int | float) and math.isfinite(mark))


def _form_of(number: float) -> str:
    """Return a regular expression for the texts of a number."""
    whole, _, fraction = f"{abs(Decimal(repr(number))):f}".partition(".")
    whole, fraction = whole.lstrip("0"), fraction.rstrip("0")
    sign = "-" if number < 0 else r"\+?" if number else "[+-]?"
    if not fraction:
        return rf"{sign}0*{whole or '0'}(\.0*)?"
    return rf"{sign}0*{whole}\.{fraction}0*"


def plain_number(text: str) -> float | None:
    """Return a number in the notation of programs, also one that is not a number; None if it is text."""
    match = _PLAIN_NUMBER.fullmatch(text.strip())
    if match is None:
        return None
    return math.nan if "n" in text.lower() and "(" in text else float(text)


def _quality(value: str | float | None) -> str | float | None:
    """Return what is compared of a quality."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    number = BOOLEANS.get(text.lower(), plain_number(text))
    return text if number is None else number
