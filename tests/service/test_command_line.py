"""Every command as people and scripts call it: what it answers, and its exit code."""

import asyncio
import json
import os
import re
import signal
import sys
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pyarrow.csv
import pyarrow.parquet
import pytest
import pytest_asyncio
import typer.main
from typer.core import TyperGroup, TyperOption
from typer.testing import CliRunner

from latigo.cli.main import cli
from latigo.sandbox.gordo import Scope
from latigo.sandbox.gordo.controls import PREDICTIONS, CallKind
from tests.support.influxd import require_influxd
from tests.support.outside import looking_at
from tests.support.ports import free_port
from tests.support.postgres import fresh_database
from tests.support.process import (
    PROJECT,
    SLOT,
    STARTS_WITHIN,
    Tables,
    environment,
    latigo,
    newest_due,
    serving,
    write_config,
)
from tests.support.sandbox import Sandbox, open_sandbox
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

DONE, FAILED, USAGE, UNHEALTHY, CONFIGURATION = 0, 1, 2, 3, 78
PASSWORD = "correct-horse-battery"
PUMP, COMPRESSOR, SEPARATOR = "pump-001", "compressor-002", "separator-003"


@dataclass
class Plant:
    """A sandbox and the configuration of the service that works, or has worked, on it."""

    sandbox: Sandbox
    config: Path

    async def ask(self, *arguments: str) -> tuple[int, Any]:
        """Run a command with ``--json``: exit code, answer."""
        code, output, errors = await self.run(*arguments, "--json")
        assert output, errors
        return code, json.loads(output)

    async def run(self, *arguments: str) -> tuple[int, str, str]:
        return await latigo(*arguments, "--config", str(self.config), folder=self.sandbox.folder)


@asynccontextmanager
async def a_plant(server: str, template: str, folder: Path, **sections: Any) -> AsyncIterator[Plant]:
    async with fresh_database(server, template=template) as url, open_sandbox(url, folder, models=3) as sandbox:
        yield Plant(sandbox, sandbox.config(**sections))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    postgres_server: str, ledger_template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Plant]:
    """A service that has covered two of three models; the third is excluded by its settings."""
    folder = tmp_path_factory.mktemp("running")
    models = {"exclude": [f"{PROJECT}/separator-*"], "refresh": "1s"}
    async with (
        a_plant(postgres_server, ledger_template, folder, models=models) as plant,
        serving(plant.config) as service,
    ):
        plant.sandbox.models = 2
        await plant.sandbox.whole(service)
        yield plant
        assert await service.stop() == 0


@pytest_asyncio.fixture(loop_scope="module")
async def stopped(postgres_server: str, ledger_template: str, tmp_path: Path) -> AsyncIterator[Plant]:
    """What a service has left behind that was stopped: all is covered, but for one model that is parked."""
    async with a_plant(postgres_server, ledger_template, tmp_path, executor={"max_attempts": 1}) as plant:
        plant.sandbox.gordo.controls.server_error(Scope(model=PUMP, kinds=PREDICTIONS))
        async with serving(plant.config) as service:
            await plant.sandbox.whole(service)
            assert await service.stop() == DONE
        yield plant


# --- how it is doing -------------------------------------------------------------------------------------------------


async def test_status_is_0_while_every_model_is_fresh(running: Plant):
    answers: list[Any] = []

    async def nothing_is_due() -> bool:
        answers.append(await asyncio.gather(running.ask("status"), running.run("status")))
        (code, result), (text_code, *_) = answers[-1]
        return bool(code == text_code == DONE and result["backlog"]["slots"] == 0)

    await eventually(nothing_is_due, what="a moment between two slots, in which it is healthy")

    (_, result), (_, text, _) = answers[-1]
    assert result["healthy"]
    assert (result["stale_models"], result["alarms"], result["backlog"]["slots"]) == (0, [], 0)
    assert [project["active"] for project in result["projects"]] == [2]
    assert re.match(r"Latigo \S+, healthy\n", text)


async def test_status_is_3_and_says_so_when_nothing_is_running(
    postgres_server: str, ledger_template: str, tmp_path: Path
):
    async with a_plant(postgres_server, ledger_template, tmp_path) as plant:
        code, report = await plant.ask("status")

    assert code == UNHEALTHY
    assert report["alarms"] == ["no scheduler holds the lease to plan", "no executor is running"]


async def test_status_is_3_and_names_the_cause_when_no_model_can_be_predicted(
    postgres_server: str, ledger_template: str, tmp_path: Path
):
    (tmp_path / "other.csv").write_text("time,OTHER\n2026-01-01T00:00:00Z,1\n")
    files = {"kind": "files", "path": str(tmp_path / "other.csv")}
    async with (
        a_plant(postgres_server, ledger_template, tmp_path, sensors=files) as plant,
        serving(plant.config) as service,
    ):

        async def all_are_parked() -> bool:
            return len(await plant.sandbox.ledger.parked()) == 3

        await service.until(all_are_parked, what="all models are parked")
        (code, report), (text_code, text, _) = await asyncio.gather(plant.ask("status"), plant.run("status"))
        assert await service.stop() == DONE

    assert (code, text_code) == (UNHEALTHY, UNHEALTHY)
    (alarm,) = [each for each in report["alarms"] if PROJECT in each]
    assert alarm.startswith(f"3 models of {PROJECT} get no predictions: no source has ")
    assert alarm.endswith(f" (latigo failures --project {PROJECT} --reason unknown_sensor)")
    assert f"  ! {alarm}\n" in text
    assert datetime.fromisoformat(report["now"]).tzinfo is UTC
    assert report["now"].endswith("Z")


