"""New revisions while Latigo runs: noticed without a restart, whatever the processes of the model server agree on."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from latigo.domain.coverage import Coverage
from latigo.domain.windows import Window
from latigo.sandbox.gordo.controls import CallKind, Scope
from tests.support.process import PROJECT, SLOT, Service, latigo, newest_due, serving
from tests.support.sandbox import Sandbox

LISTS = Scope(kinds={CallKind.REVISIONS})
RECOMPUTE = f'\n[[override]]\nmatch = "{PROJECT}/*"\non_revision = "recompute"\nrecompute = "2m"\n'
_STATES = "SELECT model, state, revision, epoch FROM v_models ORDER BY model"


async def ask(sandbox: Sandbox, *arguments: str) -> Any:
    """What a command prints as JSON."""
    command = (*arguments, "--json", "--config", str(sandbox.config()))
    ended, output, errors = await latigo(*command, folder=sandbox.folder)
    assert ended == 0, errors
    return orjson.loads(output)


async def states(sandbox: Sandbox) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in await sandbox.ledger.fetch(_STATES)]


async def are_in(sandbox: Sandbox, service: Service, models: Sequence[str], revision: str) -> None:
    async def known() -> bool:
        rows = await states(sandbox)
        return {name for name, _, found, _ in rows if found == revision} >= set(models)

    await service.until(known, within=180, what=f"all models are known in revision {revision}")


async def are_done(sandbox: Sandbox, service: Service, requests: int) -> None:
    async def done() -> bool:
        states = await sandbox.ledger.fetch("SELECT state FROM request WHERE state IS NOT NULL")
        return len(states) == requests and all(row["state"] in {"done", "cancelled"} for row in states)

    await service.until(done, within=180, what=f"{requests} requests are done")


async def more_lists(sandbox: Sandbox, service: Service, number: int) -> None:
    """Wait until the server was asked for its revisions so many times more."""
    until = sandbox.gordo.controls.count(LISTS) + number
    await service.until(lambda: sandbox.gordo.controls.count(LISTS) >= until, within=180, what="it lists the models")


def runs(sandbox: Sandbox, revision: str) -> set[tuple[str, datetime]]:
    """Models, and the last rows of what was predicted in a revision."""
    executed = sandbox.gordo.controls.executed
    return {(run.model, run.last) for run in executed if run.revision == revision and run.last is not None}


async def test_processes_that_disagree_about_the_latest_revision_make_nothing_flap(sandbox: Sandbox):
    project = sandbox.gordo.projects[PROJECT]
    old, new = project.latest, str(int(project.latest) + 1000)
    everything = list(project.revisions[old].values())
    *staying, leaving = sorted(project.revisions[old])
    async with serving(sandbox.config()) as service:
        await sandbox.whole(service)
        project.publish(new, [model for model in everything if model.name != leaving])
        project.disagree(old)
        await are_in(sandbox, service, staying, new)
        await service.until(lambda: sandbox.ledger.value("SELECT model FROM v_models WHERE state = 'missing'"))
        seen = set()
        for _ in range(4):
            await more_lists(sandbox, service, 2)
            seen.update(await states(sandbox))
        disagreeing = await sandbox.ledger.missing(newest_due())
        project.disagree(None)
        await more_lists(sandbox, service, 3)
        until = newest_due()
        await service.until(lambda: sandbox.ledger.is_whole(len(staying), until), what="all is covered")
        exceptions, parked = await sandbox.ledger.exceptions(), await sandbox.ledger.parked()
        left = (await sandbox.ledger.covered())[leaving]
        project.publish(str(int(new) + 1000), everything)
        await are_in(sandbox, service, [*staying, leaving], str(int(new) + 1000))
        until = await sandbox.whole(service)
        assert await service.stop() == 0

    assert seen == {(leaving, "missing", old, 1), *((name, "active", new, 2) for name in staying)}
    assert set(disagreeing) == set(staying)
    assert (exceptions, parked) == ([], [])
    back = (await sandbox.ledger.covered())[leaving]
    since = await sandbox.ledger.value("SELECT since FROM v_models WHERE model = $1", leaving)
    assert (left - back, Coverage((Window(since, until),)) - back) == (Coverage(), Coverage())
    assert {epoch for *_, epoch in await states(sandbox)} == {2, 3}


async def test_a_new_revision_predicts_again_what_an_override_asks_for(sandbox: Sandbox):
    project = sandbox.gordo.projects[PROJECT]
    old = project.latest
    new, newest = str(int(old) + 1000), str(int(old) + 2000)
    models = sorted(project.revisions[old])
    project.expected = [*models, "not-built"]
    config = sandbox.config()
    config.write_text(config.read_text() + RECOMPUTE)
    async with serving(config) as service:
        await sandbox.whole(service)
        noticed = newest_due()
        project.publish(new)
        await are_in(sandbox, service, models, new)
        await are_done(sandbox, service, 1)
        (first,) = await ask(sandbox, "backfills", "list")
        expected = await ask(sandbox, "models", "list", "--state", "expected")
        project.publish(newest)
        await are_in(sandbox, service, models, newest)
        await are_done(sandbox, service, 2)
        second, _ = await ask(sandbox, "backfills", "list")
        assert await service.stop() == 0

    assert (first["who"], first["kind"], first["state"]) == ("latigo", "replace", "done")
    assert first["why"] == f"new revision {new}: on_revision is recompute, 2m"
    assert second["selector"] == {"names": [PROJECT], "revision": newest, "recompute": "2m"}
    assert {row["model"] for row in expected} == {"not-built"}
    assert len({name for name, last in runs(sandbox, new) if last < noticed}) == len(models)
    assert await rows_by_older(sandbox, models, noticed - SLOT * 2, noticed, old) == 0


async def rows_by_older(sandbox: Sandbox, models: Sequence[str], start: datetime, end: datetime, revision: str) -> int:
    """How many rows of this time the sink still has of a revision."""
    rows = "SELECT count(*) FROM v_predictions WHERE model = ANY ($1) AND time >= $2 AND time < $3 AND revision = $4"
    return int(await sandbox.ledger.value(rows, list(models), start, end, revision))


async def test_a_task_that_is_out_in_a_revision_that_goes_is_planned_again_in_the_new_one(sandbox: Sandbox):
    project = sandbox.gordo.projects[PROJECT]
    old, new = project.latest, str(int(project.latest) + 1000)
    models = sorted(project.revisions[old])
    with sandbox.gordo.controls.hold() as held:
        async with serving(sandbox.config()) as service:
            await service.meets(held)  # Gordo has the task, and has not looked for its revision yet
            project.publish(new)
            project.forget(old)
            await are_in(sandbox, service, models, new)
            held.lift()
            until = await sandbox.whole(service)
            exceptions, parked = await sandbox.ledger.exceptions(), await sandbox.ledger.parked()
            assert await service.stop() == 0

    assert (exceptions, parked) == ([], [])
    assert {(state, revision) for _, state, revision, _ in await states(sandbox)} == {("active", new)}
    await sandbox.ledger.assert_adds_up(sandbox.models, until)
