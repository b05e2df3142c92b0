"""The index of decisions is complete."""

import re
from pathlib import Path

DECISIONS = Path(__file__).parents[2] / "docs" / "decisions"
FILES = sorted(DECISIONS.glob("[0-9]*.md"))


def test_every_decision_is_in_the_index_under_its_number_and_title() -> None:
    index = re.findall(
        r"^\| (\d+) \| \[(.+)\]\((\S+)\) \|$", (DECISIONS / "README.md").read_text("utf-8"), re.MULTILINE
    )
    headings = [path.read_text("utf-8").partition("\n")[0] for path in FILES]

    assert [f"# {number} · {title}" for number, title, _ in index] == headings
    assert [file for _, _, file in index] == [path.name for path in FILES]


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(path.name[:4]) for path in FILES] == list(range(1, len(FILES) + 1))
