"""``latigo config``."""

import json
from typing import TYPE_CHECKING

import typer

from latigo.cli.options import ConfigOption, JsonOption, settings_of

if TYPE_CHECKING:
    from latigo.settings import Settings

EXAMPLES = ("latigo config", "LATIGO_EXECUTOR__CONCURRENCY=64 latigo config --config latigo.toml")
OVER_HTTP = "it shows the configuration of this machine"


def run(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show the settings in effect, secrets masked.

    They come from file, environment and defaults. The output is a configuration file again, but for its secrets.
    """
    typer.echo(effective_configuration(settings_of(config, required=False), as_json=as_json))


def effective_configuration(settings: "Settings", *, as_json: bool = False) -> str:
    """Return the settings in effect, secrets masked; as TOML, the same file again but for the secrets."""
    from latigo.settings.reference import to_toml

    masked = settings.masked()
    return json.dumps(masked, indent=2, ensure_ascii=False) if as_json else to_toml(masked)
