"""Formats of times as ``strptime`` of the Python standard library has them; pure.

A format becomes a regular expression that Python and RE2 read alike, with one named group for each part of the time.
Names of months and days are English, in any case of letters.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

EXCEL = "excel"  #: the name of serial dates, in days since 1899-12-30
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

_FULL_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SPACES = "[ \t\u00a0\u202f]"
_OFFSET = r"[zZ]|UTC|GMT|[+-]\d\d(?::?\d\d)?"

#: Directives of numbers: name of the part, digits of a number that is not set off, pattern of one that is.
_NUMBERS: Mapping[str, tuple[str, str, str]] = {
    "Y": ("year", r"\d{4}", r"\d{4}"),
    "y": ("short_year", r"\d{2}", r"\d{2}"),
    "m": ("month", r"\d{2}", r"1[0-2]|0?[1-9]"),
    "d": ("day", r"\d{2}", r"3[01]|[12]\d|0?[1-9]"),
    "j": ("day_of_year", r"\d{3}", r"36[0-6]|3[0-5]\d|[12]\d\d|0?[1-9]\d|0{0,2}[1-9]"),
    "H": ("hour", r"\d{2}", r"2[0-4]|[01]?\d"),
    "I": ("hour12", r"\d{2}", r"1[0-2]|0?[1-9]"),
    "M": ("minute", r"\d{2}", r"[0-5]?\d"),
    "S": ("second", r"\d{2}", r"[0-5]?\d"),
    "f": ("fraction", r"\d{1,9}", r"\d{1,9}"),
    "s": ("epoch", r"\d{1,11}", r"\d{1,11}"),
}
_TEXTS: Mapping[str, tuple[str, str]] = {
    "p": ("half", r"[aApP]\.?[mM]\.?"),
    "b": ("month_name", f"(?i:{'|'.join(MONTHS)})"),
    "B": ("month_name", f"(?i:{'|'.join(_FULL_MONTHS)})"),
    "a": ("weekday", f"(?i:{'|'.join(day[:3] for day in _DAYS)})"),
    "A": ("weekday", f"(?i:{'|'.join(_DAYS)})"),
    "z": ("offset", _OFFSET),
    "Z": ("offset", "UTC|GMT|[zZ]"),
}
_SHORT = {"T": "%H:%M:%S", "R": "%H:%M", "F": "%Y-%m-%d", "D": "%m/%d/%y", "e": "%d", "h": "%b"}
_TOKEN = re.compile(r"%-?(.)|(\s+)|([^%\s]+)|(%)", re.DOTALL)

#: Forms of dates that are proposed; those in one group differ in the order of day and month only.
_DATES = (
    *(("%d.%m.%Y",), ("%m/%d/%Y", "%d/%m/%Y"), ("%Y/%m/%d",), ("%Y.%m.%d",), ("%m-%d-%Y", "%d-%m-%Y"), ("%Y%m%d",)),
    *(("%d-%b-%Y",), ("%d %b %Y",), ("%d %B %Y",), ("%d.%b.%Y",), ("%b %d, %Y",), ("%B %d, %Y",), ("%b %d %Y",)),
    *(("%d.%m.%y",), ("%m/%d/%y", "%d/%m/%y"), ("%d-%b-%y",), ("%y%m%d",), ("%Y-%m-%d",), ("%Y-%j",)),
)
_CLOCKS = (
    *("%H:%M:%S", "%H:%M", "%H:%M:%S.%f", "%H:%M:%S,%f", "%I:%M:%S %p", "%I:%M %p", "%I:%M:%S.%f %p"),
    *("%H.%M.%S", "%H.%M", "%H%M%S", "%H%M"),
)
_CLOCKS_AFTER_DATES = (
    "",
    *(
        joint + clock + end
        for end in ("", "%z", " %z")
        for joint in (" ", "T", ", ", "-", ":", "")
        for clock in _CLOCKS
    ),
)
_OTHERS = ("%a %b %d %H:%M:%S %Y", "%a, %d %b %Y %H:%M:%S", "%a %b %d %H:%M:%S %Z %Y")
_SERIAL = re.compile(r"[1-9]\d{4}([.,]\d+)?")


@dataclass(frozen=True, slots=True)
class TimeFormat:
    """One format.

    Args:
        text: as in the settings.
        pattern: of a whole cell without spaces around it, in the syntax of Python and RE2. Its groups are parts of the
            time: year, short_year, month, month_name, day, day_of_year, hour, hour12, half, minute, second, fraction,
            offset, weekday, epoch.
        parts: the groups that it has.
    """

    text: str
    pattern: str
    parts: frozenset[str]

    @classmethod
    def of(cls, text: str) -> "TimeFormat":
        """Parse a format.

        Raises:
            ValueError: it has an unknown directive, the same part twice, or too few parts to name a moment.
        """
        tokens = list(_tokens(text))
        is_number = [directive in _NUMBERS for directive, _ in tokens]
        patterns, parts = [], []
        for place, (directive, literal) in enumerate(tokens):
            if directive in _NUMBERS:
                name, packed, loose = _NUMBERS[directive]
                is_packed = any(is_number[max(place - 1, 0) : place] + is_number[place + 1 : place + 2])
                patterns.append(f"(?P<{name}>{packed if is_packed else loose})")
                parts.append(name)
            elif directive in _TEXTS:
                name, pattern = _TEXTS[directive]
                patterns.append(f"(?P<{name}>{pattern})")
                parts.append(name)
            else:
                patterns.append(f"{_SPACES}+" if literal.isspace() else re.escape(literal))
        _check(text, parts)
        return cls(text, f"^{''.join(patterns)}$", frozenset(parts))

    def matches(self, cell: str) -> bool:
        """Return whether a cell, without spaces around it, has this form."""
        return re.match(self.pattern.replace("$", r"\Z"), cell, re.ASCII) is not None


_SECOND = r"(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?"
_ZONE = rf"[ \t]*(?P<offset>{_OFFSET})?$"
_ISO_PARTS = frozenset({"year", "month", "day", "hour", "minute", "second", "fraction", "offset"})

#: ISO 8601, extended and basic, also with a space for the T. What is not there is empty; a date alone has dashes.
ISO = (
    TimeFormat(
        "ISO 8601",
        r"^(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"
        rf"(?:(?:[Tt]|[ \t]+)(?P<hour>\d\d)(?::(?P<minute>\d\d)(?::{_SECOND})?)?)?{_ZONE}",
        _ISO_PARTS,
    ),
    TimeFormat(
        "ISO 8601",
        r"^(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)"
        rf"(?:[Tt]|[ \t]+)(?P<hour>\d\d)(?::?(?P<minute>\d\d)(?::?{_SECOND})?)?{_ZONE}",
        _ISO_PARTS,
    ),
)


def suggest_format(examples: Sequence[str]) -> str | None:
    """Return the format that times may be written in, None for no common one.

    Where either number may be the day, both formats are returned, joined by ``or``.
    """
    cells = [" ".join(example.split()) for example in examples if example.strip()]
    if not cells:
        return None
    if all(_SERIAL.fullmatch(cell) for cell in cells):
        return EXCEL
    for text in _OTHERS:
        if _fits(text, cells):
            return text
    for dates in _DATES:
        for clock in _CLOCKS_AFTER_DATES:
            if _punctuation(dates[0] + clock) != _punctuation(cells[0]):
                continue  # without compiling the format
            if fitting := [date + clock for date in dates if _fits(date + clock, cells)]:
                return " or ".join(fitting)
    return None


def _fits(text: str, cells: Sequence[str]) -> bool:
    form = TimeFormat.of(text)
    return all(form.matches(cell) for cell in cells)


def _punctuation(text: str) -> str:
    """Return what is left of a format, or of a cell, without directives, letters, digits and offset."""
    return re.sub(r"%.|(?<=\d) ?[+-]\d\d:\d\d$|(?<=:\d\d) ?[+-]\d{4}$|\w", "", text, flags=re.ASCII).rstrip()


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """Yield the directives and the literal text of a format, each as a pair of which one is empty."""
    for match in _TOKEN.finditer(text):
        directive, spaces, literal, percent = match.groups()
        if percent:
            raise ValueError(f"{text!r} ends with a single %")
        if directive in _SHORT:
            yield from _tokens(_SHORT[directive])
        elif directive == "%":
            yield "", "%"
        elif directive:
            if directive not in _NUMBERS and directive not in _TEXTS:
                raise ValueError(f"{text!r} has the directive %{directive}, which is not known")
            yield directive, ""
        else:
            yield "", spaces or literal


def _check(text: str, parts: Sequence[str]) -> None:
    """Refuse a format that does not name one moment."""
    has = frozenset(parts).__contains__
    if repeated := [name for name in set(parts) if parts.count(name) > 1]:
        raise ValueError(f"{text!r} has the {repeated[0].replace('_', ' ')} twice")
    if not parts:
        raise ValueError(f'{text!r} is neither a format such as "%d.%m.%Y %H:%M:%S" nor "{EXCEL}"')
    if has("epoch"):
        if frozenset(parts) - {"epoch", "fraction"}:
            raise ValueError(f"{text!r} has %s, seconds since 1970, and other parts of a time")
        return
    problems = [
        (has("year") == has("short_year"), "one year: %Y or %y"),
        (has("month") and has("month_name"), "one month: %m, %b or %B"),
        (
            has("day_of_year") == (has("day") and (has("month") or has("month_name"))),
            "the day of one year: %d and %m, %b or %B, or else %j",
        ),
        (has("day_of_year") and (has("day") or has("month") or has("month_name")), "no other day than %j"),
        (has("hour") and has("hour12"), "one hour: %H, or %I with %p"),
        (has("hour12") != has("half"), "%I and %p together, or else %H"),
        (has("minute") and not (has("hour") or has("hour12")), "an hour, since it has minutes"),
        (has("second") and not has("minute"), "minutes, since it has seconds"),
        (has("fraction") and not has("second"), "seconds, since it has a fraction of them"),
        (has("offset") and not (has("hour") or has("hour12")), "an hour, since it has an offset from UTC"),
    ]
    for is_wrong, wanted in problems:
        if is_wrong:
            raise ValueError(f"{text!r} should have {wanted}")
