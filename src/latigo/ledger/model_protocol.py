"""The ledger as the scheduler lists and describes models with it; `latigo.ledger.protocol` says what holds for all."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol

from latigo.domain.errors import Reason
from latigo.domain.model import DiscoveredProject, ModelRef, ModelSpec

if TYPE_CHECKING:
    from latigo.domain.series import Column

#: Models that are worth a thread: to read and to compare as many takes several milliseconds.
MANY_MODELS: Final = 1_000


@dataclass(frozen=True, slots=True)
class KnownProject:
    """A project as of its last accepted list."""

    name: str
    revision: str
    models: int
    error: str
    quarantined_since: datetime | None
    quarantined_models: int  #: in the quarantined list
    accept_loss: bool


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model in the ledger."""

    id: int
    name: str
    revision: str
    state: str
    stale_metadata: bool
    resolution: timedelta | None  #: None while its metadata is invalid
    slot: timedelta
    delay: timedelta
    fold: timedelta


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model to be written to the ledger."""

    spec: ModelSpec
    slot: timedelta
    delay: timedelta
    fold: timedelta  #: longest window of one task
    horizon: timedelta  #: how far back a new model is to be predicted
    enabled: bool = True
    recompute: timedelta | None = None  #: how far back a known one is predicted again in a new revision; None: not


@dataclass(frozen=True, slots=True)
class Rescheduled:
    """Changed settings of a model that leave its slots as they are."""

    model_id: int
    delay: timedelta
    fold: timedelta
    enabled: bool


@dataclass(frozen=True, slots=True)
class KnownDiscovery:
    """The last lists of what names the projects and models to predict."""

    named: Sequence[DiscoveredProject] | None = None  #: accepted; None: there was none
    quarantined: Sequence[DiscoveredProject] | None = None  #: the list that lacks too many of the known models
    quarantined_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class UnpostedMetadata:
    """A model and revision whose description is to be posted."""

    model_id: int
    sink: str  #: downstream of the one that has stored its first window
    ref: ModelRef
    revision: str
    columns: "tuple[Column, ...]"
    attempts: int  #: this one included


class ModelLedger(Protocol):
    """The models and projects in the ledger."""

    async def projects(self) -> Sequence[KnownProject]:
        """Return all projects."""

    async def known_models(self, project: str) -> Sequence[KnownModel]:
        """Return every model of a project that was ever listed."""

    async def project_listed(
        self, project: str, revision: str, models: Sequence[str], unbuilt: Sequence[str] | None = ()
    ) -> None:
        """Record an accepted list, and the expected models that it lacks; None: not known, so they stay as known."""

    async def project_outdated(self, project: str, revision: str) -> None:
        """Record that the server lists an older revision than the accepted one, which stays."""

    async def project_failed(self, project: str, error: str) -> None:
        """Record that a project could not be listed; a quarantine starts anew."""

    async def project_quarantined(self, project: str, models: int) -> None:
        """Quarantine the list of a project, which lost too many models and has so many now."""

    async def project_dropped(self, project: str) -> int:
        """Stop predicting a project that settings and roster no longer name. Return how many models were predicted."""

    async def put_models(self, entries: Sequence[ModelEntry]) -> int:
        """Add or update models; the epoch rises where predictions would change. Return how many rose or are new.

        Of models that get another revision and have ``recompute``, that part is requested to be predicted again.
        """

    async def put_unusable(
        self, ref: ModelRef, revision: str, reason: Reason, detail: str, version: str, horizon: timedelta
    ) -> None:
        """Park a model that cannot be predicted in this revision; its coverage is kept.

        ``horizon`` is how far back a new model is to be predicted.
        """

    async def reschedule(self, models: Sequence[Rescheduled]) -> None:
        """Apply changed settings to models."""

    async def set_state(self, project: str, names: Sequence[str], state: str) -> Sequence[str]:
        """Set the state of models, ``gone`` or ``unregistered``. Return the names of those that changed."""


class DiscoveryLedger(Protocol):
    """What names the projects and models to predict. The lists of another source than the last one are forgotten."""

    async def last(self, source: str) -> KnownDiscovery:
        """Return the last lists of this source."""

    async def named(self, source: str, projects: Sequence[DiscoveredProject]) -> None:
        """Record an accepted list."""

    async def failed(self, source: str, error: str, *, alarm: bool) -> None:
        """Record that there is no list; the last accepted one is kept, and a quarantine starts anew."""

    async def quarantined(self, source: str, projects: Sequence[DiscoveredProject]) -> None:
        """Quarantine a list that lacks too many of the known models."""

    async def forget(self) -> None:
        """Forget everything: the settings name the projects."""


class MetadataLedger(Protocol):
    """Descriptions of models, one for each revision: to be posted after the first stored window."""

    async def record(self, sink: str, model: ModelRef, revision: str, columns: "Sequence[Column]") -> None:
        """Have a model and revision described, unless it is recorded already or a newer revision is."""

    async def take(self, sinks: Sequence[str], most: int, lease: timedelta) -> Sequence[UnpostedMetadata]:
        """Return some that are due; no one else takes them before the lease is over."""

    async def posted(self, one: UnpostedMetadata) -> None:
        """Record that it is posted."""

    async def failed(self, one: UnpostedMetadata, error: str, wait: timedelta) -> None:
        """Record why it is not posted; it is due again after ``wait``."""

    async def released(self, one: UnpostedMetadata) -> None:
        """Make it due again, as if it had not been taken."""

    async def dropped(self, one: UnpostedMetadata) -> None:
        """Forget it: it cannot be posted any more."""
