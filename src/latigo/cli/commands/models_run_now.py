"""``latigo models run-now``."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from latigo.cli.exits import Exit
from latigo.cli.options import ConfigOption, JsonOption, ModelArgument, WhyOption, model_ref
from latigo.cli.tables import cell, last_line, show_json

if TYPE_CHECKING:
    from latigo.cli.asking import Service
    from latigo.reports.tasks import TaskEnd
    from latigo.web.api.controls import Running

EXAMPLES = (
    "latigo models run-now plant-a/pump-001 --reason 'the sensor was repaired' --wait",
    "latigo models run-now plant-a/pump-001 --reason 'after a new calibration' --json",
)
OVER_HTTP = True

#: Interval between two looks at a task that is waited for.
_POLL = timedelta(seconds=1)


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
    from latigo.cli.asking import with_service
    from latigo.runtime.clock import SystemClock
    from latigo.web.api.controls import RUN_NOW, TASK

    ref = model_ref(model)

    async def work(service: "Service") -> "tuple[Running, TaskEnd | None]":
        running = await service.ask(RUN_NOW, project=ref.project, model=ref.name, reason=reason)
        if wait and not as_json:
            typer.echo(_planned(model, running), err=True)
        if running.stopped:
            typer.echo(f"It waits: {running.stopped}", err=True)
        while wait:
            state = await service.ask(TASK, task=running.task)
            if state.end is not None or not state.known:
                return running, state.end
            await SystemClock().sleep(_POLL)
        return running, None

    running, end = with_service(config, work)
    if as_json:
        window = {"start": running.start, "end": running.end}
        show_json({"model": model, **window, "claimed_by": running.claimed_by, "waits": running.waits, "ended": end})
    elif wait:
        typer.echo(_ended(model, running, end))
    else:
        typer.echo(f"{_planned(model, running)}; latigo tasks list --model {model} shows how far it is")
    if wait and (end is None or not end.stored):
        raise typer.Exit(Exit.FAILED)


def _planned(model: str, running: "Running") -> str:
    if running.claimed_by:
        return f"{model}: {running.claimed_by} is at {_span(running)} already"
    return f"{model}: {_span(running)} is planned" + (", for when its running task has ended" if running.waits else "")


def _span(running: "Running") -> str:
    return f"{cell(running.start)} to {cell(running.end)}"


def _ended(model: str, running: "Running", end: "TaskEnd | None") -> str:
    from latigo.runtime.units import counted

    if end is None:
        return f"{model}: the task was withdrawn, since the model has changed or was paused"
    if end.stored:
        return f"{model}: {_span(running)} is predicted, {counted(end.rows, 'row')}"
    why = end.reason or last_line(end.detail)
    detail = f": {last_line(end.detail)}" if end.reason and end.detail else ""
    if not end.outcome:
        again = f", and tried again at {cell(end.next_attempt)}" if end.next_attempt else ""  # or why names the pause
        return f"{model}: not predicted yet{again}: {why}"
    return f"{model}: {end.outcome}: {why}{detail}"
