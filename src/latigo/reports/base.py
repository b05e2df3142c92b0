"""Base of all reports."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict


class Report(BaseModel):
    """An answer, or a part of one. Programs read its fields: they are neither renamed nor removed."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_timedelta="float", defer_build=True)


@dataclass(slots=True)
class Row:
    """A row of a list that may be as long as there are models; a report in all that programs see.

    A dataclass with slots, which costs a tenth of a `Report` and is not validated: its statement has the right types.
    It is not frozen either: that would make it as slow again.
    """

    __pydantic_config__: ClassVar[ConfigDict] = Report.model_config


T = TypeVar("T", bound=Report | Row)


class Listing(list[T]):
    """Rows of a list that may be cut; ``total`` is how many there are."""

    def __init__(self, rows: Iterable[T] = (), total: int = 0) -> None:
        super().__init__(rows)
        self.total = max(total, len(self))

    @classmethod
    def of(cls, kind: type[T], rows: Iterable[Any], skipped: int = 0) -> "Listing[T]":
        """Create a listing from rows that have ``total`` as a column of its own, after those that were skipped.

        Args:
            kind: of the reports.
            rows: of the database.
            skipped: how many there are before them.
        """
        total, reports = skipped, []
        for row in rows:
            fields = dict(row)
            total = fields.pop("total")
            reports.append(kind(**fields))
        return cls(reports, total)


#: Names, or patterns with ``*``, of which one matches; None: any.
Names = str | Sequence[str] | None


def likes(names: Names) -> list[str] | None:
    """Return the patterns for ``LIKE ANY`` of names; None where anything matches."""
    if names is None:
        return None
    return [escape_like(name).replace("*", "%") for name in ([names] if isinstance(names, str) else names)]


def escape_like(text: str) -> str:
    """Return a pattern for LIKE that matches a text alone."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
