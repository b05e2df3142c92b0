"""What ``latigo backfill`` reads from files and shows of progress."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from latigo.cli.backfill_progress import progress_line
from latigo.cli.main import cli
from latigo.cli.names_file import read_names_file
from latigo.reports.backfills import Backfill
from latigo.runtime.units import rough_time
from tests.support.build import NOW


def a_backfill(**changes: Any) -> Backfill:
    fields: dict[str, Any] = {
        "id": 1,
        "kind": "fill",
        "state": "active",
        "note": "",
        "who": "me",
        "at": NOW,
        "why": "",
        "start": NOW,
        "end": NOW,
        "selector": {},
        "models": 2,
        "slots": 400,
        "models_left": 1,
        "slots_left": 100,
        "slots_parked": 0,
        "windows_failed": 0,
        "tasks": 3,
        "at_most": None,
        "stop_after": None,
        "digest": "",
        "ended_at": None,
    }
    return Backfill(**fields | changes)


def test_names_are_read_without_blank_lines_and_comments(tmp_path: Path):
    path = tmp_path / "models.txt"
    path.write_bytes("\ufeff# pumps\r\nplant/pump-1\r\n\r\n  plant/pump-2 \n".encode())

    assert read_names_file(path) == ["plant/pump-1", "plant/pump-2"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"# none\n", "no names"),
        (b"\xff\xfe", "not UTF-8"),
        (None, "cannot be read"),
        (b"a" * 20_000_001, "larger than 20 MB"),
    ],
)
def test_a_file_without_names_is_refused(tmp_path: Path, content: bytes | None, problem: str):
    path = tmp_path / "models.txt"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(typer.BadParameter, match=problem):
        read_names_file(path)


def test_progress_has_the_rate_and_the_time_left_once_something_is_done():
    assert progress_line(a_backfill(), 0, 10) == "75.0% of 400 slots, 3 tasks out"
    line = progress_line(a_backfill(slots_parked=20), 40, 10)
    assert line == "75.0% of 400 slots, 3 tasks out, 20 slots failed, 4 slots/s, 20s left"
    assert progress_line(a_backfill(slots_left=0), 100, 10) == "100.0% of 400 slots, 3 tasks out, 10 slots/s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "1s"), (0.2, "1s"), (119, "119s"), (121, "3m"), (7200, "2h"), (90_000, "25h"), (172_801, "3d")],
)
def test_a_rough_time_is_rounded_up_in_units_of_which_there_are_two(seconds: float, text: str):
    assert rough_time(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--from", "-1d"], "Name projects or models"),
        (["plant"], "Say where the time begins"),
        (["plant", "--from", "now", "--to", "-1d"], "ends after it starts"),
        (["plant", "--from", "-1d", "--at-most", "0"], "0 is less than 1"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_opened(arguments: list[str], problem: str):
    result = CliRunner().invoke(cli, ["backfill", *arguments])

    assert result.exit_code == 2
    assert problem in " ".join(result.output.replace("\u2502", " ").split())