async def test_failures_are_listed_and_once_retried_the_plan_shows_what_they_cost(stopped: Plant):
    ledger = stopped.sandbox.ledger
    (_, planned), (code, parked), (_, of_another_cause), (usage, _, said), (answered, _, why) = await asyncio.gather(
        stopped.ask("plan"),
        stopped.ask("failures"),
        stopped.ask("failures", "--reason", "crashed"),
        stopped.run("retry"),
        stopped.run("retry", "--all"),
    )

    retried, no_longer = await stopped.ask("retry", "--project", PROJECT, "--model", PUMP)
    tasks = await ledger.fetch("SELECT * FROM v_tasks ORDER BY id")
    (_, afterwards), (_, result), (_, part), (_, text, _) = await asyncio.gather(
        stopped.ask("failures"),
        stopped.ask("plan"),
        stopped.ask("plan", "--project", PROJECT, "--model", PUMP, "--from", "-1h", "--to", "-3m"),
        stopped.run("plan"),
    )
    (request,) = await ledger.fetch("SELECT kind, who, result FROM request")

    assert code == DONE
    assert {(each["model"], each["state"], each["reason"]) for each in parked} == {(PUMP, "parked", "attempts")}
    assert of_another_cause == []
    assert usage == USAGE
    assert "--all" in said
    assert retried == DONE
    assert (answered, "and there is no terminal to ask on: add --yes" in why) == (USAGE, True)
    assert {(each["model"], each["reason"]) for each in no_longer} == {(PUMP, "attempts")}
    assert afterwards == []
    assert (request["kind"], request["who"] != "") == ("retry", True)
    # Slots become due while the commands run, also of the other models; those are a few and this is the whole of one.
    assert not any(window["slots"] >= 8 for window in planned["windows"])
    (window,) = [window for window in result["windows"] if window["slots"] >= 8]
    assert (window["model"], window["calls"]) == (PUMP, -(-int(window["slots"]) // 4))
    (total,) = result["projects"]
    assert total["slots"] == sum(each["slots"] for each in result["windows"])
    assert {each["model"] for each in part["windows"]} == {PUMP}
    assert sum(each["slots"] for each in part["windows"]) < window["slots"]
    assert PUMP in text
    assert await ledger.fetch("SELECT * FROM v_tasks ORDER BY id") == tasks


# --- models and sensors ----------------------------------------------------------------------------------------------


async def test_models_list_and_show_print_what_server_and_ledger_know(running: Plant):
    (_, listed), (code, shown), (_, text, _) = await asyncio.gather(
        running.ask("models", "list", "--project", PROJECT),
        running.ask("models", "show", f"{PROJECT}/{PUMP}"),
        running.run("models", "show", f"{PROJECT}/{PUMP}"),
    )

    assert {(each["model"], each["state"]) for each in listed} >= {(PUMP, "active"), (COMPRESSOR, "active")}
    assert code == DONE
    assert shown["exists"]
    assert shown["spec"]["ref"] == f"{PROJECT}/{PUMP}"
    assert shown["ledger"]["model"] == PUMP
    assert len(shown["tags"]) == 2
    assert all(tag in text for tag in shown["tags"])


async def test_a_model_is_predicted_once_registered_and_no_more_once_unregistered(running: Plant):
    ledger, name = running.sandbox.ledger, f"{PROJECT}/{SEPARATOR}"

    code, text, _ = await running.run("models", "register", name)
    stored = "SELECT count(*) FROM v_tasks WHERE model = $1 AND state = 'stored'"
    await eventually(lambda: ledger.value(stored, SEPARATOR), what="it is predicted")
    await running.run("models", "unregister", name)
    # A list that the service read just before that may bring it back until the next one.
    left = "SELECT count(*) FROM v_models WHERE model = $1 AND state = 'unregistered'"
    await eventually(lambda: ledger.value(left, SEPARATOR), what="it is predicted no more")
    coverage = (await ledger.covered())[SEPARATOR]
    assert (code, "is registered" in text) == (DONE, True)
    assert coverage


async def test_sensors_lists_tags_and_says_whether_one_exists(tmp_path: Path):
    (tmp_path / "plant.csv").write_text("time,A,B\n2026-01-01T00:00:00Z,1,2\n")
    config = write_config(tmp_path, sensors={"kind": "files", "path": str(tmp_path / "plant.csv")})
    (_, listed, _), (_, first, cut), (known, text, _), (unknown, answer, why) = await asyncio.gather(
        latigo("sensors", "list", "--config", str(config), folder=tmp_path),
        latigo("sensors", "list", "--limit", "1", "--json", "--config", str(config), folder=tmp_path),
        latigo("sensors", "exists", "A", "--config", str(config), folder=tmp_path),
        latigo("sensors", "exists", "C", "--json", "--config", str(config), folder=tmp_path),
    )

    assert listed.splitlines() == ["A", "B"]
    assert (json.loads(first), cut) == ({"items": ["A"], "total": 2}, "Showing 1 of 2; --limit 0 shows all\n")
    assert (known, text) == (DONE, "A: known to sensors/files\n")
    assert (unknown, json.loads(answer)) == (USAGE, {"name": "C", "exists": False, "source": "sensors/files"})
    assert why == "latigo: C: unknown sensor; the nearest known one is A; sensors/files does not know it\n"


async def test_with_several_sources_the_commands_name_the_source_of_each_sensor(tmp_path: Path):
    for name, tags in (("lab", "A,B"), ("plant", "A,C")):
        (tmp_path / f"{name}.csv").write_text(f"time,{tags}\n2026-01-01T00:00:00Z,1,2\n")
    sources: Tables = [
        {"kind": "files", "name": "lab", "tags": ["B"], "path": str(tmp_path / "lab.csv")},
        {"kind": "influx", "url": "http://127.0.0.1:9", "tags": ["D*"]},
        {"kind": "files", "name": "plant", "path": str(tmp_path / "plant.csv")},
    ]
    config = write_config(tmp_path, sources=sources)
    show = ("--from", "2026-01-01", "--to", "2026-01-02", "--json")
    (
        (partly, listed, why),
        (_, as_json, _),
        (_, known, _),
        (unknown, _, _),
        (_, shown, _),
        *of_one,
    ) = await asyncio.gather(
        latigo("sensors", "list", "--config", str(config), folder=tmp_path),
        latigo("sensors", "list", "--json", "--limit", "1", "--config", str(config), folder=tmp_path),
        latigo("sensors", "exists", "A", "--config", str(config), folder=tmp_path),
        latigo("sensors", "exists", "E", "--config", str(config), folder=tmp_path),
        latigo("sensors", "show", "B", *show, "--config", str(config), folder=tmp_path),
        latigo("sensors", "exists", "D1", "--config", str(config), folder=tmp_path),
        latigo("sensors", "show", "D1", "--config", str(config), folder=tmp_path),
        latigo("sensors", "show", "E", "--config", str(config), folder=tmp_path),
    )

    assert (partly, listed.splitlines()) == (FAILED, ["A\tsensors/plant", "B\tsensors/lab", "C\tsensors/plant"])
    assert why.startswith("latigo: sensors/influx: InfluxDB, reading: ")
    assert json.loads(as_json) == {"items": [{"name": "A", "source": "sensors/plant"}], "total": 3}
    assert known == "A: known to sensors/plant\n"
    assert unknown == USAGE
    assert (json.loads(shown)["source"], json.loads(shown)["last_value"]) == ("sensors/lab", 2.0)
    for code, _, unavailable in of_one[:2]:
        assert (code, unavailable[:42]) == (FAILED, "latigo: sensors/influx: InfluxDB, reading:")
    assert of_one[2][0] == USAGE
    assert of_one[2][2].startswith("latigo: E: unknown sensor; the others cannot be listed: ")


async def test_sensors_show_has_the_request_and_the_readings_of_one_sensor(tmp_path: Path):
    (tmp_path / "plant.csv").write_text("time,A\n2026-01-01T00:00:00Z,1\n2026-01-01T00:10:00Z,2.5\n")
    config = write_config(tmp_path, sensors={"kind": "files", "path": str(tmp_path / "plant.csv")})
    show = ("sensors", "show", "--config", str(config), "--from", "2026-01-01T00:00:00Z", "--json")
    (code, output, _), (later, empty, _), (unknown, _, why) = await asyncio.gather(
        latigo(*show, "A", "--to", "2026-01-01T01:00:00Z", folder=tmp_path),
        latigo(*show[:-3], "--from", "2026-01-02", "--to", "2026-01-03", "--json", "A", folder=tmp_path),
        latigo(*show, "C", "--to", "2026-01-01T01:00:00Z", folder=tmp_path),
    )

    shown = json.loads(output)
    assert (code, later, unknown) == (DONE, UNHEALTHY, USAGE)
    assert "plant.csv" in shown["request"]
    assert (shown["source"], shown["readings"], shown["last_value"]) == ("sensors/files", 2, 2.5)
    assert (shown["first"], shown["last"]) == ("2026-01-01T00:00:00Z", "2026-01-01T00:10:00Z")
    assert json.loads(empty)["readings"] == 0
    assert "does not know" in why


async def test_accept_loss_of_a_project_that_is_not_quarantined_is_3(running: Plant):
    code, text, _ = await running.run("models", "accept-loss", PROJECT)

    assert code == UNHEALTHY
    assert text == f"The model list of {PROJECT} is not quarantined\n"


NEAREST = f"the nearest known one is {PROJECT}"
SHOWN = f"{PROJECT}/{PUMP}"


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        *(
            (f"{name} -p plnt-a", f"plnt-a: unknown project; {NEAREST}\n")
            for name in ("failures", "plan", "models list")
        ),
        ("failures -m pump-01", f"pump-01: unknown model; the nearest known one is {PUMP}\n"),
        (f"plan -m {PROJECT}/PUMP-001", f"{PROJECT}/PUMP-001: unknown model; the nearest known one is {SHOWN}\n"),
        (f"retry -p {PROJECT} -m pump-*", f"{SHOWN}; names are exact here, not patterns\n"),
        (f"plan -p {PROJECT} -m other/pump-001", f"other/pump-001 is not in the project {PROJECT}"),
        ("models accept-loss plnt-a", f"plnt-a: unknown project; {NEAREST}\n"),
        *(
            (f"{name} {PROJECT}/pump-01", f"{PROJECT}/pump-01: unknown model; the nearest known one is {SHOWN}\n")
            for name in ("models show", "models register", "models unregister", "predict --from -1m")
        ),
        *(
            (f"{name} plnt-a/{PUMP}", f"plnt-a: unknown project; {NEAREST}; the model server answers for every name")
            for name in ("models show", "models register", "models unregister", "predict --from -1m")
        ),
    ],
)
async def test_a_name_that_is_not_known_is_refused_with_the_nearest_one(running: Plant, arguments: str, refusal: str):
    changes = "SELECT (SELECT count(*) FROM roster), (SELECT count(*) FROM request)"
    before = await running.sandbox.ledger.fetch(changes)

    code, output, errors = await running.run(*arguments.split())

    assert (code, output) == (USAGE, "")
    assert refusal in errors
    assert await running.sandbox.ledger.fetch(changes) == before


