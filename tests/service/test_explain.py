"""``latigo explain`` as an operator runs it, on a service that works and on one that does not."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from latigo.domain.windows import iso
from latigo.sandbox.gordo import open_sandbox_gordo
from latigo.sandbox.gordo.controls import PREDICTING
from tests.support.outside import looking_at
from tests.support.process import PROJECT, SLOT, Service, a_project, latigo, newest_due, serving
from tests.support.sandbox import Sandbox
from tests.support.silent_sensors import KIND
from tests.support.waiting import eventually

PLANT = a_project(3, tags=2)
FIRST, SECOND, LAST = (model.name for model in PLANT.models)
#: Of the last model and of no other.
SILENT = next(tag for tag in PLANT.models[2].tags if tag not in {*PLANT.models[0].tags, *PLANT.models[1].tags})
IN_SLOT = """UPDATE prediction p SET values = {values} FROM prediction_series s
WHERE s.id = p.series_id AND s.model = $1 AND p.time >= $2 AND p.time < $2 + interval '30 seconds'"""


@pytest.fixture
async def sandbox(ledger_url: str, tmp_path: Path) -> AsyncIterator[Sandbox]:
    """Models that really compute."""
    async with open_sandbox_gordo(PLANT) as gordo, looking_at(ledger_url) as ledger:
        yield Sandbox(gordo, ledger, tmp_path, len(PLANT.models))


class Operator:
    """Runs commands on a plant."""

    def __init__(self, sandbox: Sandbox, config: Path) -> None:
        self._folder = sandbox.folder
        self._config = ("--config", str(config))

    async def run(self, *arguments: str, code: int = 0) -> str:
        ended, output, errors = await latigo(*arguments, *self._config, folder=self._folder)
        assert ended == code, (output, errors)
        return output or errors

    async def over_http(self, url: str, token: Path, *arguments: str, code: int = 0) -> Any:
        ended, output, errors = await latigo(
            *arguments, "--url", url, "--token-file", str(token), "--json", folder=self._folder
        )
        assert ended == code, (output, errors)
        return orjson.loads(output)

    async def explain(self, model: str, at: datetime | str, *options: str, code: int = 0) -> Any:
        time = at if isinstance(at, str) else iso(at)
        output = await self.run("explain", f"{PROJECT}/{model}", "--at", time, "--json", *options, code=code)
        return orjson.loads(output)


async def covers(sandbox: Sandbox, service: Service, model: str, time: datetime) -> None:
    async def covered() -> bool:
        return time in (await sandbox.ledger.covered()).get(model, ())

    await service.until(covered, within=180, what=f"{model} is covered at {time}")


async def test_a_prediction_is_explained_and_verified_and_a_changed_value_in_the_sink_is_found(sandbox: Sandbox):
    token = sandbox.folder / "token"
    token.write_text("token-of-anna")
    tokens = {"anna": {"file": str(token), "may": "act"}}
    config = sandbox.config(sensors={"kind": KIND, "options": {"tag": SILENT}}, http={"port": 0, "tokens": tokens})
    operator, moment = Operator(sandbox, config), newest_due() - SLOT
    async with serving(config) as service:
        await covers(sandbox, service, FIRST, moment)

        covered = await operator.explain(FIRST, moment + timedelta(seconds=1), "--verify")
        asked = ("explain", f"{PROJECT}/{FIRST}", "--at", iso(moment), "--verify")
        there = (await operator.over_http(await service.url(), token, *asked))["verification"]
        assert await service.stop() == 0
    text = await operator.run("explain", f"{PROJECT}/{FIRST}", "--at", iso(moment))
    await sandbox.ledger.fetch(IN_SLOT.format(values="array_cat(ARRAY[values[1] + 1], values[2:])"), FIRST, moment)
    changed = await operator.explain(FIRST, moment, "--verify", code=3)
    said = await operator.run("explain", f"{PROJECT}/{FIRST}", "--at", iso(moment), "--verify", code=3)
    await sandbox.ledger.fetch("DELETE FROM prediction WHERE time = $1", moment)
    lacking = await operator.explain(FIRST, moment, "--verify", code=3)
    await sandbox.ledger.fetch("UPDATE prediction_columns SET revision = '1'")
    older = await operator.explain(FIRST, moment, "--verify", code=3)

    receipt = covered["receipt"]
    assert (covered["state"], covered["slot_start"], receipt["sinks"]) == ("covered", iso(moment), ["sink/postgres"])
    assert receipt["rows"] == receipt["inputs"]["labels"]
    assert [tag["rows"] for tag in receipt["inputs"]["tags"]] == [receipt["rows"]] * 2
    assert sorted(tag["tag"] for tag in receipt["inputs"]["tags"]) == sorted(PLANT.models[0].tags)
    assert receipt["stages"]["predict"] > 0
    assert receipt["highest_total_anomaly"] > 0
    assert (covered["verification"]["equal"], covered["verification"]["values_differing"]) == (True, 0)
    assert there == covered["verification"]
    assert [len(each["stored"]) for each in there["compared"]] == [len(there["times"])] * len(there["compared"])
    assert all(each["stored"] == each["predicted"] for each in there["compared"])
    assert text.startswith(f"{PROJECT}/{FIRST} has its predictions for the slot {iso(moment)}")

    verification = changed["verification"]
    assert (verification["equal"], verification["columns_differing"]) == (False, 1)
    (column,) = verification["columns"]
    assert column["rows"] == verification["rows_differing"] == verification["rows_stored"] > 0
    assert column["stored"] == pytest.approx(column["predicted"] + 1)
    assert f"{column['column_group']} of {column['tag']}: {column['rows']} rows" in said
    assert "others may have changed the sink" in said
    assert lacking["verification"]["rows_stored"] == verification["rows_stored"] - 1
    assert lacking["verification"]["rows_predicted"] == verification["rows_predicted"]
    revision = covered["revision"]
    assert older["verification"]["reasons"][0] == (
        f"The sink holds revision 1; {revision} was predicted now, because the model server does not have that one any"
        " more."
    )


async def test_what_is_absent_or_not_due_or_before_the_beginning_or_not_predicted_says_so(sandbox: Sandbox):
    config = sandbox.config(sensors={"kind": KIND, "options": {"tag": SILENT}})
    operator, moment = Operator(sandbox, config), newest_due() - SLOT
    async with serving(config) as service:
        await service.until(sandbox.ledger.exceptions, within=180, what="the silent model is settled")
        await covers(sandbox, service, SECOND, moment)
        absent = await operator.explain(LAST, moment, "--verify")
        future = await operator.explain(FIRST, "+1h")
        before = await operator.explain(FIRST, "-1d")
        assert await service.stop() == 0
    await operator.run("pause", f"{PROJECT}/{FIRST}", "--reason", "overhaul")
    await operator.run("models", "unregister", f"{PROJECT}/{SECOND}")
    due = newest_due()
    await eventually(lambda: newest_due() > due, what="a slot more is due")
    paused, unregistered = await operator.explain(FIRST, due), await operator.explain(SECOND, due)
    unknown = await operator.run("explain", f"{PROJECT}/{FIRST}x", "--at", "-1h", code=2)
    excluding = Operator(sandbox, sandbox.config(models={"exclude": [f"{PROJECT}/test-*"]}))
    excluded = await excluding.run("explain", f"{PROJECT}/test-1", "--at", "-1h", code=2)

    assert (absent["state"], absent["exception"]["tags"], absent["receipt"]["rows"]) == ("absent", [SILENT], 0)
    assert [tag["readings"] for tag in absent["receipt"]["inputs"]["tags"] if tag["tag"] == SILENT] == [0]
    assert SILENT in absent["story"][0]
    assert "neither the model nor sink/postgres has values" in absent["verification"]["story"][0]
    assert (future["state"], before["state"]) == ("not_due", "before_beginning")
    assert (paused["state"], paused["model_state"]) == ("not_predicted", "paused")
    assert paused["pauses"][0]["reason"] == "overhaul"
    assert (unregistered["state"], unregistered["model_state"]) == ("not_predicted", "unregistered")
    assert "took it off the roster" in " ".join(unregistered["story"])
    assert f"the nearest known one is {PROJECT}/{FIRST}" in unknown
    assert "models.exclude" not in unknown
    assert f"models.exclude leaves it out: {PROJECT}/test-*" in excluded


async def test_what_is_worked_on_waits_for_a_circuit_or_is_parked_says_so(sandbox: Sandbox):
    config = sandbox.config(executor={"max_attempts": 2})
    operator, moment = Operator(sandbox, config), newest_due() - SLOT

    async def claimed() -> bool:
        rows = await sandbox.ledger.fetch(
            'SELECT FROM v_tasks WHERE model = $1 AND "window" @> $2::timestamptz AND state = $3',
            *(FIRST, moment, "claimed"),
        )
        return bool(rows)

    async with serving(config) as service:
        hanging = sandbox.gordo.controls.hang(PREDICTING)
        await service.until(claimed, within=180, what="it is claimed")
        working = await operator.explain(FIRST, moment)
        failing = sandbox.gordo.controls.server_error(PREDICTING)
        hanging.lift()
        await service.until(sandbox.ledger.parked, within=180, what="it is parked")
        (row, *_) = await sandbox.ledger.fetch("SELECT model, lower(windows) AS start FROM v_parked")
        parked = await operator.explain(row["model"], row["start"])
        failing.lift()
        with sandbox.gordo.controls.unavailable():
            await operator.run("retry", "--project", PROJECT)
            await service.logged("circuit.opened")
            assert await service.stop() == 0
    await sandbox.ledger.fetch("DELETE FROM task")  # what was out when it stopped

    async def nobody_plans() -> bool:
        return bool(await sandbox.ledger.value("SELECT lease_until <= ledger_now() FROM planner"))

    await eventually(nobody_plans, what="the lease to plan has ended")
    down = await operator.explain(row["model"], row["start"])

    task = next(task for task in working["tasks"] if task["has_it"])
    assert (working["state"], task["state"]) == ("in_task", "claimed")
    assert f"is worked on by {task['worker']} since" in " ".join(working["story"])
    assert parked["state"] == "parked"
    assert parked["parked"][0]["reason"] in {"attempts", "values_refused"}
    assert f"What you can do: {parked['parked'][0]['you_can_do']}." in parked["story"]
    assert down["state"] == "missing"
    assert [circuit["downstream"] for circuit in down["circuits"]] == [f"gordo/{PROJECT}"]
    assert not down["planner"]
    assert f"The circuit of gordo/{PROJECT} is open since" in " ".join(down["story"])
    assert datetime.fromisoformat(down["now"]) <= datetime.now(UTC)
