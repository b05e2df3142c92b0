"""One-line texts of failures."""

from latigo.cli.tables import cell, last_line
from latigo.reports.failures import Failure


def detail_of(failure: Failure) -> str:
    """Return the time that a failure is about, where it is not all of it, and its cause; in a line."""
    detail = last_line(failure.detail)
    return f"{cell(failure.first)} to {cell(failure.last)}: {detail}" if failure.first else detail
