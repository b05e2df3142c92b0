"""``kill -9`` at every place where it could hurt: nothing is lost, nothing is there twice."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg

from latigo.postgres.embedded import open_embedded
from latigo.sandbox.gordo.controls import PREDICTING, Hang
from latigo.sandbox.timeseries import FaultKind, SandboxTimeseries, open_sandbox_timeseries
from tests.support.outside import looking_at
from tests.support.process import PROJECT, RESOLUTION, Service, serving
from tests.support.sandbox import Sandbox, open_sandbox

TASKS_A_MODEL = 2  # 4 minutes of history in windows of 2
_CONNECTIONS_OF_THE_DEAD = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = 'latigo' AND datname = current_database()
"""
_HOLD_MARKS = """
CREATE FUNCTION wait_for_the_test() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(42);
    RETURN NEW;
END $$;
CREATE TRIGGER wait_for_the_test BEFORE UPDATE ON task
FOR EACH ROW WHEN (NEW.state IN ('published', 'claimed')) EXECUTE FUNCTION wait_for_the_test();
"""


async def start_again(sandbox: Sandbox, config: Path) -> Service:
    """Start, cover everything, stop; nothing is missing then, and nothing there twice."""
    async with serving(config) as service:
        until = await sandbox.whole(service)
        assert await service.stop() == 0
    await sandbox.ledger.assert_adds_up(sandbox.models, until)
    await assert_each_slot_was_settled_once(sandbox)
    return service


async def assert_each_slot_was_settled_once(sandbox: Sandbox) -> None:
    stored = [task["window"] for task in await sandbox.ledger.tasks("stored")]
    covered = await sandbox.ledger.covered()
    assert sum((window.upper - window.lower for window in stored), timedelta(0)) == sum(
        (coverage.total for coverage in covered.values()), timedelta(0)
    )


def last_row(task: Mapping[str, Any]) -> tuple[str, Any]:
    """How the sandbox names the run of a task."""
    return task["model"], task["window"].upper - RESOLUTION


async def test_killed_in_the_middle_of_a_backfill_it_covers_every_slot_and_predicts_none_of_the_settled_ones_again(
    sandbox: Sandbox,
):
    config = sandbox.config()
    hanging = sandbox.gordo.controls.trouble(Hang(), PREDICTING, skip=4)
    async with serving(config) as service:
        await service.until(lambda: _stored(sandbox, 4), what="4 tasks are settled, the others hang")
        before = await sandbox.ledger.tasks("stored")
        await service.kill()
    hanging.lift()

    await start_again(sandbox, config)

    runs = sandbox.executed()
    assert [runs.count(last_row(task)) for task in before] == [1] * 4
    assert len(await sandbox.ledger.tasks("stored")) >= sandbox.models * TASKS_A_MODEL


async def test_killed_between_claim_and_write_it_starts_the_task_once_more_in_isolation(sandbox: Sandbox):
    config = sandbox.config()
    held = sandbox.gordo.controls.hang()
    async with serving(config) as service:
        await service.until(lambda: _claimed(sandbox, sandbox.models), what="a task of every model is claimed")
        await service.meets(held)
        await service.kill()
    await sandbox.ledger.fetch(_CONNECTIONS_OF_THE_DEAD)
    in_hand = {task["id"]: task["starts"] for task in await sandbox.ledger.tasks("claimed")}
    rows_before = await sandbox.ledger.value("SELECT count(*) FROM prediction")
    held.lift()

    again = await start_again(sandbox, config)

    stored = {task["id"]: (task["starts"], task["attempts"]) for task in await sandbox.ledger.tasks("stored")}
    isolated = {event["task"] for event in again.events("task.isolated")}
    assert rows_before == 0
    assert set(in_hand.values()) == {1}
    assert {task: stored[task] for task in in_hand} == dict.fromkeys(in_hand, (2, 0))
    assert isolated == set(in_hand)


async def test_killed_between_write_and_settle_it_writes_the_same_rows_again_and_settles_them_once(sandbox: Sandbox):
    config = sandbox.config()
    held = sandbox.gordo.controls.hang()
    async with serving(config) as service:
        await service.meets(held)
        async with sandbox.holding("SELECT FROM coverage FOR UPDATE"):
            held.lift()
            await sandbox.waits_in(service, "%FOR UPDATE OF t, c%")
            written = await sandbox.ledger.fetch("SELECT DISTINCT model, time FROM v_predictions")
            await service.kill()
            nothing_covered = not any((await sandbox.ledger.covered()).values())

    await start_again(sandbox, config)

    assert written
    assert nothing_covered
    runs = sandbox.executed()
    written_last = {(row["model"], row["time"]) for row in written}
    assert any(runs.count(run) == 2 for run in written_last)


async def test_killed_right_after_a_settle_it_does_not_start_that_task_again(sandbox: Sandbox):
    config = sandbox.config()
    hanging = sandbox.gordo.controls.trouble(Hang(), PREDICTING, skip=1)
    async with serving(config) as service:
        await service.until(lambda: _stored(sandbox, 1), what="one task is settled, the others hang")
        await service.kill()
    (settled,) = await sandbox.ledger.tasks("stored")
    hanging.lift()

    await start_again(sandbox, config)

    assert sandbox.executed().count(last_row(settled)) == 1
    assert [task["starts"] for task in await sandbox.ledger.tasks("stored") if task["id"] == settled["id"]] == [1]


