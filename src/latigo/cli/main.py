"""``latigo``: the list of all commands."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated, ClassVar

import typer
from typer.completion import completion_init  # type: ignore[attr-defined]  # in no list of its names

from latigo import __version__
from latigo.cli.exits import fail
from latigo.cli.lazy import COMPLETE_VARIABLE, LazyGroup, Table
from latigo.cli.tables import show_json
from latigo.domain.errors import Misused


class Models(LazyGroup):
    """List models, show one, and decide which are predicted."""

    prefix = "models_"
    table: ClassVar[Table] = {
        "list": "List the models that the ledger knows, with their state and coverage",
        "show": "Show one model: what its server reports, and what the ledger knows",
        "register": "Predict a model although the settings do not include it",
        "unregister": "Stop predicting a model although the settings include it",
        "run-now": "Predict the newest slot of one model now, also if it is covered",
        "accept-loss": "Accept a list that has lost many models at once",
    }


class Sensors(LazyGroup):
    """List the sensors of the source, or find one."""

    prefix = "sensors_"
    table: ClassVar[Table] = {
        "list": "List every tag name that the source knows",
        "exists": "Check whether the source knows a sensor",
        "show": "Show one sensor: what the source is asked for, and what it answers",
    }


class Queue(LazyGroup):
    """Show or reset the task queue between scheduler and executors; without a command, show it."""

    prefix = "queue_"
    default = "status"
    table: ClassVar[Table] = {
        "status": "Show how far executors are with the tasks in the queue",
        "reset": "Forget all checkpoints of an event hub that was deleted and created again",
    }


class Backfills(LazyGroup):
    """List, show, pause, resume or cancel requests of latigo backfill; without a command, list them."""

    prefix = "backfills_"
    default = "list"
    table: ClassVar[Table] = {
        "list": "List requests for stretches of time, the newest first, and how far they are",
        "show": "Show one request, and what is left of it for each model",
        "pause": "Pause a request",
        "resume": "Go on with a paused request",
        "cancel": "End a request for good",
        "retry-failed": "Try again what has failed of a request, and go on with it",
    }


class Failures(LazyGroup):
    """List what has failed, with its cause; dismiss what is known."""

    prefix = "failures_"
    default = "list"
    table: ClassVar[Table] = {
        "list": "List what has failed, with its cause",
        "dismiss": "Take failures out of the alarms, until their model has another revision",
    }


class Circuits(LazyGroup):
    """List the systems that are not used for now, or probe one; without a command, list them."""

    prefix = "circuits_"
    default = "list"
    table: ClassVar[Table] = {
        "list": "List the systems that failed too often and are not used for now",
        "probe": "Probe a system now, without waiting for the next time",
    }


class Executors(LazyGroup):
    """List executors, drain one, or let it work again; without a command, list them."""

    prefix = "executors_"
    default = "list"
    table: ClassVar[Table] = {
        "list": "List the executors that are running",
        "drain": "Let an executor finish its tasks and start no more",
        "resume": "Let a drained executor start tasks again",
    }


class Tasks(LazyGroup):
    """List tasks that are planned and not settled, or take some back; without a command, list them."""

    prefix = "tasks_"
    default = "list"
    table: ClassVar[Table] = {
        "list": "List tasks that are planned and not settled, the oldest first",
        "hand-back": "Take tasks back from executors and the queue, and publish them again",
    }


class Ledger(LazyGroup):
    """Maintain the ledger."""

    prefix = "ledger_"
    table: ClassVar[Table] = {
        "restored": "Start a new incarnation of a ledger that was restored from a backup",
    }


class Commands(LazyGroup):
    """Every command."""

    table: ClassVar[Table] = {
        "serve": "Run Latigo until it is stopped",
        "demo": "Run Latigo on a simulated plant on this machine",
        "check": "Read the configuration, reach every system, and report what is wrong",
        "config": "Show the settings in effect, secrets masked",
        "plugins": "List the plug-ins that installed packages offer, and whether each can be used",
        "migrate": "Migrate the schema of the ledger to that of this version",
        "status": "Show how the service is doing, and what limits it",
        "failures": Failures,
        "retry": "Try again what is parked or waits for another attempt",
        "pause": "Stop predicting a model or a project for a while",
        "resume": "Predict a paused model or project again, and what became due meanwhile",
        "limits": "Show the limits of the service, or change them while it runs",
        "plan": "Show what would be done now, and what it would cost in calls of the model server",
        "backfill": "Request predictions of a stretch of time, however long ago",
        "backfills": Backfills,
        "explain": "Explain one moment of one model: where its prediction comes from, or why there is none",
        "anomalies": "List models by anomaly, the worst first: what changed, since when, and which tags carry it",
        "predict": "Predict a stretch of time of one model, here and now",
        "models": Models,
        "sensors": Sensors,
        "tasks": Tasks,
        "executors": Executors,
        "circuits": Circuits,
        "queue": Queue,
        "ledger": Ledger,
        "completion": "Print the script by which a shell completes commands and options",
    }


cli = typer.Typer(
    name="latigo",
    cls=Commands,
    help="Continuous prediction for Gordo: every model has a prediction for every moment that matters.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@cli.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Continuous prediction for Gordo."""


def _require_text(arguments: Sequence[str]) -> None:
    """Refuse what no name can be: neither the ledger nor a server or a terminal could be given it.

    Raises:
        Misused: an argument is not UTF-8.
    """
    for argument in arguments:
        if not argument.isprintable() and any("\ud800" <= character <= "\udfff" for character in argument):
            raise Misused(f"{argument[:60]!r} is not UTF-8: names and options are")


def run() -> None:
    """Run the ``latigo`` program."""
    if COMPLETE_VARIABLE in os.environ:
        completion_init()
    arguments = sys.argv[1:]
    try:
        _require_text(arguments)
        code = cli(prog_name="latigo", standalone_mode=False)
    except Exception as error:  # noqa: BLE001 - of a bug, the traceback may hold what a peer or a plug-in returned
        code, text = fail(error)
        if "--json" in arguments:
            show_json({"error": text})
    sys.exit(code)
