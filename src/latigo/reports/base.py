"""Base of all reports."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict


class Report(BaseModel):
    """An answer, or a part of one. Programs read its fields: they are neither renamed nor removed."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_timedelta="float")


T = TypeVar("T", bound=Report)


class Listing(list[T]):
    """Rows of a list that may be cut; ``total`` is how many there are."""

    def __init__(self, rows: Iterable[T] = (), total: int = 0) -> None:
        super().__init__(rows)
        self.total = max(total, len(self))

    @classmethod
    def of(cls, kind: type[T], rows: Iterable[Mapping[str, Any]], skipped: int = 0) -> "Listing[T]":
        """Create a listing from rows that have ``total`` as a column of its own, after those that were skipped."""
        total, reports = skipped, []
        for row in rows:
            columns = dict(row)
            total = columns.pop("total")
            reports.append(kind(**columns))
        return cls(reports, total)


def escape_like(text: str) -> str:
    """Return a pattern for LIKE that matches a text alone."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