async def test_a_model_of_a_project_may_be_named_as_elsewhere(running: Plant):
    (code, by_both), (_, at_once), (_, twice) = await asyncio.gather(
        running.ask("failures", "-p", PROJECT, "-m", PUMP),
        running.ask("failures", "-m", f"{PROJECT}/{PUMP}"),
        running.ask("failures", "-p", PROJECT, "-m", f"{PROJECT}/{PUMP}"),
    )

    assert code == DONE
    assert by_both == at_once == twice == []


async def test_a_model_is_shown_from_the_ledger_while_its_server_cannot_be_asked(
    postgres_server: str, ledger_template: str, tmp_path: Path
):
    async with a_plant(postgres_server, ledger_template, tmp_path) as plant:
        async with serving(plant.config) as service:
            await plant.sandbox.whole(service)
            assert await service.stop() == DONE
        nowhere = plant.sandbox.config(models={"url": f"http://127.0.0.1:{free_port()}"})
        asked = Plant(plant.sandbox, nowhere)
        (_, before), (code, shown), (_, text, _), (unknown, _, refusal) = await asyncio.gather(
            plant.ask("models", "show", SHOWN),
            asked.ask("models", "show", SHOWN),
            asked.run("models", "show", SHOWN),
            asked.run("models", "show", f"{PROJECT}/pump-01"),
        )

    assert code == UNHEALTHY
    assert shown["exists"] is None
    assert "Cannot connect" in shown["not_asked"] or "refused" in shown["not_asked"]
    assert f"unknown, the model server cannot be asked: {shown['not_asked']}" in text
    kept = ("model", "registered", "revision", "problem", "tags", "spec", "failures")
    assert {key: shown[key] for key in kept} == {key: before[key] for key in kept}
    assert shown["ledger"]["state"] == "active"
    assert (unknown, "unknown model; the nearest known one is" in refusal) == (USAGE, True)


