"""``latigo failures dismiss``."""

from typing import TYPE_CHECKING, Annotated

import typer

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
    why,
)
from latigo.cli.tables import show_json, show_pairs
from latigo.reports.choices import DISMISSED

if TYPE_CHECKING:
    from latigo.actions.dismissing import DismissalCount
    from latigo.cli.asking import Service

EXAMPLES = (
    "latigo failures dismiss --sensor GRA-TT-001 --note 'gone since the rebuild of May' --dry-run",
    "latigo failures dismiss --project plant-a --reason values_refused --note 'model 12 is being retrained'",
    "latigo failures dismiss --sensor GRA-TT-001 --undo",
)
OVER_HTTP = True


def run(
    config: ConfigOption = None,
    project: ProjectOption = None,
    model: ModelOption = None,
    sensor: SensorOption = None,
    reason: Annotated[str | None, reason_option(DISMISSED)] = None,
    everything: Annotated[bool, typer.Option("--all", help="All failures there are.")] = False,
    note: Annotated[str, typer.Option("--note", help="Why, for the record.", callback=why)] = "",
    undo: Annotated[bool, typer.Option("--undo", help="End their dismissal.")] = False,
    dry_run: DryRunOption = False,
    expect: ExpectOption = "",
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take failures out of the alarms, until their model has another revision.

    Name a project, a model, a sensor or a reason, or use --all, which asks for confirmation. Dismissed failures are
    tried again as before, and listed by latigo failures --dismissed with who, when and why. Exit code 2 when there is
    no such project, model or sensor, or when the selection has another digest than the expected one.
    """
    check_reason(reason)
    if reason is not None and reason not in DISMISSED:
        raise typer.BadParameter(f"{reason} is of messages, and they pass by themselves", param_hint="--reason")
    if project is None and model is None and sensor is None and reason is None and not everything:
        raise typer.BadParameter("Name --project, --model, --sensor or --reason, or use --all")
    if not (note or undo or dry_run):
        raise typer.BadParameter("Say why, for those who meet the failure next", param_hint="--note")
    from latigo.cli.asking import with_service
    from latigo.web.api.failures import DISMISS

    selected, asks = selection(project, model, sensor), everything and not yes
    wanted = {
        "selector": {**selected._asdict(), "reason": reason, "everything": everything},
        "undo": undo,
        "reason": note,
    }

    async def work(service: "Service") -> "DismissalCount":
        expected = expect
        if dry_run or asks:
            if not dry_run:
                require_terminal("latigo failures dismiss --all", yes=yes)
            count = (await service.ask(DISMISS, **wanted, dry_run=True)).count
            if dry_run:
                return count
            confirm(f"{'End the dismissal of' if undo else 'Dismiss'} {count.failures} failures?")
            expected = expect or count.digest
        return (await service.ask(DISMISS, **wanted, expect=expected)).count

    count = with_service(config, work)
    if as_json:
        show_json(count)
    elif dry_run:
        show_pairs(dict(count))
        typer.echo(f"Nothing was changed. To do exactly this: the same command with --expect {count.digest}")
    else:
        _show(count, undo=undo)


def _show(count: "DismissalCount", *, undo: bool) -> None:
    from latigo.runtime.units import counted

    if not count.failures:
        typer.echo(
            "Nothing like that is dismissed" if undo else "Nothing like that has failed, or all of it is dismissed"
        )
        return
    what = f"{counted(count.failures, 'failure')} of {counted(count.models, 'model')}"
    typer.echo(f"No longer dismissed: {what}" if undo else f"Dismissed {what}; latigo failures --dismissed lists them")
