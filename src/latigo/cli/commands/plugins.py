"""``latigo plugins``."""

import typer

from latigo.cli.exits import Exit
from latigo.cli.options import JsonOption
from latigo.cli.tables import show_json, show_table

EXAMPLES = ("latigo plugins", "latigo plugins --json")
OVER_HTTP = "it lists what is installed on this machine"


def run(as_json: JsonOption = False) -> None:
    """List the plug-ins that installed packages offer, and whether each can be used.

    A package offers sources (latigo.sensors), lists of models (latigo.models) and sinks (latigo.predictions). The name
    of a plug-in is the kind in the settings, such as kind = "plant-historian" under [sensors]; options are what its
    factory takes. Each plug-in is imported, and none is opened: latigo check opens those that the settings name. Needs
    no configuration. Exit code 1 when one cannot be used.
    """
    from latigo.wiring.plugins import list_plugins

    plugins = [plugin._asdict() for plugin in list_plugins()]
    if as_json:
        show_json(plugins)
    else:
        rows = [
            {**plugin, "options": ", ".join(plugin["options"]), "usable": not plugin["problem"]} for plugin in plugins
        ]
        columns = ("name", "group", "package", "version", "factory", "options", "usable")
        show_table(
            rows,
            columns,
            empty="No installed package offers a plug-in; docs/plugins.md shows how to write one",
            below="problem",
        )
    if any(plugin["problem"] for plugin in plugins):
        raise typer.Exit(Exit.FAILED)