# --- lists -----------------------------------------------------------------------------------------------------------


async def test_a_list_that_is_cut_says_so_whatever_its_form(stopped: Plant):
    await stopped.sandbox.ledger.fetch(
        "UPDATE coverage SET covered = '{}' FROM model m WHERE m.id = model_id AND m.name <> $1", PUMP
    )
    await stopped.sandbox.ledger.fetch(
        """INSERT INTO parked (model_id, revision, reason, detail, windows, since, version)
           SELECT id, '1', 'crashed', 'a bug', '{(,)}', now(), 'test' FROM model WHERE name = $1""",
        PUMP,
    )
    lists = [("models", "list"), ("failures",), ("plan",)]
    whole = [await stopped.run(*command, "--limit", "0", "--json") for command in lists]
    cut = [await stopped.run(*command, "--limit", "1", "--json") for command in lists]
    for_people = [await stopped.run(*command, "--limit", "1") for command in lists]

    assert [code for code, _, _ in (*whole, *cut, *for_people)] == [DONE] * 9
    assert [errors for _, _, errors in whole] == [""] * 3
    for (_, everything, _), (_, output, errors), (_, _, said) in zip(whole, cut, for_people, strict=True):
        rows, first = json.loads(everything), json.loads(output)
        assert first["total"] >= rows["total"] > 1
        (one,), all_of_it = (answer.get("items", answer.get("windows")) for answer in (first, rows))
        assert one.keys() == all_of_it[0].keys()
        assert one["model"] in [each["model"] for each in all_of_it]  # more may have become due since
        assert re.fullmatch(r"Showing 1 of \d+; --limit 0 shows all\n", errors)
        assert int(errors.split()[3].rstrip(";")) >= len(all_of_it) > 1
        assert said.startswith("Showing 1 of ")


