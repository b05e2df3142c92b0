"""``latigo queue reset``."""

from typing import TYPE_CHECKING

import typer

from latigo.cli.options import (
    ConfigOption,
    JsonOption,
    YesOption,
    confirm,
    require_terminal,
)
from latigo.cli.tables import show_json

if TYPE_CHECKING:
    from latigo.cli.asking import Service

EXAMPLES = ("latigo queue reset --yes",)
OVER_HTTP = True


def run(
    config: ConfigOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Forget all checkpoints of an event hub that was deleted and created again.

    Its events are numbered from the start, so executors read it from its beginning. Nothing is lost and nothing is done
    twice: what the old hub held is planned again, and tasks that are done already are skipped.
    """
    from latigo.cli.asking import with_service
    from latigo.domain.errors import ConfigurationError
    from latigo.web.api.queue import QUEUE, RESET, event_hub

    async def work(service: "Service") -> int:
        queue = await service.ask(QUEUE)
        if queue.ledger is not None:
            raise ConfigurationError(f'task_queue.kind = "{queue.kind}" has no partitions')
        require_terminal("latigo queue reset", yes=yes)
        if not yes:
            confirm("Forget how far executors are, and read the hub from its beginning?")
        return (await service.ask(RESET)).forgotten

    count = with_service(config, work, require=event_hub)
    if as_json:
        show_json({"forgotten": count})
    else:
        typer.echo(f"Forgot {count} checkpoints; latigo queue status shows how far executors are")
