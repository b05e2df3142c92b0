"""``latigo limits``."""

from typing import TYPE_CHECKING, Annotated

import typer

from latigo.cli.options import ConfigOption, JsonOption, WhyOption
from latigo.cli.tables import cell, show_json, show_line, show_table

if TYPE_CHECKING:
    from latigo.cli.asking import Service
    from latigo.reports.limits import LimitsReport

EXAMPLES = (
    "latigo limits",
    "latigo limits --concurrency 8 --reason 'the model server is being moved'",
    "latigo limits --pause-backfill --reason 'month-end reports need the model server'",
    "latigo limits --resume-backfill --reset --reason 'all is done'",
)
OVER_HTTP = True


def run(
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Tasks that each executor works on at once.", show_default=False)
    ] = None,
    backfill_share: Annotated[
        float | None,
        typer.Option(help="Share of task starts that backfill gets while live waits, 0 to below 1."),
    ] = None,
    outstanding: Annotated[
        int | None,
        typer.Option(
            min=0, max=100_000, help="Tasks that may be planned and not settled; 0: measured.", show_default=False
        ),
    ] = None,
    pause_backfill: Annotated[
        bool, typer.Option("--pause-backfill", help="Plan live work only: no backfill, no repairs, no requests.")
    ] = False,
    resume_backfill: Annotated[
        bool, typer.Option("--resume-backfill", help="Plan backfill, repairs and requests again.")
    ] = False,
    reset: Annotated[
        bool, typer.Option("--reset", help="Return to what the settings say; a pause of backfill stays.")
    ] = False,
    reason: WhyOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the limits of the service, or change them while it runs.

    Without options, shows what the settings say and what holds now. What is changed here is kept in the ledger with
    who, when and why, is taken by every running scheduler and executor within seconds, and holds until --reset,
    restarts included; a change needs --reason. While backfill is paused, live predictions go on, and latigo models
    run-now works.
    """
    from latigo.domain.limits import CONFIGURED, Limits

    share = None if backfill_share is None else backfill_share + 0.0  # which makes no difference but to -0
    limits = Limits(concurrency, share, outstanding, pause_backfill)
    if backfill_share is not None and not 0 <= backfill_share < 1:
        raise typer.BadParameter(f"{backfill_share:g} is not between 0 and less than 1", param_hint="--backfill-share")
    if pause_backfill and resume_backfill:
        raise typer.BadParameter("Backfill is either paused or resumed")
    if reset and limits != Limits(backfill_paused=pause_backfill):
        raise typer.BadParameter("--reset returns to the settings, so it takes no other limits")
    if (limits != CONFIGURED or resume_backfill or reset) and not reason:
        raise typer.BadParameter("Say why, for the record", param_hint="--reason")
    from latigo.cli.asking import with_service
    from latigo.web.api.queue import CHANGE_LIMITS, LIMITS

    changes = {"concurrency": concurrency, "backfill_share": share, "outstanding": outstanding, "reset": reset}
    paused = True if pause_backfill else False if resume_backfill else None

    async def work(service: "Service") -> "LimitsReport":
        if limits == CONFIGURED and not resume_backfill and not reset:
            return await service.ask(LIMITS)
        return await service.ask(CHANGE_LIMITS, **changes, backfill_paused=paused, reason=reason)

    report = with_service(config, work)
    show_json(report) if as_json else _show(report)


def _show(report: "LimitsReport") -> None:
    rows = [
        {
            "limit": limit.name.replace("_", " "),
            "setting": limit.key,
            "settings_say": "measured" if limit.name == "outstanding" and not limit.settings else limit.settings,
            "now": f"{limit.now:g} (measured)" if limit.measured else limit.now,
            "changed": limit.changed_at,
            "by": limit.changed_by,
            "reason": limit.reason,
        }
        for limit in report.limits
    ]
    changes = ("changed", "by", "reason")
    show_table(rows, ("limit", "setting", "settings_say", "now", *changes), if_any=changes)
    paused = report.backfill_paused
    if paused is None:
        typer.echo("\nBackfill goes on")
    else:
        typer.echo()
        show_line(f"Backfill is paused since {cell(paused.at)} by {paused.who}: {paused.reason}")
        typer.echo("latigo limits --resume-backfill --reason WHY resumes it")
    for executor in report.executors:
        state = ", drained" if executor.drained_at else ""
        typer.echo(f"Executor {executor.id}: {executor.in_flight} of {executor.concurrency} in flight{state}")
