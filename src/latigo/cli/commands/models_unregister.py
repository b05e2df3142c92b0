"""``latigo models unregister``."""

import typer

from latigo.cli.options import ConfigOption, ModelArgument, model_ref, settings_of

EXAMPLES = ("latigo models unregister plant-a/pump-001",)


def run(model: ModelArgument, config: ConfigOption = None) -> None:
    """Stop predicting a model although the settings include it.

    Its coverage and predictions stay. Exit code 2 when neither the ledger nor the model server knows it.
    """
    from latigo.actions.roster import unregister
    from latigo.ledger.model_store import PostgresModelLedger
    from latigo.reports.names import read_names
    from latigo.runtime.event_loop import run_async
    from latigo.wiring.resources import open_models

    ref, settings = model_ref(model), settings_of(config)

    async def work() -> None:
        async with open_models(settings) as (database, server):
            known = await read_names(database, settings.models.projects)
            await unregister(server, PostgresModelLedger(database), known, ref)

    run_async(work)
    typer.echo(f"{ref} is no longer predicted; latigo models register {ref} reverts that")
