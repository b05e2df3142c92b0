"""A browser, and the plants that its tests look at, started once: one that runs, and others that stand still."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

import orjson
import pytest
from playwright.sync_api import Browser

from tests.support.browser import Visitor, open_browser
from tests.support.populated import Populated, populated_plant
from tests.support.process import environment
from tests.support.waiting import wait_until

LARGE, SMALL = 9000, 20


class Demo(NamedTuple):
    """A demo that runs."""

    url: str
    said: str  #: up to its address and token


def wait_for_predictions(url: str) -> None:
    """Wait until a model has predictions."""

    def there_are_some() -> bool:
        with suppress(OSError), urlopen(f"{url}/api/v1/models?limit=1", timeout=10) as response:
            return any(model["covered_until"] for model in orjson.loads(response.read())["items"])
        return False

    wait_until(there_are_some, within=240, every=0.2, what="predictions")


@pytest.fixture(scope="package")
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    """The system's browser."""
    request.getfixturevalue("ledger_template")  # runs a loop in this thread, where playwright has one from here on
    with open_browser() as opened:
        yield opened


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[[str], Visitor]]:
    """Visits a server; at the end, no page may have said or refused anything."""
    visitors: list[Visitor] = []

    def go(url: str) -> Visitor:
        visitors.append(Visitor(browser, url))
        return visitors[-1]

    yield go
    for visitor in visitors:
        visitor.leave()


@pytest.fixture(scope="package")
def large(postgres_server: str, ledger_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Populated]:
    """9000 models in ten projects, and some with names that mean harm."""
    with populated_plant(postgres_server, ledger_template, tmp_path_factory.mktemp("large"), LARGE) as plant:
        yield plant


@pytest.fixture(scope="package")
def small(postgres_server: str, ledger_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Populated]:
    """Twenty models in ten projects, and the names that mean harm."""
    with populated_plant(postgres_server, ledger_template, tmp_path_factory.mktemp("small"), SMALL) as plant:
        yield plant


@pytest.fixture(scope="package")
def empty(postgres_server: str, ledger_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Populated]:
    """A service that knows no model."""
    with populated_plant(postgres_server, ledger_template, tmp_path_factory.mktemp("empty"), 0) as plant:
        yield plant


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The address of `latigo demo`: 20 models, a sandbox server of models, and all of Latigo."""
    folder: Path = tmp_path_factory.mktemp("demo")
    process = subprocess.Popen(
        (sys.executable, "-m", "latigo", "demo", "--models", "20", "--port", "0"),
        cwd=folder,
        env={**environment(), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    said = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if found := re.search(r"(http://[^/\s]+)/", line):
                break
        else:
            raise AssertionError("".join(said))
        said += [process.stdout.readline()]
        wait_for_predictions(found[1])
        yield Demo(found[1], "".join(said))
    finally:
        os.kill(process.pid, signal.SIGINT)
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
