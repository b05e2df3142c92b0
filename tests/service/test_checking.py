"""`latigo check`: every system is checked by itself, every problem is reported, and nothing is changed."""

import asyncio
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from latigo.postgres.revisions import newest_revision
from latigo.postgres.schema import current_revision
from tests.support.build import CONNECT_TIMEOUT
from tests.support.late_sensors import KIND
from tests.support.outside import looking_at
from tests.support.postgres import execute
from tests.support.process import PROJECT, Tables, a_project, latigo, write_config
from tests.support.sandbox import Sandbox

DONE, FAILED, CONFIGURATION = 0, 1, 78
GORDO = f"gordo/{PROJECT}"


async def check(config: Path) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the exit code, and the result of each system."""
    code, output, errors = await latigo("check", "--json", "--config", str(config), folder=config.parent)
    assert output, errors
    return code, {each["system"]: each for each in json.loads(output)}


def failed(result: dict[str, dict[str, Any]]) -> list[str]:
    return [name for name, each in result.items() if not each["ok"]]


async def test_an_unavailable_system_is_named_and_hides_no_other(sandbox: Sandbox):
    sensors = {"kind": KIND, "options": {"sign": str(sandbox.folder / "never")}}
    influx = {"kind": "influx", "url": "http://127.0.0.1:9", "name": "history"}
    nowhere = {"kind": "postgres", "url": f"postgresql://x@/x?host={sandbox.folder}"}
    predictions = [{"kind": "postgres"}, influx]

    one, all_of_ours = await asyncio.gather(
        check(sandbox.config(sensors=sensors)), check(sandbox.config(ledger=nowhere, predictions=predictions))
    )

    assert one[0] == all_of_ours[0] == FAILED
    assert failed(one[1]) == ["sensors"]
    assert one[1]["sensors"]["answer"] == "the historian is closed on Sundays"
    assert failed(all_of_ours[1]) == ["ledger", "sink/postgres", "sink/history"]
    assert "ledger's database" in all_of_ours[1]["sink/postgres"]["answer"]
    assert all_of_ours[1][GORDO]["answer"].endswith(f"{sandbox.models} models")


async def test_each_of_several_model_servers_is_checked_by_itself(sandbox: Sandbox):
    code, checks = await check(sandbox.config(models={"url": [sandbox.gordo.url, "http://127.0.0.1:9"]}))

    assert (code, failed(checks)) == (FAILED, ["gordo-server/127.0.0.1:9"])
    there = sandbox.gordo.url.replace("http://", "gordo-server/")
    assert checks[GORDO]["answer"] == checks[there]["answer"]


async def test_what_is_wrong_in_the_configuration_of_one_system_hides_no_other(sandbox: Sandbox):
    wrong = {"kind": "python:tests.support.late_sensors:no_such_factory"}

    code, checks = await check(sandbox.config(sensors=wrong))

    assert code == CONFIGURATION
    assert failed(checks) == ["sensors"]
    assert "no_such_factory" in checks["sensors"]["answer"]
    assert checks["ledger"]["answer"].startswith("schema up to date, clock ")


async def test_a_schema_of_another_version_is_reported_and_left_as_it_is(sandbox: Sandbox):
    async def checked_ledger(revision: str) -> tuple[int, str]:
        await execute(sandbox.ledger.url, f"UPDATE alembic_version SET version_num = '{revision}'")
        code, checks = await check(sandbox.config())
        assert await current_revision(sandbox.ledger.url, connect_timeout=CONNECT_TIMEOUT) == revision
        return code, checks["ledger"]["answer"]

    older, newer, too_new = await checked_ledger("0003"), await checked_ledger("0999"), await checked_ledger("1001")

    assert (older[0], newer[0], too_new[0]) == (DONE, DONE, CONFIGURATION)
    assert f"schema 0003: latigo serve or latigo migrate migrates it to {newest_revision()}" in older[1]
    assert "schema 0999 of a newer Latigo" in newer[1]
    assert "update this program" in too_new[1]


async def test_a_database_without_a_schema_is_well_and_stays_empty(sandbox: Sandbox, database_url: str):
    code, checks = await check(sandbox.config(ledger={"kind": "postgres", "url": database_url}))
    async with looking_at(database_url) as ledger:
        tables = await ledger.value("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace")

    assert (code, failed(checks)) == (DONE, [])
    assert "no schema yet" in checks["ledger"]["answer"]
    assert checks[GORDO]["answer"].endswith(f"{sandbox.models} models")
    assert tables == 0


@pytest.fixture
def home() -> Iterator[Path]:
    """Somebody's home, closed to others; of root, one that the account of the server can pass."""
    with tempfile.TemporaryDirectory(prefix="latigo-home-") as folder:
        Path(folder).chmod(_mode_of_home())
        yield Path(folder)


def _mode_of_home() -> int:
    return 0o711 if os.geteuid() == 0 else 0o700


def is_untouched(home: Path) -> bool:
    return not list(home.iterdir()) and stat.S_IMODE(home.stat().st_mode) == _mode_of_home()


async def test_a_ledger_of_our_own_that_is_not_there_yet_is_not_made(sandbox: Sandbox, home: Path):
    code, checks = await check(sandbox.config(ledger={"kind": "embedded", "data_dir": str(home / "share" / "ledger")}))

    assert (code, failed(checks)) == (DONE, [])
    assert f"latigo serve creates it in {home}/share/ledger" in checks["ledger"]["answer"]
    assert is_untouched(home)


async def test_a_ledger_of_our_own_that_is_there_is_reached(sandbox: Sandbox, server_folder: Path):
    config = sandbox.config(ledger={"kind": "embedded", "data_dir": str(server_folder)})
    await latigo("migrate", "--config", str(config), folder=sandbox.folder)

    code, checks = await check(config)

    assert (code, failed(checks)) == (DONE, [])
    assert checks["ledger"]["answer"].startswith("schema up to date")


