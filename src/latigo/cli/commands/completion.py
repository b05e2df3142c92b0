"""``latigo completion``."""

from typing import Annotated, Literal

import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined]  # in no list of its names

from latigo.cli.lazy import COMPLETE_VARIABLE

EXAMPLES = ("source <(latigo completion bash)", "latigo completion fish > ~/.config/fish/completions/latigo.fish")
OVER_HTTP = "it asks nothing"


def run(shell: Annotated[Literal["bash", "zsh", "fish", "powershell"], typer.Argument(help="Your shell.")]) -> None:
    """Print the script by which a shell completes commands and options."""
    typer.echo(get_completion_script(prog_name="latigo", complete_var=COMPLETE_VARIABLE, shell=shell))
