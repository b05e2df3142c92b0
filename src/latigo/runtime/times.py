"""Times as people write them, on the command line or in a URL; pure."""

import re
from datetime import UTC, datetime

from latigo.runtime.units import parse_duration

#: Readings have their times in nanoseconds since 1970, in 64 bits; with room for what a window adds to its ends.
_YEARS = range(1700, 2200)
_RELATIVE = re.compile(r"([+-])([0-9]+(?:ms|s|m|h|d))")


def parse_time(text: str, now: datetime) -> datetime:
    """Read ISO 8601 (without an offset: UTC), ``now``, or a duration before or after now, such as ``-30d``.

    Raises:
        ValueError: it is none of these, or in a year that readings cannot have.
    """
    time = _parse(text.strip(), now)
    if time.year not in _YEARS:
        raise ValueError(f"{text[:60]!r} is not a time from {_YEARS.start} to {_YEARS.stop - 1}")
    return time


def _parse(text: str, now: datetime) -> datetime:
    try:
        if text == "now":
            return now.astimezone(UTC)
        if match := _RELATIVE.fullmatch(text):
            duration = parse_duration(match[2])
            return (now - duration if match[1] == "-" else now + duration).astimezone(UTC)
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            f'{text[:60]!r} is not a time: write "2024-05-01T12:00Z" (UTC where it has no offset), "now", or "-30d"'
        ) from None
