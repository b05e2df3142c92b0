"""``latigo models register``."""

import typer

from latigo.cli.options import ConfigOption, ModelArgument, model_ref, settings_of

EXAMPLES = ("latigo models register plant-a/pump-001",)


def run(model: ModelArgument, config: ConfigOption = None) -> None:
    """Predict a model although the settings do not include it.

    The model server has to have it; exit code 2 when it does not.
    """
    from latigo.actions.roster import register
    from latigo.reports.names import read_names
    from latigo.runtime.event_loop import run_async
    from latigo.wiring.resources import open_models

    ref, settings = model_ref(model), settings_of(config)

    async def work() -> None:
        async with open_models(settings) as (database, server):
            await register(server, await read_names(database, settings.models.projects), ref)

    run_async(work)
    typer.echo(f"{ref} is registered; it is predicted once a scheduler has read its metadata: latigo models show {ref}")
