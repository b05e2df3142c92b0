"""Changes by a new model list. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from latigo.domain.windows import foldable
from latigo.ledger.model_protocol import KnownModel
from latigo.scheduler.selection import SelectedModels

#: A list that loses more than this fraction of the models at once is quarantined.
SUSPICIOUS_LOSS = 0.2
#: Lists of projects with fewer models are never quarantined.
FEWEST_MODELS = 5
#: A quarantined list that has not changed for so long is accepted.
QUARANTINE = timedelta(hours=1)
#: States of models that are predicted, or would be if settings did not disable them.
PREDICTED = frozenset({"active", "disabled"})


def is_acceptable(known: int, lost: int, quarantined_since: datetime | None, now: datetime, *, accepted: bool) -> bool:
    """Return whether to act on a list that lacks ``lost`` of the ``known`` active models.

    Gordo answers 200 with an empty list when its directory is gone.
    """
    if accepted or known < FEWEST_MODELS or lost <= known * SUSPICIOUS_LOSS:
        return True
    return quarantined_since is not None and now - quarantined_since >= QUARANTINE


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes by a list. Only ``deselected`` applies to a quarantined list as well."""

    describe: tuple[str, ...] = ()  #: metadata has to be read: new, in a new revision, changed, listed again
    gone: tuple[str, ...] = ()  #: known, and no longer on the server
    deselected: tuple[str, ...] = ()  #: on the server, but excluded by settings or roster
    older: int = 0  #: number of models known in a newer revision than that of the list
    outdated: bool = False  #: the list is of an older revision than the accepted one, and decides nothing else
    predicted: int = 0  #: number of models so far, without unusable ones
    lost: int = 0  #: how many of those are gone


def changes(known: Sequence[KnownModel], listing: SelectedModels, accepted: str = "") -> Changes:
    """Compare a list with the models in the ledger. Metadata is read once per model and revision.

    ``accepted`` is the revision of the newest list that was accepted. Servers behind one address may disagree about the
    latest revision, and a list of an older one neither returns models that are gone since, nor adds any.
    """
    by_name = {model.name: model for model in known}
    excluded = set(listing.left_out)
    used = [model for model in known if model.state in PREDICTED or model.state == "unusable"]
    if accepted and int(listing.revision) < int(accepted):
        return Changes(
            deselected=tuple(model.name for model in used if model.name in excluded),
            older=sum(is_older(listing, model) for model in used),
            outdated=True,
            predicted=sum(model.state in PREDICTED for model in used),
        )
    on_server = excluded.union(listing.models)
    gone = [model for model in used if model.name not in on_server and not is_older(listing, model)]
    return Changes(
        describe=tuple(name for name in listing.models if _must_describe(by_name.get(name), listing)),
        gone=tuple(model.name for model in gone),
        deselected=tuple(model.name for model in used if model.name in excluded),
        older=sum(is_older(listing, model) for model in used),
        predicted=sum(model.state in PREDICTED for model in used),
        lost=sum(model.state in PREDICTED for model in gone),
    )


def is_older(listing: SelectedModels, model: KnownModel) -> bool:
    """Return whether a list is of an older revision than the model: a rollback, or one of several servers is behind.

    Revisions only move forward, so such a list does not concern the model.
    """
    return int(listing.revision) < int(model.revision)


def _must_describe(model: KnownModel | None, listing: SelectedModels) -> bool:
    if model is None:
        return True
    if listing.revision == model.revision:
        return model.stale_metadata or model.state in {"gone", "unregistered"}
    return not is_older(listing, model)


def longest_window(max_window: timedelta, slot: timedelta, resolution: timedelta) -> timedelta:
    """Return the longest window of a task: as many whole slots as fit into ``max_window``, at least one.

    It is one slot where folding would change the rows.
    """
    if not foldable(resolution):
        return slot
    return max(max_window // slot, 1) * slot
