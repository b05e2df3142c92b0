"""docs/plugins.md shows the code of the example, the suites that exist, and the errors that Latigo raises."""

import re
import textwrap
from pathlib import Path

import pytest

import latigo.testing
from latigo.settings.keys import PLUGIN_SECTIONS, plugin_group
from tests.support.example_plugins import EXAMPLE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
CODE = "\n".join(
    path.read_text(encoding="utf-8") for suffix in ("py", "toml", "md") for path in EXAMPLE.rglob(f"*.{suffix}")
)


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```$", PAGE, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block).strip() for block in found]


@pytest.mark.parametrize("block", blocks("python") + blocks("toml"))
def test_the_code_is_that_of_the_example(block: str) -> None:
    assert block in CODE


def test_every_suite_is_listed_and_every_listed_one_exists() -> None:
    suites = {name for name in latigo.testing.__all__ if name.endswith("Contract")}

    assert set(re.findall(r"^\| `(\w+Contract)` \|", PAGE, re.MULTILINE)) == suites


def test_every_group_of_entry_points_is_listed() -> None:
    assert set(re.findall(r"\| `(latigo\.\w+)` \|", PAGE)) <= {plugin_group(section) for section in PLUGIN_SECTIONS}
