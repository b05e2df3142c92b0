"""``latigo circuits probe``."""

from typing import Annotated

import typer

from latigo.cli.options import ConfigOption, JsonOption, WhyOption, settings_of, with_ledger
from latigo.cli.tables import show_json

EXAMPLES = ("latigo circuits probe gordo/plant-a --reason 'the server is back'",)


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
    from latigo.actions.probing import probe_circuit
    from latigo.wiring.resources import user_at_host

    with_ledger(settings_of(config), lambda database: probe_circuit(database, user_at_host(), downstream, reason))
    if as_json:
        show_json({"downstream": downstream})
        return
    typer.echo(f"The next task that needs {downstream} probes it, within seconds if there is one; see latigo circuits")
