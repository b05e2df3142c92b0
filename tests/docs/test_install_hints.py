"""How to install Latigo is right wherever it is written: ``latigo`` on the public package index is another project."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from latigo.domain.errors import MissingExtra

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = set(PROJECT["optional-dependencies"])
FOLDERS = ("docs", "deploy", "src", "benchmarks", "chaos")
TEXTS = {".conf", ".example", ".md", ".py", ".rst", ".sh", ".toml", ".yaml"}
#: Latigo by its name alone, which is looked up on the index, as what is installed or with its extras.
BY_NAME = re.compile(
    r"""
    (?<![\w./-]) latigo \[                                              # latigo[influx]
    | \b (?:install|add) \b [^\n&;|]*? [\s"']                           # pip install latigo
      (?:gordo-)?latigo (?:\[[^\]\n]*\])? (?=$|["'\s`)]) (?!\s*@)
    """,
    re.VERBOSE | re.MULTILINE,
)
EXTRAS_OF_LATIGO = re.compile(r"(?:gordo-latigo|\.whl|install \"\.)\[([a-z,]+)\]")


def texts() -> Iterator[Path]:
    yield from (path for path in ROOT.iterdir() if path.is_file() and not path.name.startswith("requirements"))
    for folder in FOLDERS:
        yield from (path for path in (ROOT / folder).rglob("*") if path.suffix in TEXTS)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ('pip install "latigo[influx]"', True),
        ("pip install latigo", True),
        ("uv pip install gordo-latigo", True),
        ('pip install --upgrade "gordo-latigo[influx]" supervisor', True),
        ("uv add latigo", True),
        ('pip install ".[influx]"', False),
        ('pip install "./gordo_latigo-0.1.0-py3-none-any.whl[influx]"', False),
        ('pip install "gordo-latigo[influx] @ git+https://git.example/latigo.git"', False),
        ("RUN /opt/latigo/bin/pip install --no-deps .", False),
        ("latigo check", False),
    ],
)
def test_the_wrong_form_is_recognised(line: str, wrong: bool) -> None:
    assert bool(BY_NAME.search(line)) is wrong


def test_nothing_says_to_install_latigo_by_its_name_alone() -> None:
    wrong = {
        str(path.relative_to(ROOT)): found.group()
        for path in texts()
        if (found := BY_NAME.search(path.read_text(encoding="utf-8", errors="ignore")))
    }

    assert not wrong


def test_extras_that_are_named_exist() -> None:
    named = {
        extra
        for path in texts()
        for extras in EXTRAS_OF_LATIGO.findall(path.read_text(encoding="utf-8", errors="ignore"))
        for extra in extras.split(",")
    }

    assert named
    assert named <= EXTRAS


def test_the_hint_of_a_missing_extra_fits_every_way_to_install() -> None:
    hint = str(MissingExtra("--plot", "plots"))

    assert hint.startswith('--plot needs the extra "plots". ')
    assert 'pip install "PATH[plots]"' in hint
    assert f'pip install "{PROJECT["name"]}[plots] @ git+URL"' in hint
    assert not BY_NAME.search(hint)


def test_the_wheel_in_the_readme_has_the_name_that_a_build_gives_it() -> None:
    wheel = f"{PROJECT['name'].replace('-', '_')}-{PROJECT['version']}-py3-none-any.whl"

    assert wheel in (ROOT / "README.md").read_text(encoding="utf-8")
