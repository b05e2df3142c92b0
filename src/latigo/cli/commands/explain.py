"""``latigo explain``."""

from typing import TYPE_CHECKING, Annotated

import typer

from latigo.cli.exits import Exit
from latigo.cli.options import ConfigOption, JsonOption, ModelArgument, model_ref, settings_of
from latigo.cli.tables import show_json
from latigo.runtime.times import parse_time

if TYPE_CHECKING:
    from latigo.cli.asking import Service
    from latigo.reports.verification import Verification
    from latigo.web.api.models import Explained

EXAMPLES = (
    "latigo explain plant-a/pump-001 --at -2h",
    "latigo explain plant-a/pump-001 --at 2024-05-01T12:00Z --verify",
    "latigo explain plant-a/pump-001 --at -2h --json",
)
OVER_HTTP = True


def run(
    model: ModelArgument,
    at: Annotated[str, typer.Option("--at", help="The moment: ISO 8601, or relative such as -2h.")],
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Predict it again, written nowhere, and compare with what the sink holds."),
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain one moment of one model: where its prediction comes from, or why there is none.

    The slot that contains the moment is explained: which task covered it, from which readings, and how long each stage
    took; or what it waits for, and what you can do. Receipts of tasks are kept for ledger.history. With --verify, the
    window is predicted again, as latigo predict does, and compared with the first sink that can be read: exit code 3
    when they differ. With --url, the service does that, which needs a token that may act. Exit code 2 when there is no
    such model.
    """
    from latigo.cli.asking import with_service
    from latigo.cli.remote import chosen
    from latigo.runtime.clock import SystemClock
    from latigo.web.api.models import EXPLAIN, VERIFY

    ref = model_ref(model)
    try:
        time = parse_time(at, SystemClock().now())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--at") from error
    asked = {"project": ref.project, "model": ref.name, "at": time.isoformat()}

    async def work(service: "Service") -> "tuple[Explained, Verification | None]":
        there = verify and chosen() is not None
        return await service.ask(EXPLAIN, **asked), await service.ask(VERIFY, **asked) if there else None

    explained, verification = with_service(config, work)
    if verify and verification is None:
        from latigo.cli.explaining import verified

        verification = verified(settings_of(config), ref, explained)
    story = explained.story
    if as_json:
        show_json(_document(explained, verification))
    else:
        for sentence in story:
            typer.echo(sentence)
        if verification is not None:
            typer.echo("")
            for sentence in verification.story:
                typer.echo(sentence)
    if verification is not None and not verification.equal:
        raise typer.Exit(Exit.UNHEALTHY)


def _document(explained: "Explained", verification: "Verification | None") -> dict[str, object]:
    return {**dict(explained), **({} if verification is None else {"verification": verification})}
