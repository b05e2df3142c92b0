"""How answers are shown to people."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from latigo.cli.failure_details import detail_of
from latigo.cli.tables import cell, show_line, show_table
from latigo.reports.failures import Failure

#: Wider than a narrow terminal.
NAME = "a-compressor-with-a-name-that-is-longer-than-a-narrow-terminal-is-wide-and-then-some"


def test_rows_are_aligned_and_never_broken(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    rows: list[dict[str, Any]] = [
        {"model": NAME, "since": datetime(2024, 5, 1, 12, 30, 0, 5, UTC), "slots": 2.0, "parked": False},
        {"model": "pump", "since": None, "slots": 0.5, "parked": True, "delay": timedelta(minutes=5)},
    ]

    show_table(rows, ("model", "since", "slots", "parked", "delay"))

    width = len(NAME)
    assert capsys.readouterr().out.splitlines() == [
        f"{'model':{width}}  since                 slots  parked  delay",
        f"{NAME}  2024-05-01T12:30:00Z  2      no      -",
        f"{'pump':{width}}  -                     0.5    yes     5m",
    ]


def test_what_others_write_cannot_break_a_line_or_command_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show_line("drained (month\r\nend \x1b[31mred)")

    assert capsys.readouterr().out == "drained (month end \N{REPLACEMENT CHARACTER}[31mred)\n"
    assert cell("a\nb\x1b[2J") == "a b\N{REPLACEMENT CHARACTER}[2J"


def test_counts_by_name_are_shown_as_words() -> None:
    assert (cell({"absent": 9, "short": 15}), cell({})) == ("absent 9, short 15", "-")


def test_columns_in_which_no_row_has_anything_are_left_out_where_that_says_enough(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [{"project": "a", "stale": 0, "parked": 0, "lag": 0}, {"project": "b", "stale": 0, "parked": 3, "lag": 0}]

    show_table(rows, ("project", "stale", "parked", "lag"), if_any=("stale", "parked"))

    assert capsys.readouterr().out.splitlines() == ["project  parked  lag", "a        0       0", "b        3       0"]


def test_a_long_text_stands_below_its_row_and_of_a_traceback_the_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"reason": "crashed", "detail": "Traceback (most recent call last):\n  File ...\nKeyError: '[/b] [red]'\n"},
        {"reason": "retry", "detail": ""},
        {"reason": "attempts", "detail": "x" * 1000},
    ]

    show_table(rows, ("reason",), title="parked, by cause", below="detail")

    assert capsys.readouterr().out.splitlines() == [
        "",
        "parked, by cause",
        "reason",
        "crashed",
        "    KeyError: '[/b] [red]'",
        "retry",
        "attempts",
        "    " + "x" * 200,
    ]


def test_on_a_terminal_a_long_text_is_broken_between_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "30")

    show_table([{"model": NAME, "detail": "the source does not know 'GRA-TT-0001.PV'"}], ("model",), below="detail")

    assert capsys.readouterr().out.splitlines() == [
        "model",
        NAME,
        "    the source does not know",
        "    'GRA-TT-0001.PV'",
    ]


def test_where_there_is_nothing_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    show_table([], ("model",), empty="nothing has failed")
    show_table([], ("project",), title="projects", empty="none listed yet")

    assert capsys.readouterr().out.splitlines() == ["nothing has failed", "projects: none listed yet"]


def test_a_failure_is_shown_with_its_time_unless_that_is_all_of_it() -> None:
    first, last = datetime(2024, 5, 1, 12, tzinfo=UTC), datetime(2024, 5, 1, 12, 30, tzinfo=UTC)
    detail = "Traceback (most recent call last):\nKeyError: 'a'\n"

    whole = Failure(
        project="plant",
        model="pump",
        state="parked",
        reason="crashed",
        detail=detail,
        since=first,
        revision="1000",
        first=None,
        last=None,
        next_attempt=None,
        attempts=1,
        tags=(),
    )
    part = whole.model_copy(update={"first": first, "last": last})

    some, all_of_it = detail_of(part), detail_of(whole)

    assert some == "2024-05-01T12:00:00Z to 2024-05-01T12:30:00Z: KeyError: 'a'"
    assert all_of_it == "KeyError: 'a'"
