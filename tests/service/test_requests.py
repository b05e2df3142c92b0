"""Requests for stretches of time: made by commands, carried out by a process, and kept when it dies."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import orjson

from latigo.domain.windows import iso
from latigo.sandbox.gordo.controls import PREDICTING, Hang
from tests.support.process import RESOLUTION, SLOT, Service, latigo, newest_due, serving
from tests.support.sandbox import Sandbox

#: Before the horizon of the plant, which is four minutes.
BEFORE, LENGTH = timedelta(minutes=30), timedelta(minutes=10)


async def run(sandbox: Sandbox, *arguments: str, code: int = 0) -> Any:
    """Run a command; what it prints as JSON."""
    command = (*arguments, "--json", "--config", str(sandbox.config()))
    ended, output, errors = await latigo(*command, folder=sandbox.folder)
    assert ended == code, errors
    return orjson.loads(output)


async def change(sandbox: Sandbox, verb: str, number: int) -> None:
    ended, output, _ = await latigo(
        *("backfills", verb, str(number), "--reason", "a test", "--config", str(sandbox.config())),
        folder=sandbox.folder,
    )
    assert (ended, f"Request {number} is" in output) == (0, True)


async def state_of(sandbox: Sandbox, number: int) -> str:
    return str(await sandbox.ledger.value("SELECT state FROM request WHERE id = $1", number))


async def is_done(sandbox: Sandbox, service: Service, number: int) -> None:
    async def done() -> bool:
        return await state_of(sandbox, number) == "done"

    await service.until(done, within=180, what=f"request {number} is done")


def calls_before(sandbox: Sandbox, end: datetime) -> Counter[tuple[str, datetime]]:
    """Runs of models on rows before ``end``."""
    return Counter(call for call in sandbox.executed() if call[1] < end)


async def test_a_request_survives_the_death_of_the_process_and_a_pause_and_can_be_repeated(sandbox: Sandbox):
    end = newest_due() - BEFORE
    span = ("--from", iso(end - LENGTH), "--to", iso(end))
    slots = sandbox.models * (LENGTH // SLOT)
    config = sandbox.config()
    async with serving(config) as service:
        await sandbox.whole(service)
        shown = await run(sandbox, "backfill", "*", *span, "--dry-run")
        hanging = sandbox.gordo.controls.trouble(Hang(), PREDICTING, skip=3)
        made = await run(sandbox, "backfill", "*", *span, "--expect", shown["digest"], "--reason", "a test")
        await hanging.reached()
        await service.kill()
    number = made["id"]
    await change(sandbox, "pause", number)
    hanging.lift()
    (paused,) = await run(sandbox, "backfills", "list")
    async with serving(config) as service:
        await sandbox.whole(service)
        left = (await run(sandbox, "backfills", "show", str(number)))["slots_left"]
        await change(sandbox, "resume", number)
        await is_done(sandbox, service, number)
        first = calls_before(sandbox, end)
        again = await run(sandbox, "backfill", "*", *span, "--replace", "--at-most", "1", "--wait")
        second = calls_before(sandbox, end) - first
        nothing = await run(sandbox, "backfill", "*", *span)
        assert await service.stop() == 0

    assert (shown["slots"], shown["models"], shown["left_out"]) == (slots, sandbox.models, [])
    assert (paused["state"], paused["why"], paused["slots"]) == ("paused", "a test", slots)
    assert 0 < left <= slots
    assert (again["slots"], again["ended"]["state"], nothing["id"]) == (slots, "done", None)
    windows = {(name, end - place * timedelta(minutes=2) - RESOLUTION) for name, _ in first for place in range(5)}
    assert set(first) == set(second) == windows
