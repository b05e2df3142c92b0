"""``latigo plugins``, as people see it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from latigo.cli.main import cli
from tests.support.plugins import offer

DONE, FAILED = 0, 1


def shown() -> tuple[int, list[str]]:
    result = CliRunner().invoke(cli, ["plugins"])
    return result.exit_code, [" ".join(line.split()) for line in result.output.splitlines()]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_without_any_the_page_about_them_is_named() -> None:
    assert shown() == (DONE, ["No installed package offers a plug-in; docs/plugins.md shows how to write one"])


def test_each_has_a_line_and_one_that_cannot_be_used_its_reason_below(folder: Path) -> None:
    offer(folder, "plant-historian", "[latigo.sensors]\nhistorian = tests.support.plugins:open_good\n")
    assert shown() == (
        DONE,
        [
            "name group package version factory options usable",
            "historian latigo.sensors plant-historian 1.0 tests.support.plugins:open_good region, password yes",
        ],
    )

    offer(folder, "plant-sink", "[latigo.predictions]\nplant-sink = tests.support.plugins:no_such_name\n")
    code, lines = shown()

    assert code == FAILED
    assert lines[-2:] == [
        "plant-sink latigo.predictions plant-sink 1.0 tests.support.plugins:no_such_name - no",
        "module 'tests.support.plugins' has no attribute 'no_such_name'",
    ]
