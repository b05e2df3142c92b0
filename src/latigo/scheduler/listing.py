"""What follows from a model list. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from latigo.domain.windows import foldable
from latigo.ledger.protocol import KnownModel

#: A list that loses more than this part of the models at once is not believed at first.
SUSPICIOUS_LOSS = 0.2
#: Projects smaller than this may lose models without being doubted.
FEWEST_MODELS = 5
#: A list that stays as short for so long is believed after all.
DOUBT_LASTS = timedelta(hours=1)


def is_believable(known: int, lost: int, doubted_since: datetime | None, now: datetime, *, accepted: bool) -> bool:
    """Whether a list without ``lost`` of the ``known`` active models is to be acted upon.

    Gordo answers 200 with an empty list when its directory is gone.
    """
    if accepted or known < FEWEST_MODELS or lost <= known * SUSPICIOUS_LOSS:
        return True
    return doubted_since is not None and now - doubted_since >= DOUBT_LASTS


@dataclass(frozen=True, slots=True)
class Changes:
    """What a believed list changes."""

    describe: tuple[str, ...]  #: read their metadata: new, in a new revision, changed, or back again
    gone: tuple[str, ...]  #: predicted so far, and no longer listed


def changes(known: Sequence[KnownModel], listed: Sequence[str], revision: str) -> Changes:
    """Compare a list with what the ledger knows. Metadata is read once a model and revision."""
    by_name = {model.name: model for model in known}
    describe = [name for name in listed if _must_describe(by_name.get(name), revision)]
    there = set(listed)
    gone = [model.name for model in known if model.state in {"active", "disabled"} and model.name not in there]
    return Changes(tuple(describe), tuple(gone))


def _must_describe(model: KnownModel | None, revision: str) -> bool:
    return (
        model is None or model.stale_metadata or model.revision != revision or model.state in {"gone", "unregistered"}
    )


def longest_window(max_window: timedelta, slot: timedelta, resolution: timedelta) -> timedelta:
    """The longest window of one task: whole slots within ``max_window``, at least one.

    Never more than one where folding would change the rows.
    """
    if not foldable(resolution):
        return slot
    return max(max_window // slot, 1) * slot
