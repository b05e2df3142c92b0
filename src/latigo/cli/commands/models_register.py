"""``latigo models register``."""

import typer

from latigo.actions.roster import register
from latigo.cli.options import ConfigOption, ModelArgument, model_ref, settings_of
from latigo.runtime.event_loop import run_async
from latigo.wiring.resources import open_resources

EXAMPLES = ("latigo models register plant-a/pump-001",)


def run(model: ModelArgument, config: ConfigOption = None) -> None:
    """Predict a model although the settings do not include it.

    The model server has to have it.
    """
    ref, settings = model_ref(model), settings_of(config)

    async def work() -> None:
        async with open_resources(settings) as resources:
            await register(resources.models, ref)

    run_async(work)
    typer.echo(f"{ref} is registered; it is predicted once a scheduler has read its metadata: latigo models show {ref}")
