"""Times as people write them on the command line; pure."""

import re
from datetime import UTC, datetime

from latigo.runtime.units import parse_duration

_RELATIVE = re.compile(r"([+-])([0-9]+(?:ms|s|m|h|d))")


def parse_time(text: str, now: datetime) -> datetime:
    """Read ISO 8601 (without an offset: UTC), ``now``, or a duration before or after now, such as ``-30d``.

    Raises:
        ValueError: it is none of these, or beyond the calendar.
    """
    text = text.strip()
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
