"""Every command block of README and docs runs, or is marked as needing a system that the tests do not have.

A mark is a comment on the line before the block, ``<!-- needs: Docker -->``, which no page shows. The calls of
``latigo`` in a marked block are parsed all the same. make only prints its commands, which have tests of their own.
"""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from latigo.cli.main import cli

ROOT = Path(__file__).parents[2]
PAGES = sorted((*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")))
COMMANDS = "sh"
#: Languages of a block that are no commands.
OTHERS = {"json", "python", "sql", "text", "toml", "{toctree}"}
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\S*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"<!-- needs: (?P<needs>\S[^\n]*) -->\n\s*\Z")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    name: str
    language: str
    text: str
    needs: str


def blocks_of(name: str, page: str) -> list[Block]:
    found = []
    for fence in FENCE.finditer(page):
        mark = MARK.search(page, 0, fence.start())
        line = page.count("\n", 0, fence.start()) + 1
        found.append(Block(f"{name}:{line}", fence["language"], fence["text"], mark["needs"] if mark else ""))
    return found


def arguments_of_latigo(script: str) -> list[list[str]]:
    """Return the arguments of every call of ``latigo`` in a script."""
    lexer = shlex.shlex(script.replace("\n", "\n;"), posix=True, punctuation_chars=True)
    lexer.wordchars += "[]@:,%+"
    calls: list[list[str]] = [[]]
    for token in lexer:
        if set(token) <= set("&|;()<>"):
            calls.append([])
        else:
            calls[-1].append(token)
    calls = [
        call[call.index("--") + 1 :] if "--" in call else [] if call[:1] == ["kubectl"] else call for call in calls
    ]
    return [call[call.index("latigo") + 1 :] for call in calls if "latigo" in call]


def parse(arguments: list[str]) -> None:
    """Parse the arguments of a command without running it. Raises if the command line refuses them."""
    command: Any = get_command(cli)
    name: str | None = "latigo"
    while True:
        context = command.make_context(name, list(arguments))
        if not arguments or not hasattr(command, "commands"):
            return
        if arguments[0].startswith("-") and (default := getattr(command, "default", "")):
            arguments = [default, *arguments]
        name, command, arguments = command.resolve_command(context, arguments)


BLOCKS = [block for page in PAGES for block in blocks_of(str(page.relative_to(ROOT)), page.read_text(encoding="utf-8"))]
COMMAND_BLOCKS = [block for block in BLOCKS if block.language == COMMANDS]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with everything that stands in the repository, into which a block can write."""
    for path in ROOT.iterdir():
        if path.name not in {"latigo.toml", "build"}:
            (tmp_path / path.name).symlink_to(path)
    return tmp_path


@pytest.mark.parametrize("block", [block for block in COMMAND_BLOCKS if not block.needs], ids=lambda block: block.name)
def test_a_command_block_runs(block: Block, checkout: Path) -> None:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("LATIGO_", "MAKE", "MFLAGS"))}
    path = os.pathsep.join((str(Path(sys.executable).parent), inherited["PATH"]))

    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.text],
        cwd=checkout,
        env={**inherited, "PATH": path, "MAKEFLAGS": "--dry-run"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("block", [block for block in COMMAND_BLOCKS if block.needs], ids=lambda block: block.name)
def test_commands_of_a_block_that_cannot_run_here_are_accepted(block: Block) -> None:
    for arguments in arguments_of_latigo(block.text):
        parse(arguments)


def test_every_block_says_what_it_is() -> None:
    assert {block.name for block in BLOCKS if block.language not in {COMMANDS, *OTHERS}} == set()


def test_the_readme_has_blocks_of_both_kinds() -> None:
    of_readme = [block for block in COMMAND_BLOCKS if block.name.startswith("README.md:")]

    assert {bool(block.needs) for block in of_readme} == {True, False}


def test_a_mark_belongs_to_the_block_that_follows_it() -> None:
    page = "<!-- needs: Docker -->\n```sh\na\n```\n\ntext\n\n```sh\nb\n```\n\n```toml\nc = 1\n```\n"

    assert [(block.language, block.text, block.needs) for block in blocks_of("page", page)] == [
        ("sh", "a\n", "Docker"),
        ("sh", "b\n", ""),
        ("toml", "c = 1\n", ""),
    ]


def test_calls_are_found_in_a_script() -> None:
    script = (
        "cd x && latigo status # latigo nothing\n"
        "docker exec s latigo check | cat\n"
        "kubectl create namespace latigo\n"
        "latigo predict a/b --from -6h\n"
        "kubectl --namespace latigo exec deployment/latigo -- latigo plan\n"
    )

    assert arguments_of_latigo(script) == [["status"], ["check"], ["predict", "a/b", "--from", "-6h"], ["plan"]]


@pytest.mark.parametrize("arguments", [["statuss"], ["status", "--no-such-option"], ["queue", "resett"], ["predict"]])
def test_what_the_command_line_refuses_is_noticed(arguments: list[str]) -> None:
    with pytest.raises(Exception, match=r"No such|Missing"):
        parse(arguments)
