"""Commands that run or prepare the service: serve, check, config, migrate."""

import asyncio
import gc
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Annotated, NamedTuple

import typer
from rich.console import Console

from latigo.cli.config import effective_configuration
from latigo.cli.context import ConfigOption, Exit, JsonOption, run_async, settings_of, show_json
from latigo.cli.predict import NoRoster
from latigo.domain.circuits import System, circuit_name
from latigo.domain.errors import ConfigurationError, LatigoError
from latigo.ledger.model_store import PostgresRoster
from latigo.ledger.protocol import DOWNSTREAM
from latigo.ledger.scheduler_store import PostgresSchedulerLedger
from latigo.postgres.database import Database
from latigo.postgres.embedded import has_database
from latigo.postgres.revisions import Standing, newest_revision, standing
from latigo.postgres.schema import current_revision, upgrade
from latigo.providers.gordo import open_gordo
from latigo.providers.protocols import ModelRoster
from latigo.runtime.clock import SystemClock
from latigo.runtime.lifecycle import GraceExceeded, stop_on_signals
from latigo.scheduler.selection import Selection
from latigo.service import serve as run_service
from latigo.settings import EmbeddedLedger, EventHubQueue, InfluxSink, PluginSink, PostgresSink, Settings
from latigo.wiring.plugins import extra
from latigo.wiring.resources import (
    RoleName,
    connect_to,
    ledger_url,
    open_sensors,
    open_sink,
    user_at_host,
)

#: Time that an event hub gets to answer `check`.
QUEUE_LIMIT = timedelta(seconds=20)


def add_to(cli: typer.Typer) -> None:
    """Put the commands of this file under ``cli``."""
    cli.command()(serve)
    cli.command()(check)
    cli.command("config")(config_)
    cli.command("migrate")(migrate_)


def serve(
    role: Annotated[RoleName, typer.Option(help="What this process does; all is the whole of Latigo.")] = RoleName.ALL,
    config: ConfigOption = None,
) -> None:
    """Run Latigo until it is told to stop.

    The first SIGTERM or Ctrl-C drains: no new work is taken, what is in hand is finished or handed back within
    executor.grace. A second one ends the process at once. Exit code 0 after a clean drain.
    """
    settings = settings_of(config, quiet=False)

    async def work() -> None:
        stop = asyncio.Event()
        with stop_on_signals(stop):
            # What is loaded by now stays for ever; the collector need not look at it again.
            gc.freeze()
            await run_service(settings, role, stop)

    try:
        run_async(work)
    except GraceExceeded as error:
        Console(stderr=True).print(f"latigo: {error}", markup=False)
        raise typer.Exit(Exit.FAILED) from error


