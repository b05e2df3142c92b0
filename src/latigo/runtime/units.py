"""Durations, sizes and numbers of things as people write them; pure."""

import re
from datetime import timedelta

LONGEST = timedelta(days=36_500)

_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_DURATION = re.compile(r"([0-9]{1,18})(ms|s|m|h|d)")
_SIZES = {"GB": 10**9, "GiB": 2**30, "MB": 10**6, "MiB": 2**20, "kB": 10**3, "KiB": 2**10}


def parse_duration(text: str) -> timedelta:
    """Read ``500ms``, ``30s``, ``30m``, ``3h``, ``7d`` or ``0``.

    Raises:
        ValueError: it is written otherwise, or longer than a hundred years.
    """
    if text == "0":
        return timedelta(0)
    match = _DURATION.fullmatch(text)
    if not match:
        raise ValueError(f'{text[:40]!r} is not a duration such as "500ms", "30s", "30m", "3h", "7d" or "0"')
    count, unit = int(match[1]), _UNITS[match[2]]
    if count > LONGEST // unit:
        raise ValueError(f"{text!r} is longer than a hundred years")
    return count * unit


def format_duration(duration: timedelta) -> str:
    """Write it as `parse_duration` reads it, in the largest unit that loses nothing; below 1 ms is cut off."""
    if not duration:
        return "0"
    unit = next((unit for unit in ("d", "h", "m", "s") if not duration % _UNITS[unit]), "ms")
    return f"{duration // _UNITS[unit]}{unit}"


def rough_time(duration: timedelta) -> str:
    """Write a duration in whole units, rounded up, of which there are at least two; a second at least."""
    for unit in (timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)):
        if duration >= 2 * unit:
            return format_duration(-(-duration // unit) * unit)
    return format_duration(timedelta(seconds=max(-(-duration // timedelta(seconds=1)), 1)))


def format_size(size: int) -> str:
    """Write a count of bytes in the largest unit that loses nothing: ``128MB``, ``1GiB``, ``1001B``."""
    exact = ((size // bytes_, unit) for unit, bytes_ in _SIZES.items() if size and not size % bytes_)
    number, unit = min(exact, default=(size, "B"))
    return f"{number}{unit}"


def counted(number: int, noun: str) -> str:
    """Return how many there are of a thing: ``1 model``, ``2 models``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
