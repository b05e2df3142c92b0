"""``latigo circuits list``."""

from latigo.cli.options import ConfigOption, JsonOption, settings_of, with_ledger
from latigo.cli.tables import show_json, show_table

EXAMPLES = ("latigo circuits", "latigo circuits list --json")


def run(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the systems that failed too often and are not used for now.

    Each has an open circuit: nothing that needs it is started, but for one probe from time to time, which closes the
    circuit when it is answered. Model servers have a circuit for each project.
    """
    from latigo.reports.circuits import read_open_circuits

    circuits = with_ledger(settings_of(config), read_open_circuits)
    if as_json:
        show_json(circuits)
        return
    rows = [{**dict(circuit), "open_since": circuit.opened_at, "next_probe": circuit.probe_at} for circuit in circuits]
    columns = ("downstream", "open_since", "next_probe", "held_models")
    show_table(rows, columns, empty="No circuit is open: all systems are in use", below="reason")
