"""``latigo circuits probe``."""

from typing import Annotated

import typer

from latigo.cli.options import ConfigOption, JsonOption, WhyOption
from latigo.cli.tables import show_json

EXAMPLES = ("latigo circuits probe gordo/plant-a --reason 'the server is back'",)
OVER_HTTP = True


def run(
    downstream: Annotated[str, typer.Argument(metavar="DOWNSTREAM", help="A system of latigo circuits list.")],
    reason: WhyOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Probe a system now, without waiting for the next time.

    A scheduler sends a task that needs it as the probe within seconds, if there is one; when it is answered, the
    circuit closes and all that waited goes on. Exit code 2 when no open circuit has this name.
    """
    from latigo.cli.asking import with_service
    from latigo.web.api.queue import PROBE

    with_service(config, lambda service: service.ask(PROBE, downstream=downstream, reason=reason))
    if as_json:
        show_json({"downstream": downstream})
        return
    typer.echo(f"The next task that needs {downstream} probes it, within seconds if there is one; see latigo circuits")