async def test_failures_are_cut_sorted_and_chosen_by_state(stopped: Plant):
    ledger = stopped.sandbox.ledger
    await ledger.fetch(
        """INSERT INTO parked (model_id, revision, reason, detail, windows, since, version)
           SELECT id, '1', 'crashed', 'a bug', '{(,)}', '2024-01-01T00:00Z', 'test' FROM model WHERE name <> $1""",
        PUMP,
    )
    (_, oldest), (_, newest), (_, by_reason), (_, waiting), (code, text, errors) = await asyncio.gather(
        stopped.ask("failures", "--sort", "oldest"),
        stopped.ask("failures", "--sort", "newest"),
        stopped.ask("failures", "--sort", "reason", "--state", "parked"),
        stopped.ask("failures", "--state", "waiting"),
        stopped.run("failures", "--limit", "1", "--sort", "oldest"),
    )

    assert [failure["reason"] for failure in oldest] == ["crashed", "crashed", "attempts"]
    assert [failure["reason"] for failure in newest] == ["attempts", "crashed", "crashed"]
    assert [failure["reason"] for failure in by_reason] == ["attempts", "crashed", "crashed"]
    assert waiting == []
    assert (code, errors) == (DONE, "Showing 1 of 3; --limit 0 shows all\n")
    assert len(re.findall(r"^plant-a", text, re.MULTILINE)) == 1


async def test_models_are_sorted_and_chosen_by_state(stopped: Plant):
    ledger = stopped.sandbox.ledger
    await ledger.fetch("UPDATE model SET paused = true WHERE name = $1", SEPARATOR)
    await ledger.fetch(
        "UPDATE coverage SET covered = '{}', silent_since = now() FROM model m WHERE m.id = model_id AND m.name = $1",
        SEPARATOR,
    )
    (_, behind), *chosen = await asyncio.gather(
        stopped.ask("models", "list", "--sort", "behind"),
        *(
            stopped.ask("models", "list", "--state", state)
            for state in ("paused", "silent", "parked", "missing", "retired", "expected")
        ),
    )

    # Of the one that is parked nothing was ever covered.
    assert [model["model"] for model in behind] == [PUMP, SEPARATOR, COMPRESSOR]
    names = [[model["model"] for model in models] for _, models in chosen]
    assert names == [[SEPARATOR], [SEPARATOR], [PUMP], [], [], []]


@pytest.mark.parametrize(
    ("answer", "ends"), [(b"y\n", DONE), (b"n\n", FAILED), (b"\n", FAILED)], ids=["yes", "no", "enter"]
)
async def test_retrying_everything_is_asked_on_a_terminal(stopped: Plant, answer: bytes, ends: int):
    parked = len(await stopped.sandbox.ledger.parked())

    code, output, asked = await on_terminal(answer, "retry", "--all", "--json", "-c", str(stopped.config))

    assert re.search(r"Retry [1-9]\d* parked windows and 0 waiting tasks\? \[y/N\]:", asked)
    assert code == ends
    changed = [{"project": PROJECT, "model": PUMP, "reason": "attempts"}]
    assert json.loads(output) == (changed if ends == DONE else {"error": "not confirmed, so nothing was changed"})
    assert parked == 1
    assert bool(await stopped.sandbox.ledger.parked()) is (ends != DONE)


async def on_terminal(answer: bytes, *arguments: str) -> tuple[int, str, str]:
    """Run a command whose standard input is a terminal, on which this is typed: exit code, output, errors."""
    ours, theirs = os.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "latigo", *arguments),
            env=environment(),
            stdin=theirs,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        os.write(ours, answer)
        async with asyncio.timeout(STARTS_WITHIN):
            output, errors = await process.communicate()
    finally:
        os.close(ours)
        os.close(theirs)
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


# --- one window ------------------------------------------------------------------------------------------------------


async def test_predict_writes_parquet_csv_and_a_page_that_agree_and_touches_no_ledger(running: Plant):
    folder, ledger = running.sandbox.folder, running.sandbox.ledger
    end = newest_due()
    start = end - 4 * SLOT
    times = ("--from", start.isoformat(), "--to", end.isoformat())
    stored = "SELECT count(DISTINCT time) = 24 FROM v_predictions WHERE model = $1 AND time >= $2 AND time < $3"
    await eventually(lambda: ledger.value(stored, PUMP, start, end), what="the service has them all")
    tasks = 'SELECT count(*) FROM v_tasks WHERE model = $1 AND "window" && tstzrange($2, $3)'
    before = await ledger.value(tasks, PUMP, start, end)
    requested = ("predict", f"{PROJECT}/{PUMP}", *times)
    (code, report), (_, csv_output, _) = await asyncio.gather(
        running.ask(*requested, "--out", "x.parquet", "--plot", "x.html"), running.run(*requested, "--out", "x.csv")
    )

    table = pyarrow.parquet.read_table(folder / "x.parquet")
    text = pyarrow.csv.read_csv(folder / "x.csv")
    assert code == DONE
    assert (report["rows"], report["exceptions"]) == (24, [])
    assert table.num_rows == text.num_rows == 24
    assert table.column_names == text.column_names
    assert table.column("model-output|" + output_tags(table)[0]).to_pylist() == pytest.approx(
        text.column("model-output|" + output_tags(table)[0]).to_pylist()
    )
    page = (folder / "x.html").read_text()
    assert "Plotly.newPlot" in page
    assert PUMP in page
    assert "24" in csv_output
    assert await ledger.value(tasks, PUMP, start, end) == before


