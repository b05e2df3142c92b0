"""``latigo check``."""

import typer

from latigo.cli.exits import exit_code
from latigo.cli.options import ConfigOption, JsonOption, settings_of
from latigo.cli.tables import show_json

EXAMPLES = ("latigo check --config latigo.toml", "latigo check --json")
OVER_HTTP = "it reaches every system from this machine"


def run(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Read the configuration, reach every system, and report what is wrong.

    Does what each system is used for and no more, and changes nothing. Of the readings it looks at a sample: when they
    begin and end, what cannot be read, and whether the tags that models need are there. Exit code 0 when everything
    works, 1 when something cannot be reached, 78 when the configuration cannot be used.
    """
    from latigo.runtime.event_loop import run_async
    from latigo.wiring.checking import check_systems

    settings = settings_of(config)
    checks = run_async(lambda: check_systems(settings))
    if as_json:
        show_json(
            [
                {
                    "system": check.system,
                    "ok": check.error is None,
                    "answer": check.answer,
                    "details": check.details,
                }
                for check in checks
            ]
        )
    else:
        for check in checks:
            typer.echo(f"{'ok  ' if check.error is None else 'FAIL'} {check.system}: {check.answer}")
            for line in check.details:
                typer.echo(f"       {line}")
    if codes := [exit_code(check.error) for check in checks if check.error is not None]:
        raise typer.Exit(max(codes))
