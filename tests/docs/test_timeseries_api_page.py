"""The settings on the page of the Timeseries API are such, and its limits are those of the code."""

import re
import tomllib
from pathlib import Path

import pytest

from latigo.providers.timeseries import client, reading, sharing, writing
from latigo.settings import Settings
from latigo.settings.sections.timeseries import TimeseriesServer

PAGE = (Path(__file__).parents[2] / "docs" / "timeseries-api.md").read_text(encoding="utf-8")
TEXT = " ".join(PAGE.split())
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_a_configuration(example: str, tmp_path: Path) -> None:
    for path in re.findall(r'_file = "(.+)"', example):
        (tmp_path / Path(path).name).write_text("secret", encoding="utf-8")
        example = example.replace(f'"{path}"', f'"{tmp_path / Path(path).name}"')
    settings = Settings.model_validate(
        {"models": {"url": "http://localhost", "projects": ["a"]}} | tomllib.loads(example)
    )

    assert isinstance(settings.sensors, TimeseriesServer)


def test_the_limits_are_those_of_the_code() -> None:
    points = f"{reading._MOST_POINTS:,}".replace(",", " ")
    written = f"{writing._MOST_POINTS:,}".replace(",", " ")

    assert len(EXAMPLES) == 4
    assert f"at most {reading.MOST_ITEMS} tags with their windows, and about {points} points" in TEXT
    assert f"at most {writing.MOST_SERIES} series and {written} points" in TEXT
    assert f"joined for {sharing.JOIN.microseconds // 1000} ms" in TEXT
    assert f"{(sharing.JOIN * sharing.MOST_JOINS).seconds} seconds at most" in TEXT
    assert f"longer than {client._LONGEST_PAUSE.seconds} s" in TEXT
    assert f"tries {client._ATTEMPTS} times" in TEXT
    assert f"{TimeseriesServer.model_fields['max_requests'].default} by default" in TEXT
