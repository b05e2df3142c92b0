"""The pages about settings tell the truth."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from latigo.settings import Settings, load_settings
from latigo.settings.keys import key_names, sections_of
from latigo.settings.reference import example_file, settings_page

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "settings.md"
EXAMPLE = ROOT / "config.example.toml"
REMAKE = "run: python -m latigo.settings.reference docs/settings.md config.example.toml"

EVERY_KEY = {
    f"{section}.{name}"
    for section, field in Settings.model_fields.items()
    for kind in sections_of(field)
    for name in key_names(kind)
}


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == settings_page(), REMAKE


def test_the_example_is_up_to_date() -> None:
    assert EXAMPLE.read_text(encoding="utf-8") == example_file(), REMAKE


def test_both_are_made_by_one_command(tmp_path: Path) -> None:
    page, example = tmp_path / "page.md", tmp_path / "example.toml"

    subprocess.run([sys.executable, "-m", "latigo.settings.reference", page, example], check=True)

    assert page.read_text(encoding="utf-8") == settings_page()
    assert example.read_text(encoding="utf-8") == example_file()


def test_every_setting_is_on_the_page_and_no_other() -> None:
    rows = re.findall(r"^\| (`.*?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    documented = set()
    for row in rows:
        first, *others = re.findall(r"`([^`]+)`", row)
        documented |= {first, *(f"{first.partition('.')[0]}.{other}" for other in others)}
    assert documented == EVERY_KEY


def test_every_setting_has_a_description() -> None:
    for section, field in Settings.model_fields.items():
        assert field.description, section
        for kind in sections_of(field):
            for name, key in kind.model_fields.items():
                assert key.description, f"{section}.{name}"


def test_the_example_is_the_defaults() -> None:
    assert load_settings(EXAMPLE, {}) == load_settings(None, {})


def test_every_key_is_in_the_example() -> None:
    section, found = "", set()
    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        text = line.lstrip("# ")
        if header := re.match(r"\[+(\w+)\]", text):
            section = header[1]
        elif key := re.match(r"(\w+) = ", text):
            found.add(f"{section}.{key[1]}")
        found |= {f"{section}.{secret}" for secret in re.findall(r"\b(\w+_file)\.$", text)}

    assert found == EVERY_KEY


@pytest.mark.parametrize(
    "block", re.findall(r"^# Or: .*\n((?:#.*\n)+)", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE)
)
def test_every_other_kind_in_the_example_can_be_used(block: str, tmp_path: Path) -> None:
    file = tmp_path / "other.toml"

    file.write_text(re.sub(r"^# ", "", block, flags=re.MULTILINE))

    settings = load_settings(file, {})
    section, values = next(iter(tomllib.loads(file.read_text()).items()))
    chosen = getattr(settings, section)
    kind = values[0]["kind"] if isinstance(values, list) else values["kind"]
    assert (chosen[0] if isinstance(chosen, tuple) else chosen).kind == kind


def test_every_commented_key_in_the_example_can_be_used(tmp_path: Path) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    override = text[text.index("# [[override]]") :]
    file = tmp_path / "override.toml"

    file.write_text("\n".join(line.lstrip("# ") for line in override.splitlines() if "=" in line or "[[" in line))

    (made,) = load_settings(file, {}).override
    assert made.model_fields_set == {*("match", "interval", "delay", "horizon", "enabled", "on_revision", "recompute")}
