"""The examples of ``docs/datasets.md`` are understood, and its lists are complete."""

import re
from pathlib import Path

import pytest

from latigo.dataset import parse_duration, parse_resolution, row_filter
from latigo.dataset.resample import AGGREGATIONS

PAGE = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text("utf-8")


def examples(row: str) -> list[str]:
    """Return the code in the second column of a row of a table."""
    cells = next(line for line in PAGE.splitlines() if line.startswith(f"| {row} |")).split(" | ", 1)[1]
    return [single or double for double, single in re.findall(r"``\s(.+?)\s``|`([^`]+)`", cells)]


def test_every_aggregation_is_listed() -> None:
    assert sorted(examples("`aggregation_methods`")) == sorted(AGGREGATIONS)


def test_lengths_of_time_are_read() -> None:
    assert all(parse_resolution(text) for text in examples("`resolution`"))
    assert all(parse_duration(text) for text in examples("`interpolation_limit`"))


@pytest.mark.parametrize(
    "row",
    [
        *("comparisons", "combined", "tags with other characters", "arithmetic and functions", "the row before"),
        *("windows of rows or of time", "the whole of the rows", "time of the row"),
    ],
)
def test_filters_are_understood(row: str) -> None:
    filters = examples(row)

    assert filters
    for text in filters:
        row_filter.parse(text)


def test_methods_in_the_text_are_understood() -> None:
    for text in re.findall(r"`(index\.(?:gt|between)\(.+?\))`", PAGE):
        row_filter.parse(text)
