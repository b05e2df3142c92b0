"""Types of fields, and how a field of several types is selected; pure.

In InfluxDB 1 and 2 a field has one type in a shard, and may have another one in the next. A statement that names the
field alone returns one of them and leaves the others out without a word. A cast selects one type; cast to ``float``
however, it returns every number, so that a further cast to ``integer`` would return numbers twice. In version 3 a field
has one type, and nothing is cast.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from latigo.providers.influx.query import cast, pattern
from latigo.providers.qualities import Qualities

TEXT: Final = "string"
BOOLEAN: Final = "boolean"
NUMBER: Final = "float"
_CASTS: Final = {"float": NUMBER, "integer": NUMBER, "unsigned": NUMBER, BOOLEAN: BOOLEAN, TEXT: TEXT}
_FALSE, _TRUE = 0.0, 1.0


@dataclass(frozen=True, slots=True)
class FieldTypes:
    """Types that a field has in the shards of a measurement; none if there is no such field."""

    field: str
    types: frozenset[str] = frozenset()

    @property
    def kinds(self) -> list[str]:
        """Casts that return every value of the field once."""
        return sorted({_CASTS[kind] for kind in self.types})

    def terms(self) -> tuple[str, ...]:
        """Return what selects the field: its name if it has one type, otherwise a term for each kind of value."""
        return tuple(self.term(kind) for kind in self.kinds) if len(self.types) > 1 else (cast(self.field),)

    def term(self, kind: str) -> str:
        """Return what selects its values of this kind."""
        return cast(self.field, kind if len(self.types) > 1 else "")


@dataclass(frozen=True, slots=True)
class Selection:
    """What is selected of each reading: its value, and its quality if the readings have one."""

    values: tuple[str, ...]  #: terms, of which at most one has a value at a time
    qualities: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ("",)  #: each selects some of the readings of good quality, together all
    wide: bool = False  #: a row may take more than a number does

    @property
    def terms(self) -> tuple[str, ...]:
        """All columns."""
        return (*self.values, *self.qualities)


def is_type(text: str) -> bool:
    """Return whether this is the type of a field."""
    return text in _CASTS


def types_of(field: str, keys: Iterable[tuple[str, str]]) -> FieldTypes:
    """Return the types of a field from the fields and types of its measurement."""
    return FieldTypes(field, frozenset(kind for key, kind in keys if key == field))


def readings_selection(value: FieldTypes, quality: FieldTypes | None) -> Selection:
    """Select values of every type, and their qualities."""
    values, qualities = value.terms(), quality.terms() if quality else ()
    return Selection(values, qualities, wide=len(values) + len(qualities) > 1 or TEXT in value.types)


def numbers_selection(value: FieldTypes, quality: FieldTypes | None, good: Qualities, *, with_text: bool) -> Selection:
    """Select values of good quality; those that are text only if ``with_text`` is set.

    There is one condition for each kind of quality: version 1.6 applies the last of several casts of a field in a
    condition to all of them.
    """
    kinds = [kind for kind in value.kinds if with_text or kind != TEXT]
    conditions = (
        ("",) if quality is None else tuple(filter(None, (_condition(quality, kind, good) for kind in quality.kinds)))
    )
    return Selection(tuple(value.term(kind) for kind in kinds), (), conditions, wide=True)


def _condition(quality: FieldTypes, kind: str, good: Qualities) -> str:
    """Return the condition by which qualities of one kind are good; empty if none is."""
    match kind:
        case "string":
            return f"({quality.term(kind)} =~ {pattern(good.pattern)})" if good.pattern else ""
        case "boolean":
            marks = [text for text, number in (("false", _FALSE), ("true", _TRUE)) if number in good.numbers]
        case _:
            marks = [_float(number) for number in good.numbers]
    alternatives = " OR ".join(f"{quality.term(kind)} = {mark}" for mark in marks)
    return f"({alternatives})" if alternatives else ""


def _float(number: float) -> str:
    """Return a number as InfluxQL has it: without an exponent, and with a point, since integers are limited."""
    text = f"{Decimal(repr(number)):f}"
    return text if "." in text else f"{text}.0"
