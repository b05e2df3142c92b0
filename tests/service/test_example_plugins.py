"""The example of a package of plug-ins: installed as anybody would, it passes its tests and serves a plant."""

import json
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from latigo.domain.windows import to_ns
from tests.support.example_plugins import EXAMPLE, ExampleEnvironment
from tests.support.process import PROJECT, RESOLUTION, a_project, latigo, serving
from tests.support.sandbox import Sandbox

DONE, CONFIGURATION = 0, 78
KIND = "tilstandomatic"
SCHEMA = EXAMPLE / "src" / "latigo_tilstandomatic" / "schema.sql"


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> ExampleEnvironment:
    return ExampleEnvironment(tmp_path_factory.mktemp("example"))


def plant(sandbox: Sandbox) -> Path:
    """The file of a plant with readings of every tag, from before the horizon until long after the test."""
    path = sandbox.folder / "plant.sqlite"
    models = a_project(sandbox.models).models
    begin = datetime.now(UTC) - timedelta(minutes=10)
    with closing(sqlite3.connect(path)) as file, file:
        file.executescript(SCHEMA.read_text(encoding="utf-8"))
        file.executemany("INSERT INTO models VALUES (?, ?)", ((PROJECT, model.name) for model in models))
        for tag in {tag for model in models for tag in model.tags}:
            file.execute("INSERT INTO sensors VALUES (?)", (tag,))
            times = (to_ns(begin + timedelta(seconds=second)) for second in range(3600))
            file.executemany("INSERT INTO readings VALUES (?, ?, ?)", ((tag, time, time % 7 + 0.5) for time in times))
    return path


def configuration(sandbox: Sandbox, **options: Any) -> Path:
    table = {"kind": KIND, "options": options}
    return sandbox.config(sensors=table, predictions=[{**table, "required": True}])


def test_the_example_passes_its_own_tests(example: ExampleEnvironment):
    summary = example.run_tests()

    assert re.search(r"^\d+ passed in ", summary, re.MULTILINE), summary


async def test_its_plugins_are_listed(example: ExampleEnvironment, tmp_path: Path):
    code, output, errors = await latigo("plugins", "--json", folder=tmp_path, python=example.python)

    assert (code, errors) == (DONE, "")
    listed = {plugin["group"]: plugin for plugin in json.loads(output)}
    assert set(listed) == {"latigo.sensors", "latigo.predictions"}
    for group, plugin in listed.items():
        assert plugin == {
            "name": KIND,
            "group": group,
            "package": "latigo-tilstandomatic",
            "version": "1.0.0",
            "factory": f"latigo_tilstandomatic:open_{group.removeprefix('latigo.')}",
            "options": ["path", "timeout_s"],
            "problem": "",
        }


async def test_check_reaches_the_plant_and_names_a_wrong_option(example: ExampleEnvironment, sandbox: Sandbox):
    async def check(**options: Any) -> tuple[int, dict[str, Any]]:
        config = configuration(sandbox, **options)
        code, output, _ = await latigo(
            "check", "--json", "--config", str(config), folder=sandbox.folder, python=example.python
        )
        return code, {each["system"]: each for each in json.loads(output)}

    right, wrong = await check(path=str(plant(sandbox))), await check(path="plant.sqlite", timeout=3)

    assert (right[0], wrong[0]) == (DONE, CONFIGURATION)
    assert right[1]["sensors"]["answer"] == f"sensors/{KIND}, {sandbox.models * 2} tags"
    assert right[1][f"sink/{KIND}"]["answer"] == "can be read"
    for system, table in (("sensors", "sensors"), (f"sink/{KIND}", "predictions")):
        problem = f"{table}.options.timeout: unknown key; the nearest known one is {table}.options.timeout_s"
        assert problem in wrong[1][system]["answer"]


async def test_a_plant_is_served_from_its_readings_to_its_predictions(example: ExampleEnvironment, sandbox: Sandbox):
    path = plant(sandbox)

    async with serving(configuration(sandbox, path=str(path)), python=example.python) as service:
        until = await sandbox.whole(service)
        assert await service.stop() == DONE

    span = timedelta(minutes=2)
    with closing(sqlite3.connect(path)) as file:
        rows = file.execute(
            "SELECT project, model, count(DISTINCT time) FROM predictions WHERE time >= ? AND time < ? GROUP BY 1, 2",
            (to_ns(until - span), to_ns(until)),
        ).fetchall()
    models = a_project(sandbox.models).models
    assert sorted(rows) == sorted((PROJECT, model.name, span // RESOLUTION) for model in models)
