"""One-line texts of failures."""

from latigo.cli.tables import cell, last_line
from latigo.reports.failures import Failure, FailureGroup


def detail_of(failure: Failure) -> str:
    """Return the time that a failure is about, where it is not all of it, and its cause; in a line."""
    detail = last_line(failure.detail)
    return f"{cell(failure.first)} to {cell(failure.last)}: {detail}" if failure.first else detail


def summary_of(group: FailureGroup) -> list[str]:
    """Return the newest detail of a group, what Latigo does and what you can do; in a line each."""
    advice = [f"Latigo: {group.latigo_does}", f"You: {group.you_can_do}"] if group.latigo_does else []
    return [last_line(group.example), *advice]
