"""``latigo executors list``."""

import typer

from latigo.cli.options import ConfigOption, JsonOption
from latigo.cli.tables import show_json, show_table

EXAMPLES = ("latigo executors", "latigo executors list --json")
OVER_HTTP = True


def run(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the executors that are running.

    Each is one process; its name has the host, the process number and what makes it unlike any other. Concurrency is
    how many tasks it may work on at once, the working limit how many calls the model servers take.
    """
    from latigo.cli.asking import with_service
    from latigo.web.api.executors import EXECUTORS

    executors = with_service(config, lambda service: service.ask(EXECUTORS)).items
    if as_json:
        show_json(executors)
        return
    rows = [
        {**dict(each), "state": _state(each.in_flight, drained=each.drained_at is not None, stops=each.drain_stops)}
        for each in executors
    ]
    columns = ("id", "state", "in_flight", "concurrency", "working_limit", "started_at", "drained_by", "drain_reason")
    show_table(rows, columns, empty="No executor is running", if_any=("drained_by", "drain_reason"))
    if any(each.drained_at for each in executors):
        typer.echo("latigo executors resume NAME lets a drained one work again")


def _state(in_flight: int, *, drained: bool, stops: bool) -> str:
    if not drained:
        return "working"
    if in_flight:
        return "draining"
    return "stopping" if stops else "idle, drained"
