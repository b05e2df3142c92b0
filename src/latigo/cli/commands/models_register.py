"""``latigo models register``."""

import typer

from latigo.cli.options import ConfigOption, ModelArgument, model_ref

EXAMPLES = ("latigo models register plant-a/pump-001",)
OVER_HTTP = True


def run(model: ModelArgument, config: ConfigOption = None) -> None:
    """Predict a model although the settings do not include it.

    The model server has to have it; exit code 2 when it does not.
    """
    from latigo.cli.asking import with_service
    from latigo.web.api.controls import REGISTER

    ref = model_ref(model)
    with_service(config, lambda service: service.ask(REGISTER, project=ref.project, model=ref.name))
    typer.echo(f"{ref} is registered; it is predicted once a scheduler has read its metadata: latigo models show {ref}")
