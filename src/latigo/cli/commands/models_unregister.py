"""``latigo models unregister``."""

import typer

from latigo.actions.roster import unregister
from latigo.cli.options import ConfigOption, ModelArgument, model_ref, settings_of
from latigo.ledger.model_store import PostgresModelLedger
from latigo.runtime.event_loop import run_async
from latigo.wiring.resources import open_resources

EXAMPLES = ("latigo models unregister plant-a/pump-001",)


def run(model: ModelArgument, config: ConfigOption = None) -> None:
    """Stop predicting a model although the settings include it.

    Its coverage and predictions stay.
    """
    ref, settings = model_ref(model), settings_of(config)

    async def work() -> None:
        async with open_resources(settings) as resources:
            await unregister(resources.models, PostgresModelLedger(resources.database), ref)

    run_async(work)
    typer.echo(f"{ref} is no longer predicted; latigo models register {ref} reverts that")
