"""Whether a sink holds what a model answers now for the same slot, and the likely reason if it does not."""

from collections.abc import Sequence
from datetime import datetime

from latigo.reports.base import Report

#: Columns that are listed, those that differ most.
MOST_COLUMNS = 20
MOST_ROWS = 500  #: whose numbers are shown


class ColumnDifference(Report):
    """A column whose values differ, and the row in which they differ most."""

    column_group: str
    tag: str  #: empty for whole-model columns
    rows: int  #: that differ
    time: datetime
    stored: float | None  #: None: the sink has no value there
    predicted: float | None  #: None: the model answered no finite value


class ComparedColumn(Report):
    """The numbers of a column; null: nothing finite."""

    column_group: str
    tag: str
    stored: Sequence[float | None]
    predicted: Sequence[float | None]


class Verification(Report):
    """A slot as the sink holds it, compared with what was predicted again."""

    equal: bool
    sink: str
    start: datetime
    end: datetime
    tolerance: float  #: relative
    stored_revisions: Sequence[str]  #: empty where the sink does not keep them
    predicted_revision: str
    rows_stored: int
    rows_predicted: int
    rows_differing: int  #: also those that only one of the two has
    values: int  #: that either of them has
    values_differing: int
    largest_difference: float  #: relative, of the values that both have
    columns: Sequence[ColumnDifference]  #: those that differ most
    columns_differing: int
    times: Sequence[datetime]  #: of the rows, the first `MOST_ROWS`
    compared: Sequence[ComparedColumn]  #: at most `MOST_COLUMNS`: those that differ most, then others
    reasons: Sequence[str]  #: likely ones
    story: Sequence[str]
