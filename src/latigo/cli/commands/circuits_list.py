"""``latigo circuits list``."""

from latigo.cli.options import ConfigOption, JsonOption
from latigo.cli.tables import show_json, show_table

EXAMPLES = ("latigo circuits", "latigo circuits list --json")
OVER_HTTP = True


def run(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the systems that failed too often and are not used for now.

    Each has an open circuit: nothing that needs it is started, but for one probe from time to time, which closes the
    circuit when it is answered. Model servers have a circuit for each project.
    """
    from latigo.cli.asking import with_service
    from latigo.web.api.queue import CIRCUITS

    circuits = with_service(config, lambda service: service.ask(CIRCUITS)).items
    if as_json:
        show_json(circuits)
        return
    rows = [{**dict(circuit), "open_since": circuit.opened_at, "next_probe": circuit.probe_at} for circuit in circuits]
    columns = ("downstream", "open_since", "next_probe", "held_models")
    show_table(rows, columns, empty="No circuit is open: all systems are in use", below="reason")