def output_tags(table: Any) -> list[str]:
    return [name.removeprefix("model-output|") for name in table.column_names if name.startswith("model-output|")]


async def test_predict_shows_what_it_would_ask_the_source_for(running: Plant):
    end = newest_due()
    code, requests = await running.ask(
        *("predict", f"{PROJECT}/{PUMP}", "--from", (end - SLOT).isoformat(), "--to", end.isoformat()),
        *("--revision", running.sandbox.gordo.projects[PROJECT].latest, "--explain-query"),
    )

    assert code == DONE
    assert requests
    assert all(each["tag"] in each["request"] for each in requests)
    assert all(f"{end:%Y-%m-%dT%H:%M:%SZ}" in each["request"] for each in requests)


async def test_predict_names_the_next_row_where_a_period_lies_between_two(running: Plant):
    end = newest_due()
    step = SLOT / 6
    code, report = await running.ask(
        *(
            "predict",
            f"{PROJECT}/{PUMP}",
            "--from",
            (end - step * 3 / 4).isoformat(),
            "--to",
            (end - step / 4).isoformat(),
        )
    )

    assert (code, report["rows"], report["exceptions"]) == (UNHEALTHY, 0, [])
    assert "no row of the model has its time in" in report["reason"]
    assert report["reason"].endswith(f"the next at {end:%Y-%m-%dT%H:%M:%SZ}")


async def test_predict_refuses_what_makes_no_sense_and_is_3_where_there_is_nothing(running: Plant):
    model = f"{PROJECT}/{PUMP}"
    future = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    later = (datetime.now(UTC) + timedelta(days=1, minutes=1)).isoformat()
    codes = await asyncio.gather(
        running.run("predict", model, "--from", "yesterday"),
        running.run("predict", model, "--from", "-1m", "--out", "x.xlsx"),
        running.run("predict", PUMP, "--from", "-1m"),
        running.run("predict", model, "--from", "now", "--to", "-1h"),
        running.run("plan", "--from", "now", "--to", "-1h"),
        running.run("plan", "--to", "yesterday"),
        running.run("predict", model, "--from", future, "--to", later),
        running.run("predict", f"{PROJECT}/no-such-model", "--from", "-1m"),
    )

    assert [code for code, _, _ in codes] == [USAGE] * 6 + [UNHEALTHY, USAGE]
    assert all("Traceback" not in errors for _, _, errors in codes)


async def test_an_unwritable_file_is_reported_and_a_missing_folder_before_anything_is_predicted(
    running: Plant,
):
    (running.sandbox.folder / "folder.csv").mkdir(exist_ok=True)
    end = newest_due()
    requested = ("predict", f"{PROJECT}/{PUMP}", "--from", (end - SLOT).isoformat(), "--to", end.isoformat())
    calls = running.sandbox.gordo.controls.count(Scope(model=PUMP, kinds={CallKind.METADATA}))
    nowhere = await asyncio.gather(
        running.run(*requested, "--out", "nowhere/x.csv"), running.run(*requested, "--plot", "nowhere/x.html")
    )
    unasked = running.sandbox.gordo.controls.count(Scope(model=PUMP, kinds={CallKind.METADATA})) == calls
    code, _, errors = await running.run(*requested, "--out", "folder.csv")

    assert [code for code, _, _ in nowhere] == [USAGE] * 2
    assert all("There is no folder nowhere" in errors for _, _, errors in nowhere)
    assert unasked
    assert code == FAILED
    assert errors.startswith("latigo: the predictions cannot be written: ")
    assert "folder.csv" in errors
    assert "Traceback" not in errors


# --- configuration and systems ---------------------------------------------------------------------------------------


async def test_config_shows_what_is_in_effect_and_no_secret(tmp_path: Path):
    url = f"postgresql://latigo:{PASSWORD}@db.example/latigo"
    config = write_config(tmp_path, ledger={"kind": "postgres", "url": url}, models={"token": PASSWORD})
    (code, text, _), (_, as_json, _) = await asyncio.gather(
        latigo("config", "--config", str(config), folder=tmp_path),
        latigo("config", "--json", "--config", str(config), folder=tmp_path),
    )

    assert code == DONE
    assert PASSWORD not in text + as_json
    assert tomllib.loads(text) == {name: value for name, value in json.loads(as_json).items() if value != []}
    assert tomllib.loads(text)["schedule"]["interval"] == "30s"
    assert tomllib.loads(text)["models"]["token"] == tomllib.loads(text)["ledger"]["url"] == "********"


