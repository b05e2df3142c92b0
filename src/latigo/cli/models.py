"""Commands about models and sensors."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from latigo import __version__
from latigo.cli.asking import what_failed
from latigo.cli.context import (
    ConfigOption,
    Exit,
    JsonOption,
    ModelArgument,
    ProjectOption,
    cell,
    model_ref,
    run_async,
    settings_of,
    show_json,
    show_table,
)
from latigo.domain.model import ModelRef
from latigo.ledger.model_store import PostgresModelLedger
from latigo.ledger.reports import LedgerReports
from latigo.runtime.clock import SystemClock
from latigo.settings import Settings
from latigo.wiring.resources import open_ledger, open_resources, open_sensors

models = typer.Typer(help="Which models are predicted, and how they are.", no_args_is_help=True, rich_markup_mode=None)
sensors = typer.Typer(help="Which sensors the source knows.", no_args_is_help=True, rich_markup_mode=None)


def add_to(cli: typer.Typer) -> None:
    """Put the commands of this file under ``cli``."""
    cli.add_typer(models, name="models")
    cli.add_typer(sensors, name="sensors")


@models.command("list")
def list_(config: ConfigOption = None, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """List the models that the ledger knows, with their state and how far they are covered."""
    settings = settings_of(config)

    async def work() -> Sequence[Any]:
        async with open_ledger(settings) as database:
            return await LedgerReports(database, __version__).models(project)

    found = run_async(work)
    if as_json:
        show_json(found)
        return
    columns = ("project", "model", "revision", "state", "slot", "covered_until", "silent_since", "parked")
    show_table(found, columns, empty="no models known yet; is a scheduler running?", if_any=("silent_since", "parked"))


@models.command()
def show(model: ModelArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show one model: what the server says of it, and what the ledger knows.

    Exit code 3 when the server does not have it or it cannot be predicted.
    """
    ref, settings = model_ref(model), settings_of(config)

    async def work() -> dict[str, Any]:
        async with open_resources(settings) as resources:
            status = await resources.models.get_model_status(ref)
            known = await resources.reports.models(ref.project, ref.name)
            parked = await resources.reports.failures(ref.project, ref.name)
        spec = status.spec
        return {
            "model": str(ref),
            "exists": status.exists,
            "registered": status.registered,
            "revision": status.revision,
            "problem": status.problem,
            "tags": spec.dataset.tags if spec else (),
            "spec": {**asdict(spec), "ref": str(ref)} if spec else None,
            "ledger": known[0] if known else None,
            "failures": parked,
        }

    found = run_async(work)
    if as_json:
        show_json(found)
    else:
        for key in ("model", "exists", "registered", "revision", "problem"):
            typer.echo(f"{key:<16}{cell(found[key])}")
        typer.echo(f"{'tags':<16}{', '.join(found['tags'])}")
        for key, value in (found["ledger"] or {}).items():
            typer.echo(f"{key:<16}{cell(value)}")
        if found["failures"]:
            rows = [{**each, "detail": what_failed(each)} for each in found["failures"]]
            show_table(rows, ("state", "reason", "since"), title="failures", below="detail")
    if not found["exists"] or found["problem"]:
        raise typer.Exit(Exit.NOT_AS_WANTED)


@models.command()
def register(model: ModelArgument, config: ConfigOption = None) -> None:
    """Predict a model of the server although the settings do not include it."""
    ref, settings = model_ref(model), settings_of(config)

    async def work() -> None:
        async with open_resources(settings) as resources:
            await resources.models.register_model({"project": ref.project, "name": ref.name})

    run_async(work)
    typer.echo(f"{ref} is registered; it is predicted once a scheduler has read its metadata")


@models.command()
def unregister(model: ModelArgument, config: ConfigOption = None) -> None:
    """Stop predicting a model although the settings include it. Its coverage and predictions stay."""
    ref, settings = model_ref(model), settings_of(config)
    run_async(lambda: _unregister(ref, settings))
    typer.echo(f"{ref} is no longer predicted; `latigo models register {ref}` takes that back")


async def _unregister(ref: ModelRef, settings: Settings) -> None:
    async with open_resources(settings) as resources:
        await resources.models.unregister_model(ref)
        # At once, not when the next list is read: what is planned for it falls out.
        await PostgresModelLedger(resources.database).set_state(ref.project, [ref.name], "unregistered")


@models.command("accept-loss")
def accept_loss(
    project: Annotated[str, typer.Argument(help="A project whose model list is not believed.")],
    config: ConfigOption = None,
) -> None:
    """Believe a model list that has lost many models at once."""
    settings = settings_of(config)

    async def work() -> bool:
        async with open_ledger(settings) as database:
            return await PostgresModelLedger(database).accept_loss(project)

    if not run_async(work):
        typer.echo(f"the model list of {project} is not doubted")
        raise typer.Exit(Exit.NOT_AS_WANTED)
    typer.echo(f"the next model list of {project} is believed")


@sensors.command("list")
def list_sensors(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List every tag name that the source knows."""
    settings = settings_of(config)

    async def work() -> Sequence[str]:
        async with open_sensors(settings, SystemClock()) as source:
            return await source.get_sensor_list()

    found = run_async(work)
    if as_json:
        show_json(list(found))
        return
    for name in found:
        typer.echo(name)


@sensors.command()
def exists(
    name: Annotated[str, typer.Argument(help="A tag name.")], config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Say whether the source knows a sensor. Exit code 3 when it does not."""
    settings = settings_of(config)

    async def work() -> bool:
        async with open_sensors(settings, SystemClock()) as source:
            return await source.sensor_exists(name)

    found = run_async(work)
    if as_json:
        show_json({"name": name, "exists": found})
    else:
        typer.echo(f"{name}: {'known' if found else 'not known'}")
    if not found:
        raise typer.Exit(Exit.NOT_AS_WANTED)
