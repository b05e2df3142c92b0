"""Lists, a page at a time; pure."""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Generic, TypeVar

from pydantic import Field

from latigo.domain.errors import Misused
from latigo.reports.base import Listing, Report, Row
from latigo.web.api.endpoint import Question

T = TypeVar("T", bound=Report | Row)

PAGE = 100
LARGEST_PAGE = 1000
_FURTHEST = 10_000_000


class Page(Report, Generic[T]):
    """A part of a list."""

    items: Sequence[T]
    next: str | None  #: asks for the page after this one; None: this is the last
    at: datetime  #: when it was read
    total: int | None = None  #: of the whole list, where that is known


class Paged(Question):
    """A question whose answer is a list."""

    limit: Annotated[int, Field(ge=1, le=LARGEST_PAGE, description="Rows of a page.")] = PAGE
    cursor: Annotated[str, Field(max_length=100, description="The ``next`` of the page before.")] = ""

    @property
    def skip(self) -> int:
        """Rows before this page.

        Raises:
            Misused: the cursor is of another list, or of none.
        """
        if not self.cursor:
            return 0
        try:
            text = base64.urlsafe_b64decode(self.cursor.encode("ascii") + b"==").decode("ascii")
            number, _, digest = text.partition(".")
            skipped = int(number)
        except (ValueError, binascii.Error):
            raise Misused("cursor: is not one that a page has as its next") from None
        if digest != self._digest() or not 0 <= skipped <= _FURTHEST:
            raise Misused("cursor: is of a list with other filters; ask for its first page, without a cursor")
        return skipped

    def page(self, rows: Listing[T], at: datetime) -> Page[T]:
        """Return the page of rows that were read with `skip` and ``limit``."""
        end = self.skip + len(rows)
        return Page[T](items=rows, next=self._cursor(end) if end < rows.total else None, at=at, total=rows.total)

    def _cursor(self, skipped: int) -> str:
        return base64.urlsafe_b64encode(f"{skipped}.{self._digest()}".encode()).decode().rstrip("=")

    def _digest(self) -> str:
        """Return a digest of the filters and the order: a cursor means nothing with others."""
        filters = self.model_dump_json(exclude={"limit", "cursor"})
        return hashlib.sha256(f"{type(self).__name__} {filters}".encode()).hexdigest()[:8]


def all_rows(rows: Sequence[T], at: datetime) -> Page[T]:
    """Return the whole of a short list as its only page."""
    return Page[T](items=rows, next=None, at=at, total=len(rows))
