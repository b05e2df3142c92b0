"""What follows from a model list. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from latigo.domain.windows import foldable
from latigo.ledger.protocol import KnownModel
from latigo.scheduler.selection import SelectedModels

#: A list that loses more than this part of the models at once is not believed at first.
SUSPICIOUS_LOSS = 0.2
#: Projects smaller than this may lose models without being doubted.
FEWEST_MODELS = 5
#: A list that stays as short for so long is believed after all.
DOUBT_LASTS = timedelta(hours=1)
#: States of models that are predicted, or would be if the settings did not stop them.
PREDICTED = frozenset({"active", "disabled"})


def is_believable(known: int, lost: int, doubted_since: datetime | None, now: datetime, *, accepted: bool) -> bool:
    """Whether a list without ``lost`` of the ``known`` active models is to be acted upon.

    Gordo answers 200 with an empty list when its directory is gone.
    """
    if accepted or known < FEWEST_MODELS or lost <= known * SUSPICIOUS_LOSS:
        return True
    return doubted_since is not None and now - doubted_since >= DOUBT_LASTS


@dataclass(frozen=True, slots=True)
class Changes:
    """What a list changes; only what is deselected does not depend on whether the list is believed."""

    describe: tuple[str, ...] = ()  #: read their metadata: new, in a new revision, changed, or back again
    gone: tuple[str, ...] = ()  #: known so far, and the server has them no more
    deselected: tuple[str, ...] = ()  #: the server has them, and settings or roster leave them out
    older: int = 0  #: models that are known in a newer revision than the list is of
    predicted: int = 0  #: models so far, without those that cannot be used
    lost: int = 0  #: how many of those are gone


def changes(known: Sequence[KnownModel], listing: SelectedModels) -> Changes:
    """Compare a list with what the ledger knows. Metadata is read once a model and revision."""
    by_name = {model.name: model for model in known}
    left_out = set(listing.left_out)
    used = [model for model in known if model.state in PREDICTED or model.state == "unusable"]
    there = left_out.union(listing.models)
    gone = [model for model in used if model.name not in there and not is_older(listing, model)]
    return Changes(
        describe=tuple(name for name in listing.models if _must_describe(by_name.get(name), listing)),
        gone=tuple(model.name for model in gone),
        deselected=tuple(model.name for model in used if model.name in left_out),
        older=sum(is_older(listing, model) for model in used),
        predicted=sum(model.state in PREDICTED for model in used),
        lost=sum(model.state in PREDICTED for model in gone),
    )


def is_older(listing: SelectedModels, model: KnownModel) -> bool:
    """Whether a list is of an older revision than the model: a rollback, or one of several servers is behind.

    Revisions only move forward, so that nothing it has to tell of the model can be used.
    """
    return int(listing.revision) < int(model.revision)


def _must_describe(model: KnownModel | None, listing: SelectedModels) -> bool:
    if model is None:
        return True
    if listing.revision == model.revision:
        return model.stale_metadata or model.state in {"gone", "unregistered"}
    return not is_older(listing, model)


def longest_window(max_window: timedelta, slot: timedelta, resolution: timedelta) -> timedelta:
    """The longest window of one task: whole slots within ``max_window``, at least one.

    Never more than one where folding would change the rows.
    """
    if not foldable(resolution):
        return slot
    return max(max_window // slot, 1) * slot
