"""The comparison with an older commit."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import pairs
from benchmarks.pairs import Line, compared, figures, lines_of, measured, replaced, section_of
from benchmarks.report import Row, table

OWN = "2026-11-29, on a machine; turns: 1; now: aaaaaaa of 2026-11-29; before: ccccccc of 2026-11-01; by its own."
TODAY = "2026-11-30, on a machine; turns: 3; now: bbbbbbb of 2026-11-30; before: ccccccc of 2026-11-01; both."
OVERHEAD = Line("overhead", "overhead: CPU", "2.00", "3.00", "0.67", OWN)
MEMORY = Line("memory", "memory: the most", "9.00", "9.50", "0.95", OWN)


def test_figures_are_read_from_the_table_of_any_commit():
    rows = [Row("a", "2 s", "1 s", 2.0, at_most=1.0), Row("b", "3", "4", 0.75)]

    assert figures(f"noise\n{table(rows)}\n\nmore") == {"a": 2.0, "b": 0.75}
    assert figures("") == {}


def test_against_a_limit_the_figure_is_what_was_measured_whatever_the_limit_was():
    now, before = [Row("a", "0.6 s", "< 1.5 s", 0.4)], [Row("a", "0.6 s", "<= 3 s", 0.2)]

    assert figures(table(now)) == pytest.approx({"a": 0.6})
    assert figures(table(before)) == pytest.approx({"a": 0.6})


@pytest.mark.parametrize(
    ("code", "output", "said"),
    [
        (0, "| a | 2 s | 1 s | 2.00 |", ""),
        (1, "| a | 2 s | 1 s | 2.00 |", ""),  # a goal that was missed
        (1, "", "memory in older: exit code 1\n"),  # an error
        (2, "", "memory in older: exit code 2\n"),
        (-9, "| a | 2 s | 1 s | 2.00 |", "memory in older: exit code -9\n"),
    ],
)
def test_a_part_that_could_not_be_measured_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: int, output: str, said: str
):
    def run(command: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, code, output, "")

    monkeypatch.setattr(subprocess, "run", run)

    assert measured(Path("older"), "memory") == ({"a": 2.0} if output else {})
    assert capsys.readouterr().err == said


def test_a_commit_that_there_is_not_is_a_wrong_argument(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    monkeypatch.setattr(pairs, "HERE", tmp_path)  # no repository
    monkeypatch.setattr("sys.argv", ["pairs", "abc"])

    with pytest.raises(SystemExit) as ended:
        pairs.main()

    assert ended.value.code == 2
    assert "error: git rev-parse: " in capsys.readouterr().err


def test_pairs_are_compared_line_by_line_as_far_as_both_have_them():
    now = [{"a": 2.0, "new": 1.0}, {"a": 3.0}, {"a": 8.0}]
    before = [{"a": 4.0, "old": 1.0}, {"a": 3.0}, {"a": 2.0}]

    assert compared("memory", now, before, TODAY) == [Line("memory", "a", "3.00", "3.00", "1.00", TODAY)]


def test_a_section_names_the_run_of_each_line_once_and_is_read_again_as_it_was_written():
    lines = [OVERHEAD, Line("influx", "reading", "1.00", "1.00", "1.00", TODAY), MEMORY]

    section = section_of(lines)

    assert lines_of(section) == lines
    assert section.count(OWN) == section.count(TODAY) == 1


def test_lines_of_a_part_that_was_compared_again_are_replaced_and_the_others_keep_their_run():
    old = [OVERHEAD, Line("overhead", "renamed since", "1.00", "1.00", "1.00", OWN), MEMORY]
    new = Line("overhead", "overhead: CPU", "1.90", "3.00", "0.63", TODAY)

    lines = lines_of(section_of(replaced(lines_of(section_of(old)), "overhead", [new])))

    assert lines == [new, MEMORY]


def test_a_run_that_no_line_is_of_any_more_is_not_named():
    new = Line("overhead", "overhead: CPU", "1.90", "3.00", "0.63", TODAY)

    assert OWN not in section_of(replaced([OVERHEAD], "overhead", [new]))


def test_parts_stand_in_the_order_in_which_they_are_measured_whenever_they_were_compared():
    assert replaced([MEMORY], "overhead", [OVERHEAD]) == [OVERHEAD, MEMORY]


def test_lines_of_which_nothing_says_how_they_were_measured_are_not_taken_over():
    hand_written = (
        "| what | now | before | quotient |\n| --- | --- | --- | --- |\n| a wave | 5.25 ms | 5.59 ms | 0.94 |"
    )

    assert lines_of(hand_written) == []
