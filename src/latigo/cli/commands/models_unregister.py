"""``latigo models unregister``."""

import typer

from latigo.cli.options import ConfigOption, ModelArgument, model_ref

EXAMPLES = ("latigo models unregister plant-a/pump-001",)
OVER_HTTP = True


def run(model: ModelArgument, config: ConfigOption = None) -> None:
    """Stop predicting a model although the settings include it.

    Its coverage and predictions stay. Exit code 2 when neither the ledger nor the model server knows it.
    """
    from latigo.cli.asking import with_service
    from latigo.web.api.controls import UNREGISTER

    ref = model_ref(model)
    with_service(config, lambda service: service.ask(UNREGISTER, project=ref.project, model=ref.name))
    typer.echo(f"{ref} is no longer predicted; latigo models register {ref} reverts that")
