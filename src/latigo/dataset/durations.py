"""Lengths of time as pandas writes them: frequencies such as ``10T``, durations such as ``2 days``."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

MOST_TEXT: Final = 64  #: characters


def _by_spelling(*units: tuple[int, str]) -> dict[str, int]:
    return {spelling: nanoseconds for nanoseconds, spellings in units for spelling in spellings.split()}


_US: Final = 1_000
_MS: Final = 1_000_000
_SECOND: Final = 1_000_000_000
_MINUTE: Final = 60 * _SECOND
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
#: Pandas frequencies of fixed length. "M" and "m" are months in pandas, "W" weeks ending on a Sunday.
_FREQUENCIES: Final = _by_spelling(
    (1, "n ns"), (_US, "u us"), (_MS, "l ms"), (_SECOND, "s"), (_MINUTE, "t min"), (_HOUR, "h"), (_DAY, "d")
)
#: Pandas durations.
_DURATIONS: Final = _FREQUENCIES | _by_spelling(
    (1, "nano nanos nanosecond nanoseconds"),
    (_US, "micro micros microsecond microseconds \u00b5s"),
    (_MS, "milli millis millisecond milliseconds"),
    (_SECOND, "sec second seconds"),
    (_MINUTE, "m minute minutes"),
    (_HOUR, "hr hour hours"),
    (_DAY, "day days"),
    (7 * _DAY, "w week weeks"),
)
_NUMBER: Final = r"\d+(?:\.\d*)?|\.\d+"
_PART_OF_FREQUENCY: Final = re.compile(rf"\s*\+?({_NUMBER})\s*([a-zA-Z\u00b5]+)\s*")
#: Between the parts of a duration pandas skips a plus sign or a comma.
_PART_OF_DURATION: Final = re.compile(rf"\s*[+,]?\s*({_NUMBER})\s*([a-zA-Z\u00b5]+)\s*")
_CLOCK: Final = re.compile(r"\+?(?:(?P<d>\d+)\s+days?\s+)?\+?(?P<h>\d+):(?P<min>\d{1,2}):(?P<s>\d{1,2}(?:\.\d+)?)")
_ISO: Final = re.compile(
    rf"P(?:(?P<w>{_NUMBER})W)?(?:(?P<d>{_NUMBER})D)?"
    rf"(?:T(?:(?P<h>{_NUMBER})H)?(?:(?P<min>{_NUMBER})M)?(?:(?P<s>{_NUMBER})S)?)?"
)


def read_frequency(text: str) -> int | None:
    """Return the nanoseconds of a frequency of fixed length with a number, such as ``1H30T``; None if it is none."""
    return _sum_of_units(text, _PART_OF_FREQUENCY, _FREQUENCIES) if len(text) <= MOST_TEXT else None


def read_duration(text: str) -> int | None:
    """Return the nanoseconds of a duration such as ``48H``, ``1 days 00:30:00``, ``P1DT12H``, ``30``; else None."""
    if len(text) > MOST_TEXT:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return int(text)
    if (nanoseconds := _sum_of_units(text, _PART_OF_DURATION, _DURATIONS)) is not None:
        return nanoseconds
    return _from_groups(_CLOCK.fullmatch(text) or _ISO.fullmatch(text))


def _sum_of_units(text: str, part: re.Pattern[str], units: Mapping[str, int]) -> int | None:
    total, at = Decimal(0), 0
    while match := part.match(text, at):
        number, spelling = match.groups()
        # Only "ms" is case-sensitive: "MS" is the start of a month.
        unit = units.get(spelling if spelling.lower() == "ms" else spelling.lower())
        if unit is None:
            return None
        total += Decimal(number) * unit
        at = match.end()
    return int(total) if 0 < at == len(text) else None


def _from_groups(match: re.Match[str] | None) -> int | None:
    if match is None or not any(match.groups()):
        return None
    return int(sum(Decimal(number) * _DURATIONS[unit] for unit, number in match.groupdict().items() if number))
