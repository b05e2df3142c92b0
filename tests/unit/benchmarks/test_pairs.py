"""The comparison with an older commit."""

import pytest

from benchmarks.pairs import compared, figures
from benchmarks.report import Row, table


def test_figures_are_read_from_the_table_of_any_commit():
    rows = [Row("a", "2 s", "1 s", 2.0, at_most=1.0), Row("b", "3", "4", 0.75)]

    assert figures(f"noise\n{table(rows)}\n\nmore") == {"a": 2.0, "b": 0.75}
    assert figures("") == {}


def test_against_a_limit_the_figure_is_what_was_measured_whatever_the_limit_was():
    now, before = [Row("a", "0.6 s", "< 1.5 s", 0.4)], [Row("a", "0.6 s", "<= 3 s", 0.2)]

    assert figures(table(now)) == pytest.approx({"a": 0.6})
    assert figures(table(before)) == pytest.approx({"a": 0.6})


def test_pairs_are_compared_line_by_line_as_far_as_both_have_them():
    now = [{"a": 2.0, "new": 1.0}, {"a": 3.0}, {"a": 8.0}]
    before = [{"a": 4.0, "old": 1.0}, {"a": 3.0}, {"a": 2.0}]

    assert compared(now, before).splitlines()[2:] == ["| a | 3.00 | 3.00 | 1.00 |"]