async def test_a_folder_that_cannot_hold_an_embedded_ledger_is_reported(tmp_path: Path):
    (tmp_path / "file").write_text("")
    config = write_config(tmp_path, ledger={"kind": "embedded", "data_dir": str(tmp_path / "file" / "ledger")})

    code, checks = await check(config)

    assert code == CONFIGURATION
    assert f"nothing can be written to {tmp_path}/file" in checks["ledger"]["answer"]


@pytest.mark.parametrize("options", [(), ("--json",)])
async def test_the_state_is_unknown_while_the_ledger_is_unavailable(tmp_path: Path, options: tuple[str, ...]):
    nowhere = {"kind": "postgres", "url": f"postgresql://x@/x?host={tmp_path}"}
    config = str(write_config(tmp_path, ledger=nowhere))

    code, output, errors = await latigo("status", *options, "--config", config, folder=tmp_path)

    assert code == FAILED
    if options:
        status = json.loads(output)
        assert (status["state"], status["healthy"]) == ("unknown", False)
        assert errors.strip() == f"latigo: {status['error']}"
    else:
        assert output.rpartition(", ")[2].strip() == "unknown"
    assert errors.startswith("latigo: ledger: ")


async def test_a_sample_of_the_readings_is_looked_at_with_the_tags_that_models_need(sandbox: Sandbox, tmp_path: Path):
    needed = a_project(sandbox.models).models[0].tags[0]
    (tmp_path / "a.csv").write_text(f"time,{needed},other\n2003-01-01 00:00,1.5,2\n2003-01-02 00:00,1.5,2\n")
    files = {"kind": "files", "path": str(tmp_path)}

    code, checks = await check(sandbox.config(sensors=files))

    details = checks["sensors"]["details"]
    assert (code, failed(checks)) == (DONE, [])
    assert details[:2] == [
        f"{needed}: readings from 2003-01-01 00:00 to 2003-01-02 00:00 UTC; 2 read",
        f"{needed}: its last time is long ago, 2003-01-02 00:00 UTC: is the format of the times right?",
    ]
    assert "tags that models need are not known to the source" in details[2]


async def test_a_source_without_any_tag_that_models_need_fails(sandbox: Sandbox, tmp_path: Path):
    (tmp_path / "a.csv").write_text("time,other\n2003-01-01 00:00,1.5\n")

    code, checks = await check(sandbox.config(sensors={"kind": "files", "path": str(tmp_path)}))

    assert (code, failed(checks)) == (FAILED, ["sensors"])
    assert checks["sensors"]["answer"].startswith("sensors/files, 1 tags")
    assert checks["sensors"]["answer"].endswith(", but none of the tags that models need")
    assert checks["sensors"]["details"][0] == "other: readings from 2003-01-01 00:00 to 2003-01-01 00:00 UTC; 1 read"


async def test_the_readings_are_looked_at_without_the_model_server(sandbox: Sandbox, tmp_path: Path):
    (tmp_path / "a.csv").write_text("time,A\n2003-01-01 00:00,1.5\n")

    code, checks = await check(
        sandbox.config(sensors={"kind": "files", "path": str(tmp_path)}, models={"url": "http://127.0.0.1:9"})
    )

    assert (code, failed(checks)) == (FAILED, [GORDO])
    assert checks["sensors"]["details"][0].startswith("A: readings from 2003-01-01 00:00")


async def test_each_of_several_sources_is_checked_by_itself_with_the_tags_that_are_read_from_it(
    sandbox: Sandbox, tmp_path: Path
):
    first, second = a_project(sandbox.models).models[0].tags
    (tmp_path / "a.csv").write_text(f"time,{first}\n2003-01-01 00:00,1.5\n")
    sources: Tables = [
        {"kind": "files", "name": "lab", "path": str(tmp_path), "tags": [first]},
        {"kind": "influx", "url": "http://127.0.0.1:9", "tags": ["none of them"]},
        {"kind": "files", "name": "gone", "path": str(tmp_path / "nowhere"), "tags": ["neither"]},
        {"kind": "files", "name": "misnamed", "path": str(tmp_path), "tags": ["1903-*"]},
        {"kind": "simulated", "name": "rest"},
    ]

    code, checks = await check(sandbox.config(sources=sources))

    assert (code, failed(checks)) == (CONFIGURATION, ["sensors/influx", "sensors/gone"])
    assert "nowhere" in checks["sensors/gone"]["answer"]
    assert checks["sensors/lab"]["answer"].startswith("sensors/lab, 1 tags")
    assert checks["sensors/lab"]["details"][0].startswith(f"{first}: readings from 2003-01-01")
    assert any(line.startswith(f"{second}: ") for line in checks["sensors/rest"]["details"])
    assert not any(first in line for line in checks["sensors/rest"]["details"])
    of_models, of_its_own = checks["sensors/misnamed"]["details"]
    assert of_models.endswith(" tags of models is read from it (sensors[3].tags)")
    assert of_its_own == "none of its 1 tags is read from it (sensors[3].tags)"


async def test_a_plugin_with_the_circuit_of_another_source_is_refused_as_at_start(sandbox: Sandbox, tmp_path: Path):
    (tmp_path / "open").touch()
    sources: Tables = [
        {"kind": KIND, "options": {"sign": str(tmp_path / "open")}, "tags": ["A*"]},
        {"kind": "simulated"},
    ]

    code, checks = await check(sandbox.config(sources=sources))

    assert (code, failed(checks)) == (CONFIGURATION, ["sensors"])
    assert "two sources have the circuit sensors/simulated" in checks["sensors"]["answer"]
