"""Times written in a row filter, read as pandas reads them: everything that ``dateutil`` understands."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from dateutil import parser

from latigo.domain.windows import to_ns

MOST_TEXT: Final = 64  #: characters

#: What is missing in a text is taken from here; with its year, the text has none, and pandas would take today's.
_FIRST_DAY: Final = datetime(1, 1, 1)  # noqa: DTZ001 - the offset is what the text has to give
_LAST: Final = (1 << 63) - 1  #: ns; pandas has no later time
_ADVICE: Final = "write it as '2026-01-04 10:30+00:00'"
#: Digits below a microsecond, which pandas reads in some spellings only.
_NANOSECONDS: Final = re.compile(r"[.,]\d{7}")


def read_time(text: str, *, naive: bool = False) -> datetime:
    """Return a text as a time with an offset. Without an offset in the text, it is UTC if ``naive`` is true.

    Raises:
        ValueError: pandas does not read it, or reads a different time every day; says what to write.
    """
    if len(text) > MOST_TEXT or not text.isascii() or _NANOSECONDS.search(text):
        raise ValueError(f"this is not a time; {_ADVICE}")
    try:
        time = parser.parse(text, default=_FIRST_DAY, tzinfos=_zone)
        if time.year > 1 and time.tzinfo is None and naive:
            time = time.replace(tzinfo=UTC)
        in_reach = time.year > 1 and (time.tzinfo is None or -_LAST <= to_ns(time) <= _LAST)
    except (ValueError, ArithmeticError, TypeError, AttributeError) as error:
        raise ValueError(f"this is not a time; {_ADVICE}") from error
    if not in_reach:
        raise ValueError(f"a time needs a date between 1678 and 2261; {_ADVICE}")
    if time.tzinfo is None:
        raise ValueError(f"a time needs an offset from UTC; {_ADVICE}")
    return time


def _zone(name: str | None, offset: int | None) -> timezone | None:
    """Return the zone of an offset in seconds. The names of zones would depend on the machine, but for UTC's."""
    if offset is not None:
        return timezone(timedelta(seconds=offset))
    return UTC if name in {"UTC", "GMT", "Z", "z"} else None