async def test_an_unknown_key_is_refused_and_named_together_with_the_nearest_one(tmp_path: Path):
    config = write_config(tmp_path, schedule={"intervall": "30m"})

    code, _, errors = await latigo("serve", "--config", str(config), folder=tmp_path)

    assert code == CONFIGURATION
    assert "schedule.intervall" in errors
    assert "interval" in errors.replace("intervall", "")
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    "how",
    [("--role", "scheduler"), ("--role", "executor"), ("--executors", "2"), ("--role", "executor", "--executors", "2")],
    ids=" ".join,
)
async def test_several_processes_are_refused_with_a_queue_inside_of_one(tmp_path: Path, how: tuple[str, ...]):
    ledger = {"kind": "embedded", "data_dir": str(tmp_path / "ledger")}
    config = write_config(tmp_path, ledger=ledger, task_queue={"kind": "internal"})

    code, _, errors = await latigo("serve", *how, "--config", str(config), folder=tmp_path)

    assert code == CONFIGURATION
    assert "task_queue.kind" in errors
    assert "--role all" in errors
    assert not (tmp_path / "ledger").exists()


async def test_a_window_that_is_too_long_is_lowered_with_a_warning_that_names_it(tmp_path: Path):
    config = write_config(tmp_path, schedule={"max_window": "8d"})

    code, _, warned = await latigo("config", "--config", str(config), folder=tmp_path)

    assert code == DONE
    (line,) = [line for line in warned.splitlines() if "settings.lowered" in line]
    assert "schedule.max_window" in line
    assert "8d is lowered to 7d" in line


async def test_a_deprecated_key_is_accepted_with_a_warning_that_names_it(tmp_path: Path):
    (tmp_path / "latigo.toml").write_text(f"[http]\ntoken = '{PASSWORD}'\n")

    code, shown, warned = await latigo("config", folder=tmp_path)

    assert code == DONE
    assert tomllib.loads(shown)["http"]["token"] != PASSWORD
    (line,) = [line for line in warned.splitlines() if "settings.deprecated" in line]
    assert "http.token" in line
    assert PASSWORD not in warned


async def test_check_is_0_when_everything_is_reached_and_1_when_something_is_not(running: Plant, tmp_path: Path):
    elsewhere = write_config(
        tmp_path,
        ledger={"kind": "postgres", "url": running.sandbox.ledger.url},
        models={"url": "http://127.0.0.1:9", "connect_timeout": "2s"},
    )
    nowhere = write_config(tmp_path, ledger={"kind": "postgres", "url": f"postgresql://x@/x?host={tmp_path}"})
    (code, well), (bad, document, _), (worse, text, _) = await asyncio.gather(
        running.ask("check"),
        latigo("check", "--json", "--config", str(elsewhere), folder=tmp_path),
        latigo("check", "--config", str(nowhere), folder=tmp_path),
    )

    assert code == DONE
    assert [each["system"] for each in well] == ["ledger", "sensors", "task_queue", f"gordo/{PROJECT}", "sink/postgres"]
    assert bad == FAILED
    assert [each["system"] for each in json.loads(document) if not each["ok"]] == [f"gordo/{PROJECT}"]
    assert worse == FAILED
    assert text.startswith("FAIL ledger: ")


async def test_migrate_makes_the_schema_once(postgres_server: str, tmp_path: Path):
    async with fresh_database(postgres_server) as url:
        config = write_config(tmp_path, ledger={"kind": "postgres", "url": url})
        first = await latigo("migrate", "--config", str(config), folder=tmp_path)
        second = await latigo("migrate", "--config", str(config), folder=tmp_path)

    assert (first[0], second[0]) == (DONE, DONE)
    assert first[1].startswith("schema none -> ")
    assert second[1] == f"schema {first[1].split()[-1]} already\n"


# --- the whole -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how", [(), ("--distributed",), ("--executors", "2"), ("--influx",), ("--timeseries-api",)], ids=" ".join
)
async def test_the_demo_ends_by_itself_and_its_summary_adds_up(how: tuple[str, ...], tmp_path: Path):
    if "--influx" in how:
        require_influxd()

    code, output, errors = await latigo(
        *("demo", "--cycles", "1", "--models", "6", "--port", "0", "--json", *how), folder=tmp_path, within=400
    )

    assert code == DONE, errors
    text = json.loads(output)
    assert (text["models"], text["parked"], text["parked_because"], text["in_hand"]) == (6, 0, {}, 0)
    assert text["live_slots_of_every_model"] >= 1
    assert text["slots_covered"] + text["slots_excepted"] + text["slots_left"] == text["slots_due"]
    slots = text["seconds"] // 30 + 1  # of a model, at most, since it began
    assert 0 <= text["slots_left"] <= 6 * slots  # due since it was stopped
    assert text["slots_excepted"] == sum(text["exceptions"].values())
    # An hour of history before the models were listed first, and what has become due since.
    live = text["slots_due"] - 6 * 120
    assert live in range(0, 6 * int(slots) + 1, 6)
    assert text["rows_written"] == text["rows_settled"] > 0
    assert text["rows_written"] <= 6 * text["slots_covered"]
    assert text["gordo_calls"] >= text["tasks_settled"]
    if "--influx" in how:
        assert text["points_in_influxdb"] > text["rows_written"]
    if "--timeseries-api" in how:
        assert text["points_in_timeseries_api"] > text["rows_written"]