async def test_killed_before_tasks_are_marked_as_published_it_publishes_them_again(sandbox: Sandbox):
    """The queue has died with its process, so this is the same as a death between planning and publishing."""
    config = sandbox.config()
    connection = await asyncpg.connect(sandbox.ledger.url)
    await connection.execute(_HOLD_MARKS)
    await connection.execute("SELECT pg_advisory_lock(42)")
    async with serving(config) as service:
        await sandbox.waits_in(service, "%UPDATE task t SET state = 'published'%")
        await service.kill()
    await connection.execute(_CONNECTIONS_OF_THE_DEAD)
    planned = await sandbox.ledger.tasks("planned")
    out = await sandbox.ledger.value("SELECT count(*) FROM task")
    await connection.close()  # and with it the lock

    await start_again(sandbox, config)

    stored = {task["id"]: task["starts"] for task in await sandbox.ledger.tasks("stored")}
    assert len(planned) == out > 0
    assert {task["id"]: stored[task["id"]] for task in planned} == dict.fromkeys((task["id"] for task in planned), 1)


async def test_the_embedded_ledger_survives_the_kill_of_the_process_that_started_it(
    database_url: str, tmp_path: Path, server_folder: Path
):
    data_dir = server_folder / "ledger"
    async with open_sandbox(database_url, tmp_path, models=2) as outer:
        config = outer.config(ledger={"kind": "embedded", "data_dir": str(data_dir)})
        hanging = outer.gordo.controls.trouble(Hang(), PREDICTING, skip=2)
        async with serving(config) as service:
            await service.until(lambda: len(service.events("task.finished")) == 2, what="2 tasks are settled")
            await service.kill()
        hanging.lift()

        async with open_embedded(data_dir) as url, looking_at(url) as ledger:
            inner = Sandbox(outer.gordo, ledger, tmp_path, models=2)
            before = await ledger.tasks("stored")
            await start_again(inner, config)

    assert len(before) == 2
    assert [outer.executed().count(last_row(task)) for task in before] == [1, 1]
    assert not (data_dir / "data" / "postmaster.pid").exists()


async def test_killed_while_it_reads_what_is_to_be_predicted_it_retires_nothing_and_predicts_all(sandbox: Sandbox):
    async with open_sandbox_timeseries(projects=[PROJECT]) as api:
        config = _discovering(sandbox, api)
        held = api.controls.fault(FaultKind.DELAY, "/projects", seconds=600, times=10**6)
        async with serving(config) as service:  # before there is any list
            await service.until(lambda: held.met, what="it asks for the projects")
            await service.kill()
        assert await sandbox.ledger.value("SELECT count(*) FROM v_models") == 0
        api.controls.faults.clear()
        await start_again(sandbox, config)
        before = await _states(sandbox)

        held = api.controls.fault(FaultKind.DELAY, "/projects", seconds=600, times=10**6)
        async with serving(config) as service:  # when there is one
            await service.until(lambda: held.met, what="it asks for the projects")
            await service.kill()
        between = await _states(sandbox)
        api.controls.faults.clear()
        asked = api.controls.count("/projects")
        async with serving(config) as service:
            await service.until(lambda: api.controls.count("/projects") > asked + 1, what="it has a list again")
            await sandbox.whole(service)
            assert await service.stop() == 0

    assert set(before.values()) == {"active"}
    assert len(before) == sandbox.models
    assert before == between == await _states(sandbox)


async def test_killed_while_it_records_what_is_to_be_predicted_it_predicts_all(sandbox: Sandbox):
    async with open_sandbox_timeseries(projects=[]) as api:
        config = _discovering(sandbox, api)
        async with serving(config) as service:  # with the schema, and an empty list
            await service.until(lambda: sandbox.ledger.value("SELECT count(*) FROM discovery"), what="it has a list")
            assert await service.stop() == 0
        api.projects.append(PROJECT)
        async with serving(config) as service, sandbox.holding("LOCK TABLE discovery IN SHARE MODE"):
            await sandbox.waits_in(service, "%INSERT INTO discovery%")
            await service.kill()
        await sandbox.ledger.fetch(_CONNECTIONS_OF_THE_DEAD)

        await start_again(sandbox, config)

    assert set((await _states(sandbox)).values()) == {"active"}


def _discovering(sandbox: Sandbox, api: SandboxTimeseries) -> Path:
    return sandbox.config(
        models={"projects": [], "discover": {"kind": "metadata_api"}, "refresh": "1s"},
        metadata_api={"url": api.metadata_url, "token": "a-token"},
    )


async def _states(sandbox: Sandbox) -> dict[str, str]:
    return {row["model"]: row["state"] for row in await sandbox.ledger.fetch("SELECT model, state FROM v_models")}


async def _stored(sandbox: Sandbox, count: int) -> bool:
    return len(await sandbox.ledger.tasks("stored")) == count


async def _claimed(sandbox: Sandbox, count: int) -> bool:
    return len(await sandbox.ledger.tasks("claimed")) >= count
