"""Every example of the page on sensor files is read as the page says."""

import re
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from latigo.domain.windows import Window
from latigo.providers.files import open_files
from latigo.runtime.clock import SystemClock
from latigo.settings import FileSensors

PAGE = Path(__file__).parents[2] / "docs" / "sensor-files.md"
_PART = re.compile(
    r"^`(?P<file>[^`\n]+)`:\n\n```text\n(?P<text>.*?)^```$"
    r"|^```toml\n(?P<toml>.*?)^```$"
    r"|^Readings of `(?P<tag>[^`]+)`: (?P<values>[-\d., ]+)$",
    re.MULTILINE | re.DOTALL,
)
YEAR = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))


class Example(NamedTuple):
    """Files, the settings that read them, and what is read."""

    files: dict[str, str]
    settings: dict[str, Any]
    tag: str
    values: list[float]


def examples() -> Iterator[Example]:
    """The examples of the page, in their order: files, then settings, then readings."""
    files: dict[str, str] = {}
    settings: dict[str, Any] | None = None
    for part in _PART.finditer(PAGE.read_text(encoding="utf-8")):
        if part["file"]:
            files[part["file"]] = part["text"]
        elif part["toml"]:
            settings = tomllib.loads(part["toml"])
        else:
            assert files, part[0]
            assert settings is not None, part[0]
            yield Example(files, settings, part["tag"], [float(value) for value in part["values"].split(",")])
            files, settings = {}, None
    assert not files, "an example without readings"


def test_there_are_examples_of_every_form() -> None:
    keys = {key for example in examples() for key in example.settings}

    assert len(list(examples())) >= 11
    assert keys >= {"path", "layout", "preset", "columns", "separator", "decimal_point", "thousands", "missing", "good"}


@pytest.mark.parametrize("example", list(examples()), ids=lambda example: next(iter(example.files)))
async def test_an_example_is_read_as_the_page_says(
    example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in example.files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    async with open_files(FileSensors.model_validate(example.settings), SystemClock()) as sensors:
        read = await sensors.get_data_for_range([example.tag], YEAR, max_bytes=10**6)

    assert read[example.tag].values.tolist() == example.values