async def test_a_demo_reads_from_one_server(tmp_path: Path):
    code, _, errors = await latigo("demo", "--influx", "--timeseries-api", folder=tmp_path)

    assert code == USAGE
    assert "--influx or --timeseries-api" in errors


async def test_a_demo_sums_up_what_is_parked_and_what_was_in_flight_on_executors_that_are_gone(server_folder: Path):
    demo = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "latigo", "demo", "--distributed", "--models", "2", "--port", "0"),
        cwd=server_folder,
        env=environment() | {"TMPDIR": str(server_folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert demo.stdout is not None
        text = b""
        while b"kill one and see" not in text:
            text = await asyncio.wait_for(demo.stdout.readline(), STARTS_WITHIN)
        _, *executors = map(int, re.findall(r"\d+", text.decode().partition("are processes")[2]))
        settings = tomllib.loads(next(server_folder.glob("latigo-demo-*/latigo.toml")).read_text())  # noqa: ASYNC240
        async with (
            aiohttp.ClientSession(settings["models"]["url"], raise_for_status=True) as gordo,
            looking_at(settings["ledger"]["url"]) as ledger,
        ):
            predicting = {"paths": [path.value for path in PREDICTIONS]}
            refused = {"kind": "status", "status": 422, "model": PUMP}
            unanswered = {"kind": "hang", "model": COMPRESSOR}
            for trouble in (refused, unanswered):
                await gordo.post("/sandbox/troubles", json=trouble | predicting)

            async def is_unanswered() -> bool:
                async with gordo.get("/sandbox/troubles/2") as answer:
                    return bool((await answer.json())["met"])

            await eventually(ledger.parked, within=STARTS_WITHIN, what="the refused model is parked")
            await eventually(is_unanswered, within=STARTS_WITHIN, what="the other one is in hand")
            for executor in executors:
                os.kill(executor, signal.SIGKILL)
        demo.send_signal(signal.SIGINT)
        output, errors = await asyncio.wait_for(demo.communicate(), STARTS_WITHIN)
    finally:
        if demo.returncode is None:
            demo.kill()
            await demo.wait()

    summary = dict(re.findall(r"^(\w[\w ]+?)  +(.*)$", output.decode(), re.MULTILINE))
    assert b"Traceback" not in errors
    assert demo.returncode == FAILED  # for what is parked
    assert (summary["parked"], "422" in summary["parked because"]) == ("1", True)
    assert int(summary["in hand"]) > 0
    assert int(summary["slots left"]) > 0


@pytest.mark.parametrize("command", [("queue",), ("queue", "status")], ids=" ".join)
async def test_a_queue_within_the_process_has_tasks_and_no_receivers(running: Plant, command: tuple[str, ...]):
    (code, queue), (_, text, _) = await asyncio.gather(running.ask(*command), running.run(*command))

    assert (code, queue["queued"], queue["oldest"], queue["receivers"]) == (DONE, 0, None, [])
    assert re.search(r"^Tasks: \d+ outstanding \(\d+ live\), 0 waiting for another attempt$", text, re.MULTILINE)
    assert "No executor of another process takes tasks from there" in text


async def test_options_before_a_command_of_the_queue_are_not_passed_over(tmp_path: Path):
    code, _, errors = await latigo("queue", "-c", str(write_config(tmp_path)), "reset", "--yes", folder=tmp_path)

    assert code == USAGE
    assert "Options of reset go after it" in errors


def commands(group: TyperGroup, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, (*path, name))
        yield (*path, name), command


COMMANDS = dict(commands(typer.main.get_command(cli)))  # type: ignore[arg-type]  # ours has commands, so it is a group


@pytest.mark.parametrize("path", list(COMMANDS), ids=" ".join)
async def test_every_command_explains_itself_and_its_options(path: tuple[str, ...]):
    text = CliRunner().invoke(cli, [*path, "--help"])

    assert text.exit_code == DONE
    explained = " ".join(text.output.split())
    assert " ".join((COMMANDS[path].help or "?").split())[:60] in explained
    for parameter in COMMANDS[path].params:
        if isinstance(parameter, TyperOption) and not parameter.hidden:  # hidden is what processes say to each other
            assert parameter.opts[0] in explained
            assert parameter.help or parameter.name == "help"


async def test_help_and_version_are_answered_without_a_configuration(tmp_path: Path):
    (code, helped, _), (_, version, _), (usage, _, said) = await asyncio.gather(
        latigo("--help", folder=tmp_path), latigo("--version", folder=tmp_path), latigo("sreve", folder=tmp_path)
    )

    assert code == DONE
    assert all(path[0] in helped for path in COMMANDS)
    assert version.strip()[0].isdigit()
    assert usage == USAGE
    assert "sreve" in said