def config_(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show the settings in effect, from file and environment, secrets masked.

    The output is a configuration file again, but for its secrets.
    """
    typer.echo(effective_configuration(settings_of(config), as_json=as_json))


def migrate_(config: ConfigOption = None) -> None:
    """Bring the ledger's schema up to date. Harmless when it is; serve does it by itself."""
    settings = settings_of(config)

    async def work() -> tuple[str | None, str]:
        async with ledger_url(settings) as url:
            return await upgrade(url, downstream=DOWNSTREAM, connect_timeout=settings.ledger.connect_timeout)

    before, after = run_async(work)
    typer.echo(f"schema {after} already" if before == after else f"schema {before or 'none'} -> {after}")


def check(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Read the configuration, reach every system, and say what is wrong.

    Does what each system is used for and no more, and changes nothing. Exit code 0 when all is well, 1 when something
    cannot be reached, 78 when the configuration cannot be used.
    """
    settings = settings_of(config)
    found = run_async(lambda: _check(settings))
    if as_json:
        show_json([{"system": each.system, "ok": each.code is Exit.DONE, "answer": each.answer} for each in found])
    else:
        for each in found:
            typer.echo(f"{'ok  ' if each.code is Exit.DONE else 'FAIL'} {each.system}: {each.answer}")
    if code := max(each.code for each in found):
        raise typer.Exit(code)


class Found(NamedTuple):
    """What came of reaching one system."""

    system: str
    code: Exit
    answer: str

    @classmethod
    def failure(cls, system: str, error: LatigoError) -> "Found":
        """What it was in vain for."""
        return cls(system, Exit.CONFIGURATION if isinstance(error, ConfigurationError) else Exit.FAILED, str(error))


async def _check(settings: Settings) -> list[Found]:
    """Every system, each for itself: one that is away hides no other."""
    async with AsyncExitStack() as opened:
        database: Database | None = None
        try:
            database, answer = await _ledger(settings, opened)
            ledger = Found("ledger", Exit.DONE, answer)
        except LatigoError as error:
            ledger = Found.failure("ledger", error)
        sensors, queue, projects, *sinks = await asyncio.gather(
            _try("sensors", _sensors(settings)),
            _try("task_queue", _queue(settings)),
            _projects(settings, database),
            *(
                _try(
                    circuit_name(System.SINK, each.sink_name),
                    _sink(settings, each, database, to_be_made=ledger.code is Exit.DONE),
                )
                for each in settings.predictions
            ),
        )
        return [ledger, *sensors, *queue, *projects, *(found for each in sinks for found in each)]


async def _try(system: str, work: Awaitable[str]) -> list[Found]:
    try:
        return [Found(system, Exit.DONE, await work)]
    except LatigoError as error:
        return [Found.failure(system, error)]


async def _ledger(settings: Settings, opened: AsyncExitStack) -> tuple[Database | None, str]:
    """Open the ledger as it is; None: it is still to be made."""
    ledger = settings.ledger
    if isinstance(ledger, EmbeddedLedger) and not has_database(ledger.data_dir):
        return None, f"embedded, not made yet: serve makes it in {ledger.data_dir}"
    url = await opened.enter_async_context(ledger_url(settings))
    revision = await current_revision(url, downstream=DOWNSTREAM, connect_timeout=ledger.connect_timeout)
    newest = newest_revision()
    if revision is None:
        return None, "has no schema yet: serve makes it, or latigo migrate"
    match standing(revision, newest):
        case Standing.OLDER:
            schema = f"schema {revision}, which serve brings to {newest}, or latigo migrate"
        case Standing.SAME:
            schema = "schema up to date"
        case Standing.NEWER:
            schema = f"schema {revision} of a newer Latigo, with which this one works"
    database = await opened.enter_async_context(connect_to(url, settings))
    skew = await PostgresSchedulerLedger(database).clock_skew(SystemClock().now())
    return database, f"{schema}, clock {skew.total_seconds():+.1f} s"


async def _sensors(settings: Settings) -> str:
    async with open_sensors(settings, SystemClock()) as source:
        return f"{source.downstream}, {await source.ping()}"


async def _queue(settings: Settings) -> str:
    if not isinstance(settings.task_queue, EventHubQueue):
        return "within this process"
    with extra("eventhub", "task_queue.kind"):
        from latigo.task_queue.eventhub.connection import open_hub  # noqa: PLC0415 - an extra

    async with open_hub(settings.task_queue, SystemClock()) as hub:
        client = hub.producer()
        try:
            return f"{hub.channel}, {len(await hub.partition_ids(client, QUEUE_LIMIT))} partitions"
        finally:
            await hub.close(client)


async def _projects(settings: Settings, database: Database | None) -> list[Found]:
    """The model server; without the ledger, what was registered by hand is not known."""
    roster: ModelRoster = NoRoster() if database is None else PostgresRoster(database, user_at_host())
    models = settings.models
    try:
        projects = Selection(models.projects).projects_to_list(await roster.entries())
    except LatigoError as error:
        return [Found.failure("models", error)]
    if not projects:
        return [Found("models", Exit.FAILED, "models.projects names no project")]
    async with open_gordo(models, roster) as gordo:
        found = await asyncio.gather(
            *(_try(circuit_name(System.MODELS, project), gordo.catalogue.ping(project)) for project in projects)
        )
    return [each for every in found for each in every]


async def _sink(
    settings: Settings, chosen: PostgresSink | InfluxSink | PluginSink, database: Database | None, *, to_be_made: bool
) -> str:
    """Read from a sink; of every project, since each may have a place of its own."""
    if isinstance(chosen, PostgresSink) and database is None and to_be_made:
        return "is made together with the ledger"
    async with open_sink(chosen, database) as sink:
        try:
            return await sink.store.ping(settings.models.projects)
        except NotImplementedError:
            return "cannot be read back, so it was not tried"
