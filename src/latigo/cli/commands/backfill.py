"""``latigo backfill``."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from latigo.cli.exits import Exit
from latigo.cli.names_file import read_names_file
from latigo.cli.options import (
    ConfigOption,
    DryRunOption,
    ExpectOption,
    JsonOption,
    WhyOption,
    required_range,
)
from latigo.cli.tables import show_json, show_pairs, show_table

if TYPE_CHECKING:
    from latigo.cli.asking import Service
    from latigo.reports.backfills import Backfill, BackfillPreview
    from latigo.web.api.requests import BackfillAnswer

EXAMPLES = (
    "latigo backfill plant-a --from -90d --to -30d --dry-run",
    "latigo backfill 'plant-a/pump-*' --from 2024-05-01 --to 2024-06-01 --replace --reason 'new calibration'",
    "latigo backfill --models-from models.txt --sensor 1902.TT-0001.PV --from -7d --wait",
    "latigo backfill --sink influx --dry-run",
)
OVER_HTTP = True


def run(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PROJECT[/MODEL]]...", help="Projects or models; * and ? stand for any characters."),
    ] = None,
    since: Annotated[str, typer.Option("--from", help="Begin: ISO 8601, or relative such as -90d.")] = "",
    until: Annotated[str, typer.Option("--to", "--until", help="End: ISO 8601, relative, or now.")] = "now",
    replace: Annotated[
        bool, typer.Option("--replace", help="Predict again and overwrite what is there, not only what is missing.")
    ] = False,
    sink: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Copy to this sink what it lacks, and predict what no other sink has."),
    ] = None,
    sensor: Annotated[str | None, typer.Option(metavar="TAG", help="Only models that read this sensor.")] = None,
    models_from: Annotated[
        Path | None, typer.Option("--models-from", metavar="FILE", help="Models as well, one in a line.")
    ] = None,
    reason: WhyOption = "",
    at_most: Annotated[
        int | None, typer.Option(min=1, max=2**31 - 1, help="Tasks that may be out for it at the same time.")
    ] = None,
    stop_after: Annotated[
        int | None, typer.Option(min=1, max=2**31 - 1, help="Pause it after so many failed windows.")
    ] = None,
    dry_run: DryRunOption = False,
    expect: ExpectOption = "",
    wait: Annotated[bool, typer.Option("--wait", help="Show progress until it has ended.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Request predictions of a stretch of time, however long ago.

    Predicts what is missing there; with --replace all of it. The request is kept with who, when and why, survives
    restarts, and never keeps live predictions waiting: see latigo backfills.

    With --sink, for a required sink that was added later: what other sinks have is copied to it, and only what none
    has is predicted. All that it lacks, unless a time or models are given; with --replace, what it has as well.

    Exit code 2 when nothing is selected or --expect does not match, 3 when --wait ends with slots left.
    """
    from latigo.cli.asking import with_service
    from latigo.cli.backfill_progress import follow
    from latigo.runtime.clock import SystemClock
    from latigo.web.api.requests import BACKFILL

    clock = SystemClock()
    names = [*(models or []), *(read_names_file(models_from) if models_from else [])]
    if not names:
        if sensor is None and sink is None:
            raise typer.BadParameter("Name projects or models, --models-from or --sensor; '*' selects every model")
        names = ["*"]
    window = required_range(since, until, clock.now()) if since or sink is None else None
    wanted = {
        "selector": {"names": names, "sensor": sensor},
        "replace": replace,
        "sink": sink,
        "at_most": at_most,
        "stop_after": stop_after,
        "dry_run": dry_run,
        "expect": expect,
        "reason": reason,
        **({} if window is None else {"since": window.start.isoformat(), "until": window.end.isoformat()}),
    }

    async def work(service: "Service") -> "tuple[BackfillAnswer, Backfill | None]":
        answer = await service.ask(BACKFILL, **wanted)
        for note in answer.notes:
            typer.echo(note, err=True)
        if answer.id is None or not wait:
            return answer, None
        return answer, await follow(service, answer.id, clock)

    answer, ended = with_service(config, work)
    number, preview = answer.id, answer.preview
    if dry_run:
        show_json(preview) if as_json else _show_preview(preview)
        return
    if as_json:
        show_json({"id": number, **dict(preview), "ended": ended})
    else:
        _show_preview(preview)
        _show_request(number, ended)
    if ended and (ended.slots_left or ended.state != "done"):
        raise typer.Exit(Exit.UNHEALTHY)


def _show_request(number: int | None, ended: "Backfill | None") -> None:
    if number is None:
        typer.echo("Nothing is left to do there, so nothing was requested")
    elif ended is None:
        typer.echo(f"Requested as {number}; latigo backfills show {number} shows how far it is")
    else:
        left = f", {ended.slots_left} of {ended.slots} slots left: {ended.note}" if ended.slots_left else ""
        typer.echo(f"Request {number} is {ended.state}{left}")


_KINDS = {"fill": "what is missing", "replace": "all of it again", "copy": "to {}"}
#: In words, by the reason of what is left out.
_LEFT_OUT = {
    "covered": "predicted already; --replace predicts it again",
    "excepted": "no readings, or not all: the rechecks of the schedule stand; --replace tries again",
    "parked": "wanted, and waits: it failed before; latigo failures lists it, latigo retry ends that",
    "not_readable": "older than the readings that the source keeps: sensors.retention",
    "not_kept": "older than what a sink keeps: predictions.retention",
    "not_predicted": "models that are not predicted: disabled, unregistered, missing, retired or unusable",
}


def _show_preview(preview: "BackfillPreview") -> None:
    from latigo.domain.windows import iso
    from latigo.runtime.units import rough_time

    if preview.kind == "copy" and not (preview.slots or preview.left_out):
        typer.echo(f"{preview.sink} lacks nothing there")
        return
    facts = {
        "kind": f"{preview.kind}: {_KINDS[preview.kind].format(preview.sink)}",
        "from": iso(preview.start),
        "to": iso(preview.end),
        "models": preview.models,
        "slots": f"{preview.slots} in {preview.windows} windows",
        "calls": preview.calls,
    }
    if preview.kind == "copy":
        facts["copied"] = f"{preview.copied} slots that other sinks have, as far as the ledger knows"
        facts["predicted"] = f"{preview.predicted} slots that no other sink has"
    if preview.seconds is not None:
        facts["takes about"] = rough_time(timedelta(seconds=preview.seconds))
    show_pairs({**facts, "digest": preview.digest})
    if preview.left_out:
        rows = [{**dict(row), "meaning": _LEFT_OUT[row.reason]} for row in preview.left_out]
        show_table(rows, ("reason", "models", "slots", "meaning"), title="Left out, or waiting")
    if preview.backfill_paused:
        from latigo.reports.status import BACKFILL_WAITS

        typer.echo(f"\nIt waits: {BACKFILL_WAITS}")
