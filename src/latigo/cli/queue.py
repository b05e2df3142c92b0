"""``latigo queue``: the task queue between scheduler and executors."""

from typing import Annotated, Any

import typer

from latigo.cli.context import ConfigOption, Exit, JsonOption, age, run_async, settings_of, show_json, show_table
from latigo.domain.errors import ConfigurationError
from latigo.runtime.clock import SystemClock
from latigo.settings import EventHubQueue, Settings
from latigo.wiring.plugins import extra
from latigo.wiring.resources import open_ledger

queue = typer.Typer(
    help="The task queue between scheduler and executors; without a command: status.", rich_markup_mode=None
)


def add_to(cli: typer.Typer) -> None:
    """Put the commands under ``cli``."""
    cli.add_typer(queue, name="queue")


@queue.callback(invoke_without_command=True)
def default(context: typer.Context, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Without a command: status."""
    if context.invoked_subcommand is None:
        status(config, as_json)
    elif config is not None or as_json:
        raise typer.BadParameter(f"options of {context.invoked_subcommand} stand behind it")


@queue.command()
def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show how far executors are in each partition, as the scheduler read it last.

    Exit code 3 when the hub is another one than the checkpoints are from.
    """
    settings = settings_of(config)
    hub = _event_hub(settings)
    found = run_async(lambda: _read(settings, hub))
    if as_json:
        show_json(found)
    else:
        now = SystemClock().now()
        rows = [{**each, "read": f"{age(each['read_at'], now)} ago"} for each in found]
        columns = ("partition", "begin", "last", "checkpoint", "lag", "read", "hub_recreated")
        show_table(rows, columns, empty="the scheduler has not read the event hub yet")
    if any(each["hub_recreated"] for each in found):
        typer.echo("the hub is another one than before: latigo queue reset forgets its checkpoints", err=True)
        raise typer.Exit(Exit.NOT_AS_WANTED)


@queue.command()
def reset(
    config: ConfigOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Forget all checkpoints: for a hub that was deleted and made anew, whose events are numbered from the start.

    Executors then read the hub from its beginning. Nothing is lost and nothing is done twice: what the old hub held is
    planned again, and tasks that are done already are passed over.
    """
    settings = settings_of(config)
    hub = _event_hub(settings)
    if not yes:
        typer.confirm("Forget how far executors are, and read the hub from its beginning?", abort=True)
    count = run_async(lambda: _reset(settings, hub))
    if as_json:
        show_json({"forgotten": count})
    else:
        typer.echo(f"forgot {count} checkpoints")


def _event_hub(settings: Settings) -> EventHubQueue:
    if not isinstance(settings.task_queue, EventHubQueue):
        raise ConfigurationError(f'task_queue.kind = "{settings.task_queue.kind}" has no partitions to look at')
    return settings.task_queue


async def _read(settings: Settings, hub: EventHubQueue) -> list[dict[str, Any]]:
    with extra("eventhub", "task_queue.kind"):
        from latigo.task_queue.eventhub.lag import read_lag  # noqa: PLC0415 - an extra

    async with open_ledger(settings) as database:
        return [
            {
                "partition": each.partition,
                "begin": each.begin,
                "last": each.last,
                "checkpoint": each.checkpoint,
                "lag": each.lag,
                "read_at": each.read_at,
                "hub_recreated": each.hub_recreated,
            }
            for each in await read_lag(database.pool, hub.address.channel, hub.consumer_group)
        ]


async def _reset(settings: Settings, hub: EventHubQueue) -> int:
    with extra("eventhub", "task_queue.kind"):
        from latigo.task_queue.eventhub.lag import reset_checkpoints  # noqa: PLC0415 - an extra

    async with open_ledger(settings) as database:
        return await reset_checkpoints(database.pool, hub.address.channel, hub.consumer_group)
