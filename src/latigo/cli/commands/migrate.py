"""``latigo migrate``."""

import typer

from latigo.cli.options import ConfigOption, settings_of

EXAMPLES = ("latigo migrate --config latigo.toml",)
OVER_HTTP = "it changes the schema of the ledger's database itself"


def run(config: ConfigOption = None) -> None:
    """Migrate the schema of the ledger to that of this version.

    Changes nothing where it is that already, and creates an embedded ledger that does not exist yet. serve does both by
    itself.
    """
    from latigo.ledger.protocol import DOWNSTREAM
    from latigo.postgres.schema import upgrade
    from latigo.runtime.event_loop import run_async
    from latigo.wiring.ledger import ledger_server

    settings = settings_of(config)

    async def work() -> tuple[str | None, str]:
        async with ledger_server(settings, create=True) as server:
            return await upgrade(server.url, downstream=DOWNSTREAM, connect_timeout=settings.ledger.connect_timeout)

    before, after = run_async(work)
    typer.echo(f"schema {after} already" if before == after else f"schema {before or 'none'} -> {after}")
