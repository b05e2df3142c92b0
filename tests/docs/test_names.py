"""Commands, events, settings keys, metrics and views that pages quote are those of the program."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from typer.main import get_command

from latigo.cli.main import cli
from latigo.runtime.clock import SystemClock
from latigo.telemetry.events import EVENTS
from latigo.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "latigo"
PAGES = [
    page
    for page in sorted((*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")))
    if page.name not in {"CHANGELOG.md", "settings.md"}  # the one names what was, the other is generated
]
#: Keys of the settings; those that exist in several kinds of a section stand once.
KEYS = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")))
METRICS = {
    f"{metric._name}{'_total' if metric._type == 'counter' else ''}"
    for metric in vars(Metrics(CollectorRegistry(), SystemClock())).values()
    if isinstance(metric, MetricWrapperBase)
}
VIEWS = set(
    re.findall(
        r"CREATE (?:OR REPLACE )?VIEW (v_\w+)",
        "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src/latigo/postgres/migrations").glob("*.sql")),
    )
)
OTHERS = re.compile(
    r"(?:latigo|time)\.\w+|\w+\.(?:py|sql|md|toml|conf|yaml|txt|lock|html|parquet)"
)  # modules and files


def quoted(page: Path) -> set[str]:
    """The code spans of a page; its blocks have tests of their own."""
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    if page.name == "from-equinor-latigo.md":  # its tables name what there was elsewhere, then what there is here
        text = re.sub(r"^\| (?:\\\||[^|\n])* \|", "|", text, flags=re.MULTILINE)
    return {" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text)}


def unknown_commands(spans: set[str]) -> list[str]:
    wrong = []
    for span in spans:
        if not span.startswith("latigo "):
            continue
        command: Any = get_command(cli)
        for word in span.split()[1:]:
            if word.startswith("--"):
                if default := getattr(command, "default", ""):
                    command = command.commands[default]
                if word not in {option for each in command.params for option in each.opts} | {"--help"}:
                    wrong.append(span)
            elif hasattr(command, "commands"):
                if word not in command.commands:
                    wrong.append(span)
                    break
                command = command.commands[word]
    return wrong


def unknown_names(spans: set[str]) -> list[str]:
    """Names that look like an event or key, a metric or a view, and are none."""
    wrong = [name for name in spans if re.fullmatch(r"latigo_\w+", name) and name not in METRICS]
    wrong += [name for name in spans if re.fullmatch(r"v_\w+", name) and name not in VIEWS]
    dotted = [name for name in spans if re.fullmatch(r"[a-z_]+\.[a-z_]+", name) and not OTHERS.fullmatch(name)]
    return wrong + [name for name in dotted if name not in EVENTS and name not in KEYS]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_names_that_a_page_quotes_exist(page: Path) -> None:
    spans = quoted(page)

    assert unknown_commands(spans) == []
    assert unknown_names(spans) == []


def unknown_code(spans: set[str]) -> list[str]:
    """Paths that lead nowhere, and identifiers of two words or more that stand nowhere in the code."""
    paths = [
        span.split()[0].rstrip("/") for span in spans if re.fullmatch(r"[\w./-]+\.(?:py|sql)|(?:tests|src)/\S+", span)
    ]
    wrong = [path for path in paths if not any((folder / path).exists() for folder in (ROOT, SOURCE)) and "/" in path]
    identifiers = [span for span in spans if re.fullmatch(r"[a-z]+(?:_[a-z]+)+", span)]
    return wrong + [name for name in identifiers if name not in words_of_code()]


@cache
def words_of_code() -> set[str]:
    """Everything that can define a name which a page quotes."""
    folders = [ROOT / "src", ROOT / "tests", ROOT / "benchmarks"]
    return {
        word
        for folder in folders
        for kind in ("*.py", "*.sql")
        for path in folder.rglob(kind)
        for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_and_identifiers_that_a_page_quotes_exist(page: Path) -> None:
    assert unknown_code(quoted(page)) == []


def test_files_and_identifiers_that_do_not_exist_are_noticed() -> None:
    wrong = {"tests/unit/test_nothing.py", "ledger/sql/nothing.sql", "forget" + "_nothing_at_all"}

    assert set(unknown_code(wrong)) == wrong
    assert (
        unknown_code({"tests/docs/test_names.py", "runtime/clock.py", "model_holes", "tests/unit/", "pump-001"}) == []
    )


def test_wrong_names_are_noticed() -> None:
    wrong = {"latigo statuss", "latigo retry --al", "queue.away", "task_queue.balence", "latigo_tasks", "v_nothing"}

    assert {*unknown_commands(wrong), *unknown_names(wrong)} == wrong
    assert unknown_commands({"latigo models accept-loss PROJECT", "latigo queue reset --yes"}) == []
    assert unknown_names({"queue.unreachable", "task_queue.balance", "latigo_tasks_total", "v_tasks"}) == []
