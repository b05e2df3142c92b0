"""``latigo retry``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from latigo.cli.names_file import read_names_file
from latigo.cli.options import (
    ConfigOption,
    DryRunOption,
    ExpectOption,
    JsonOption,
    ModelOption,
    ProjectOption,
    SensorOption,
    YesOption,
    check_reason,
    confirm,
    reason_option,
    require_terminal,
    selection,
    time_range,
    why,
)
from latigo.cli.tables import show_json, show_pairs, show_table
from latigo.domain.outcome import UNSTORED
from latigo.reports.choices import RETRIED

if TYPE_CHECKING:
    from latigo.actions.retry import RetryCount
    from latigo.cli.asking import Service
    from latigo.web.api.failures import RetryAnswer

EXAMPLES = (
    "latigo retry --project plant-a --reason unknown_sensor",
    "latigo retry --sensor GRA-TT-001 --dry-run",
    "latigo retry 'plant-a/pump-*' plant-b --from -6h --note 'the network is back'",
    "latigo retry --all --yes",
)
OVER_HTTP = True


def run(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PROJECT[/MODEL]]...", help="Projects or models; * and ? stand for any characters."),
    ] = None,
    config: ConfigOption = None,
    project: ProjectOption = None,
    model: ModelOption = None,
    sensor: SensorOption = None,
    reason: Annotated[str | None, reason_option(RETRIED)] = None,
    since: Annotated[str | None, typer.Option("--from", help="Only whole slots from here on, such as -6h.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Only whole slots up to here.")] = None,
    models_from: Annotated[
        Path | None, typer.Option("--models-from", metavar="FILE", help="Models as well, one in a line.")
    ] = None,
    note: Annotated[str, typer.Option("--note", help="Why, for the record.", callback=why)] = "",
    everything: Annotated[bool, typer.Option("--all", help="All projects and models.")] = False,
    dry_run: DryRunOption = False,
    expect: ExpectOption = "",
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Try again what is parked or waits for another attempt.

    Name projects or models, a sensor, a reason or a time, or use --all, which asks for confirmation. With a sensor,
    slots that lack its readings are rechecked now. With a time, only the slots in it. The request is recorded with who,
    when and why. Exit code 2 when there is no such project, model or sensor, or when the selection has another digest
    than the expected one.
    """
    _check_reason(reason)
    names = [*(models or []), *(read_names_file(models_from) if models_from else [])]
    if not (names or everything) and {project, model, sensor, reason, since, until} == {None}:
        raise typer.BadParameter("Name models, --project, --model, --sensor, --reason or --from, or use --all")
    from latigo.cli.asking import with_service
    from latigo.runtime.clock import SystemClock
    from latigo.web.api.failures import RETRY

    selected, asks = selection(project, model, sensor), everything and not yes
    start, end = (time and time.isoformat() for time in time_range(since, until, SystemClock().now()))
    some = {"names": names, "since": start, "until": end, "everything": everything}
    wanted = {"selector": {**selected._asdict(), "reason": reason, **some}, "reason": note}

    async def work(service: "Service") -> "RetryAnswer":
        expected = expect
        if asks and not dry_run:
            require_terminal("latigo retry --all", yes=yes)
            count = (await service.ask(RETRY, **wanted, dry_run=True)).count
            confirm(f"Retry {count.windows} parked windows and {count.waiting} waiting tasks?")
            expected = expect or count.digest
        return await service.ask(RETRY, **wanted, dry_run=dry_run, expect=expected)

    answer = with_service(config, work)
    if dry_run:
        _show_count(answer.count, as_json=as_json)
        return
    unparked, woken, rechecked = answer.unparked, answer.woken, answer.rechecked
    if as_json:
        show_json(unparked)
        return
    if unparked:
        show_table(unparked, ("project", "model", "reason"), title="No longer parked")
    if rechecked:
        typer.echo(f"Models whose slots without readings are rechecked now: {rechecked}")
    if woken:
        typer.echo(f"Tasks that waited and are tried again: {woken}")
    if not (unparked or rechecked or woken):
        typer.echo("Nothing was parked, and nothing waited")


def _show_count(count: "RetryCount", *, as_json: bool) -> None:
    if as_json:
        show_json(count)
        return
    show_pairs(
        {
            "models": count.models,
            "parked windows": count.windows,
            "waiting tasks": count.waiting,
            "models to recheck": count.rechecked,
            "digest": count.digest,
        }
    )
    typer.echo(f"Nothing was changed. To retry exactly this: the same command with --expect {count.digest}")


def _check_reason(reason: str | None) -> None:
    check_reason(reason)
    if reason is None or reason in RETRIED:
        return
    advice = (
        f"mend the model or the sink; latigo failures --reason {reason} lists the slots, and when they are rechecked"
        if reason in UNSTORED
        else f"what these messages were about is planned again by itself; latigo failures --reason {reason} lists them"
    )
    raise typer.BadParameter(f"{reason} is neither parked nor waiting: {advice}", param_hint="--reason")
