"""What ``latigo explain`` does; with ``--verify``, the window is predicted again and written nowhere."""

from collections.abc import Sequence
from datetime import datetime
from fnmatch import fnmatchcase

from latigo.domain.errors import UnknownName
from latigo.domain.model import ModelRef
from latigo.reports.explain import Explanation, read_explanation
from latigo.reports.names import KnownNames, read_names
from latigo.reports.verification import Verification
from latigo.settings import Settings
from latigo.wiring.resources import open_ledger


async def explain(
    settings: Settings, ref: ModelRef, at: datetime, *, verify: bool
) -> tuple[Explanation, Verification | None]:
    """Return what the ledger knows about a moment of a model, and how it compares with predicting it again.

    Raises:
        UnknownName: the ledger does not know the model.
        LatigoError: it cannot be predicted again, or no sink can be read.
    """
    async with open_ledger(settings) as database:
        _require(await read_names(database, settings.models.projects), ref, settings.models.exclude)
        explanation = await read_explanation(database, ref, at, settings.ledger.history)
        if not verify:
            return explanation, None
        from latigo.cli.verifying import predict_again

        return explanation, await predict_again(settings, database, ref, explanation)


def _require(known: KnownNames, ref: ModelRef, excluded: Sequence[str]) -> None:
    try:
        known.require(*ref)
    except UnknownName as error:
        if patterns := [pattern for pattern in excluded if fnmatchcase(str(ref), pattern)]:
            raise UnknownName(f"{error}; models.exclude leaves it out: {', '.join(patterns)}") from None
        raise
