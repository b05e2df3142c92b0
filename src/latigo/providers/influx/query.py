"""InfluxQL for readings, one statement a sensor; pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

#: The times that InfluxDB can hold; others it calls a syntax error.
_FIRST, _LAST = -9_223_372_036_854_775_806, 9_223_372_036_854_775_806
_NOT_IN_LITERALS = frozenset("\0\r")
_IN_QUOTES = {ord("\\"): "\\\\", ord("\n"): "\\n"}
_IN_SINGLE = {**_IN_QUOTES, ord("'"): "\\'"}
_IN_DOUBLE = {**_IN_QUOTES, ord('"'): '\\"'}

#: Creates a statement from the term for the sensor's name: a literal, or a parameter.
Statement = Callable[[str], str]


class Query(NamedTuple):
    """Statements joined by ``;``, and the values of their parameters."""

    statements: str
    params: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Layout:
    """Layout of readings: all in one measurement, the sensor's name in a tag, its value in a field.

    A measurement may have other tags as well: then a sensor has several series, which are read as one, unless ``where``
    selects among them.

    The ``terms`` of a statement are what it selects, see `latigo.providers.influx.fields`.
    """

    measurement: str
    tag_key: str
    field: str
    quality_field: str = ""  #: empty if readings have no quality
    where: tuple[tuple[str, str], ...] = ()  #: further tags of all series that are read, and their values
    #: Say that tags are tags. Where a field has the same name, versions 1 and 2 compare the field otherwise: then no
    #: sensor has readings, and every one exists. In version 3 there are no such fields.
    cast_tags: bool = False

    def readings(self, start: int, end: int, terms: Sequence[str] = ()) -> Statement:
        """Select every reading of a sensor with ``start <= time < end`` (ns), as one series with its name."""
        tag = identifier(self.tag_key)
        return self._of_sensor(terms, f"{between(start, end)} GROUP BY {tag}")

    def newest(self, start: int, end: int, terms: Sequence[str] = (), condition: str = "") -> Statement:
        """Select the last reading with ``start <= time < end`` (ns) of each series of a sensor."""
        also = f"{condition} AND " if condition else ""
        return self._of_sensor(terms, f"{also}{between(start, end)} GROUP BY * ORDER BY time DESC LIMIT 1")

    def ends(self, terms: Sequence[str], *, last: bool) -> Statement:
        """Select the first or the last reading of each series of a sensor."""
        order = "DESC" if last else "ASC"
        return self._of_sensor(terms, f"{between(_FIRST, _LAST)} GROUP BY * ORDER BY time {order} LIMIT 1")

    def known(self) -> Statement:
        """Select a sensor's name, if there is a series of it."""
        return _around(f"{self._names()} WHERE {self._tag(self.tag_key)} = ", f"{self._where()} AND time >= 0")

    def all_readings(self, start: int, end: int, terms: Sequence[str] = ()) -> str:
        """Select every reading of every sensor; for people."""
        return f"{self._values(terms)} WHERE {between(start, end)}{self._where()} GROUP BY {identifier(self.tag_key)}"

    def names(self, most: int, skip: int) -> str:
        """Select the names of at most ``most`` sensors."""
        return f"{self._names()} WHERE time >= 0{self._where()} LIMIT {most} OFFSET {skip}"

    def tag_keys(self) -> str:
        """Show every tag of the measurement; none if there is no such measurement."""
        return f"SHOW TAG KEYS FROM {identifier(self.measurement)}"

    def field_keys(self, most: int, skip: int) -> str:
        """Show at most ``most`` fields of the measurement and their types; a field of several types several times."""
        return f"SHOW FIELD KEYS FROM {identifier(self.measurement)} LIMIT {most} OFFSET {skip}"

    def retention(self) -> str:
        """Show the retention policies of the database."""
        return "SHOW RETENTION POLICIES"

    def nothing(self) -> str:
        """Return a cheap statement that needs the same permissions as the others."""
        return f"{self._values()} WHERE time = 0 LIMIT 1"

    def _of_sensor(self, terms: Sequence[str], conditions: str) -> Statement:
        return _around(f"{self._values(terms)} WHERE {self._tag(self.tag_key)} = ", f"{self._where()} AND {conditions}")

    def _values(self, terms: Sequence[str] = ()) -> str:
        selected = ", ".join(terms) or cast(self.field)
        return f"SELECT {selected} FROM {identifier(self.measurement)}"  # noqa: S608 - all are quoted

    def _where(self) -> str:
        return "".join(f" AND {self._tag(key)} = {literal(value)}" for key, value in self.where)

    def _tag(self, key: str) -> str:
        """Return the term for a tag in a condition."""
        return cast(key, "tag" if self.cast_tags else "")

    def _names(self) -> str:
        # With a condition on time: without one, version 3 takes names of the last day only.
        return f"SHOW TAG VALUES FROM {identifier(self.measurement)} WITH KEY = {identifier(self.tag_key)}"


def joined(statement: Statement, names: Sequence[str], *, bind: bool, then: str = "") -> Query:
    """Join one statement for each name, and ``then`` after them.

    Args:
        statement: sent for each.
        names: of sensors.
        bind: pass names as parameters, so that they need no quotes; not every server can.
        then: another statement.
    """
    terms = [f"$t{number}" if bind else literal(name) for number, name in enumerate(names)]
    statements = [statement(term) for term in terms]
    if then:
        statements.append(then)
    params = {term[1:]: name for term, name in zip(terms, names, strict=True)} if bind else {}
    return Query(";".join(statements), params)


def literal(text: str) -> str:
    """Text as a value."""
    return f"'{text.translate(_IN_SINGLE)}'"


def identifier(name: str) -> str:
    """Quote the name of a measurement, tag or field: always, since ``tag`` is a keyword."""
    return f'"{name.translate(_IN_DOUBLE)}"'


def cast(name: str, kind: str = "") -> str:
    """Return the term for a field; with a ``kind``, for its values of this type, or for a tag."""
    return f"{identifier(name)}::{kind}" if kind else identifier(name)


def pattern(regex: str) -> str:
    """Return a regular expression, in the syntax of RE2, as a term."""
    escaped = regex.replace("/", r"\/")
    return f"/{escaped}/"


def can_be_queried(name: str, *, bind: bool) -> bool:
    """Return True if a sensor of this name can be queried.

    InfluxDB takes ``tag = ''`` for every series without the tag, and lone surrogates are no text. In a statement, the
    server ends at a null byte and reads a carriage return as a newline.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return bool(name) and (bind or not _NOT_IN_LITERALS.intersection(name))


def _around(before: str, after: str) -> Statement:
    return lambda term: f"{before}{term}{after}"


def between(start: int, end: int) -> str:
    """Return the condition ``start <= time < end`` (ns)."""
    low, high = (max(_FIRST, min(time, _LAST)) for time in (start, end))
    return f"time >= {low}ns AND time < {high}ns"
