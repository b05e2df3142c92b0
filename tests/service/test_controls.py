"""Limits, drains, probes, runs and hand-backs, by commands, while a process of Latigo runs."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from latigo.sandbox.gordo.controls import PREDICTING, Hang, unavailable
from tests.support.process import RESOLUTION, SLOT, Service, latigo, newest_due, serving
from tests.support.sandbox import Sandbox

WHY = ("--reason", "a test")


async def run(sandbox: Sandbox, *arguments: str, code: int = 0) -> Any:
    """Run a command; what it prints as JSON."""
    command = (*arguments, "--json", "--config", str(sandbox.config()))
    ended, output, errors = await latigo(*command, folder=sandbox.folder)
    assert ended == code, errors
    return orjson.loads(output)


async def lanes(sandbox: Sandbox) -> Sequence[str]:
    """The lanes of what is planned or in the queue."""
    rows = await sandbox.ledger.fetch("SELECT lane FROM v_tasks WHERE state IN ('planned', 'published')")
    return [row["lane"] for row in rows]


async def executor_is(service: Service, sandbox: Sandbox, condition: str) -> None:
    await service.until(lambda: sandbox.ledger.value(f"SELECT 1 FROM executor WHERE {condition}"), what=condition)


def runs(sandbox: Sandbox, model: str, end: datetime) -> int:
    """How often a model predicted the slot that ends then."""
    return sandbox.executed().count((model, end - RESOLUTION))


async def test_limits_are_taken_without_a_restart_and_a_pause_of_backfill_leaves_live_alone(sandbox: Sandbox):
    config = sandbox.config(schedule={"max_window": "30s"}, backfill={"horizon": "30m"})
    async with serving(config) as service:
        hanging = sandbox.gordo.controls.trouble(Hang(), PREDICTING)
        await hanging.reached()
        shown = await run(sandbox, "limits", "--concurrency", "3", "--outstanding", "50", "--pause-backfill", *WHY)
        in_the_queue = set(await lanes(sandbox))
        hanging.lift()
        await executor_is(service, sandbox, "concurrency = 3")
        begin = newest_due()

        async def live_goes_on() -> bool:
            return all(begin + SLOT / 2 in coverage for coverage in (await sandbox.ledger.covered()).values())

        await service.until(live_goes_on, what="a slot that became due during the pause is covered")
        lacking = await sandbox.ledger.missing(begin)
        status = await sandbox.ledger.status()
        await run(sandbox, "limits", "--resume-backfill", "--reset", *WHY)
        await executor_is(service, sandbox, "concurrency = 8")
        await sandbox.whole(service)
        assert await service.stop() == 0

    assert {limit["name"]: limit["now"] for limit in shown["limits"]} == {
        "concurrency": 3,
        "backfill_share": 0.05,
        "outstanding": 50,
    }
    assert in_the_queue <= {"live"}
    assert all(lacking.values())  # of all three models
    assert {limit["name"] for limit in status["limits"]} == {"concurrency", "outstanding", "backfill_paused"}


async def test_one_model_runs_now_and_a_drained_executor_does_nothing_until_it_is_resumed_or_stops(sandbox: Sandbox):
    async with serving(sandbox.config()) as service:
        await sandbox.whole(service)
        (executor,) = await run(sandbox, "executors", "list")
        model = (await sandbox.ledger.fetch("SELECT model FROM v_models ORDER BY model"))[0]["model"]
        now = await run(sandbox, "models", "run-now", f"plant-a/{model}", *WHY, "--wait")

        await run(sandbox, "executors", "drain", executor["id"].rpartition("/")[0], *WHY)
        await executor_is(service, sandbox, "drained_at IS NOT NULL AND in_flight = 0")
        await service.until(
            lambda: [event for event in service.events("executor.limited") if event["drained"]], what="it is drained"
        )
        waiting = await run(sandbox, "models", "run-now", f"plant-a/{model}", *WHY)
        end = datetime.fromisoformat(waiting["end"])
        before = runs(sandbox, model, end)
        status = await run(sandbox, "status", code=3)

        async def is_in_the_queue() -> bool:
            tasks = await sandbox.ledger.tasks("published")
            return (model, "live", end) in [(task["model"], task["lane"], task["window"].upper) for task in tasks]

        await service.until(is_in_the_queue, what="it is published")
        await run(sandbox, "executors", "resume", executor["id"], *WHY)
        await service.until(lambda: runs(sandbox, model, end) > before, what="it runs after all")
        await run(sandbox, "executors", "drain", executor["id"], "--stop", *WHY)
        code = await service.ended()

    assert (now["ended"]["outcome"], now["ended"]["rows"]) == ("stored", 6)
    assert runs(sandbox, model, datetime.fromisoformat(now["end"])) >= 2
    assert "executors_drained" in [cause["kind"] for cause in status["causes"]]
    assert code == 0


async def test_a_probe_that_is_ordered_closes_a_circuit_that_would_have_stayed_open(sandbox: Sandbox):
    config = sandbox.config(circuit={"probe_first": "10m", "probe_longest": "10m"})
    trouble = sandbox.gordo.controls.trouble(unavailable(), PREDICTING)
    async with serving(config) as service:
        await service.until(lambda: sandbox.ledger.value("SELECT 1 FROM circuit"), what="a circuit is open")
        trouble.lift()
        (circuit,) = await run(sandbox, "circuits", "list")
        unknown = await run(sandbox, "circuits", "probe", "gordo/plant-b", code=2)
        await run(sandbox, "circuits", "probe", circuit["downstream"], *WHY)
        await service.logged("circuit.closed")
        await sandbox.whole(service)
        closed = await run(sandbox, "circuits", "list")
        assert await service.stop() == 0

    assert circuit["downstream"] == "gordo/plant-a"
    assert "the nearest known one is gordo/plant-a" in unknown["error"]
    assert closed == []


async def test_a_task_that_hangs_is_handed_back_and_ends_elsewhere(sandbox: Sandbox):
    hanging = sandbox.gordo.controls.trouble(Hang(), PREDICTING, times=1)
    config = sandbox.config(models={"predict_timeout": "10m"})
    async with serving(config) as service:
        await hanging.reached()

        models: list[str] = []

        async def one_is_left() -> bool:
            out = "SELECT DISTINCT m.name FROM task t JOIN model m ON m.id = t.model_id"
            models[:] = [row["name"] for row in await sandbox.ledger.fetch(out)]
            return len(models) == 1

        await service.until(one_is_left, what="only the tasks of the model that hangs are left")
        (model,) = models
        listed = await run(sandbox, "tasks", "list", "--state", "claimed")
        taken = await run(sandbox, "tasks", "hand-back", f"plant-a/{model}", *WHY)
        await sandbox.whole(service)
        await service.logged("claim.lost")
        missed = await run(sandbox, "tasks", "hand-back", "plant-a/none", *WHY, code=2)
        assert await service.stop() == 0
        hanging.lift()

    assert {each["model"] for each in taken} == {model}
    (executor,) = {each["executor"] for each in listed if each["model"] == model}
    assert {each["executor"] for each in taken if each["state"] == "claimed"} == {executor}
    assert "unknown model" in missed["error"]
