"""``latigo limits``."""

from typing import TYPE_CHECKING, Annotated

import typer

from latigo.cli.options import ConfigOption, JsonOption, WhyOption, settings_of, with_ledger
from latigo.cli.tables import cell, show_json, show_line, show_table

if TYPE_CHECKING:
    from latigo.postgres.database import Database
    from latigo.reports.limits import ConfiguredLimits, LimitsReport
    from latigo.settings import Settings

EXAMPLES = (
    "latigo limits",
    "latigo limits --concurrency 8 --reason 'the model server is being moved'",
    "latigo limits --pause-backfill --reason 'month-end reports need the model server'",
    "latigo limits --resume-backfill --reset --reason 'all is done'",
)


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
    from latigo.actions.limits import reset_limits, set_limits
    from latigo.actions.limits import resume_backfill as resume
    from latigo.reports.limits import read_limits
    from latigo.wiring.resources import user_at_host

    settings = settings_of(config)

    async def work(database: "Database") -> "LimitsReport":
        who = user_at_host()
        if reset:
            await reset_limits(database, who, reason)
        if resume_backfill:
            await resume(database, who, reason)
        if limits != CONFIGURED:
            await set_limits(database, who, limits, reason)
        return await read_limits(database, _configured(settings))

    report = with_ledger(settings, work)
    show_json(report) if as_json else _show(report)


def _configured(settings: "Settings") -> "ConfiguredLimits":
    from latigo.reports.limits import ConfiguredLimits

    return ConfiguredLimits(
        concurrency=settings.executor.concurrency,
        backfill_share=settings.backfill.min_share,
        outstanding=settings.task_queue.max_outstanding,
    )


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
