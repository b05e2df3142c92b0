"""``latigo models run-now``."""

from typing import TYPE_CHECKING, Annotated

import typer

from latigo.cli.exits import Exit
from latigo.cli.options import (
    ConfigOption,
    JsonOption,
    ModelArgument,
    Selected,
    WhyOption,
    model_ref,
    settings_of,
    with_ledger,
)
from latigo.cli.tables import cell, last_line, show_json

if TYPE_CHECKING:
    from latigo.actions.run_now import RunningNow
    from latigo.postgres.database import Database
    from latigo.reports.tasks import TaskEnd

EXAMPLES = (
    "latigo models run-now plant-a/pump-001 --reason 'the sensor was repaired' --wait",
    "latigo models run-now plant-a/pump-001 --reason 'after a new calibration' --json",
)


def run(
    model: ModelArgument,
    reason: WhyOption,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has ended, and show how.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Predict the newest slot of one model now, also if it is covered.

    It is published ahead of all that is only planned, and overwrites what is there; if it was parked, it is tried
    again. A task that an executor has begun ends first. Exit code 1 when the model is not predicted now or, with
    --wait, when it fails; 2 when there is no such model.
    """
    from latigo.actions.run_now import run_now
    from latigo.reports.status import read_stopped
    from latigo.reports.tasks import wait_for_end
    from latigo.runtime.clock import SystemClock
    from latigo.wiring.resources import user_at_host

    ref = model_ref(model)

    async def work(database: "Database") -> "tuple[RunningNow, TaskEnd | None]":
        running = await run_now(database, user_at_host(), ref, reason)
        if wait and not as_json:
            typer.echo(_planned(model, running), err=True)
        if stopped := await read_stopped(database):
            typer.echo(f"It waits: {stopped}", err=True)
        return running, await wait_for_end(database, running.task, SystemClock()) if wait else None

    running, end = with_ledger(settings_of(config), work, Selected(*ref))
    if as_json:
        window = {"start": running.window.start, "end": running.window.end}
        show_json({"model": model, **window, "claimed_by": running.claimed_by, "waits": running.waits, "ended": end})
    elif wait:
        typer.echo(_ended(model, running, end))
    else:
        typer.echo(f"{_planned(model, running)}; latigo tasks list --model {model} shows how far it is")
    if wait and (end is None or not end.stored):
        raise typer.Exit(Exit.FAILED)


def _planned(model: str, running: "RunningNow") -> str:
    if running.claimed_by:
        return f"{model}: {running.claimed_by} is at {_span(running)} already"
    return f"{model}: {_span(running)} is planned" + (", for when its running task has ended" if running.waits else "")


def _span(running: "RunningNow") -> str:
    return f"{cell(running.window.start)} to {cell(running.window.end)}"


def _ended(model: str, running: "RunningNow", end: "TaskEnd | None") -> str:
    from latigo.runtime.units import counted

    if end is None:
        return f"{model}: the task was withdrawn, since the model has changed or was paused"
    if end.stored:
        return f"{model}: {_span(running)} is predicted, {counted(end.rows, 'row')}"
    why = end.reason or last_line(end.detail)
    detail = f": {last_line(end.detail)}" if end.reason and end.detail else ""
    if not end.outcome:
        return f"{model}: failed, and is tried again at {cell(end.next_attempt)}: {why}"
    return f"{model}: {end.outcome}: {why}{detail}"
