"""What answers are made from."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from latigo.postgres.database import Database
from latigo.reports.names import read_names, require_sensor
from latigo.runtime.clock import Clock

if TYPE_CHECKING:
    from latigo.actions.roster import ModelServer
    from latigo.domain.model import ModelRef
    from latigo.providers.protocols import PredictionStorageProvider, SensorSource
    from latigo.reports.explain import Explanation
    from latigo.reports.verification import Verification
    from latigo.settings import Settings

T = TypeVar("T")

#: How long the readings of all of some tags are kept; None: for ever.
KeptFor = Callable[[Sequence[str]], timedelta | None]
#: Learns it of every source; reports each one that could not be asked.
ReadingsKept = Callable[[Callable[[str], None]], Awaitable[KeptFor]]

#: Predicts the slot of a moment of a model, written nowhere, and compares it with what a sink holds.
PredictsAgain = Callable[["ModelRef", "Explanation"], Awaitable["Verification"]]


async def _unknown(_report: Callable[[str], None]) -> KeptFor:
    return lambda _tags: None


class Kept:
    """Objects of which a process has one, such as a cache that grows with use."""

    def __init__(self) -> None:
        self._by_kind: dict[object, Any] = {}

    def of(self, kind: object, make: Callable[[], T]) -> T:
        """Return the object of this kind; made when it is wanted first."""
        if kind not in self._by_kind:
            self._by_kind[kind] = make()
        found: T = self._by_kind[kind]
        return found


@dataclass(frozen=True)
class Context:
    """What answers are made from: the ledger, the settings, and the systems that this process has open.

    A command that asks in its own process has opened the ledger alone.
    """

    database: Database
    settings: "Settings"
    clock: Clock
    who: str = ""  #: that acts: the name of the token, or ``user@host``
    open_server: Callable[[str], AbstractAsyncContextManager["ModelServer"]] | None = None  #: for who decides
    readings: "SensorSource | None" = None
    stores: Sequence["PredictionStorageProvider"] = ()
    readings_kept: ReadingsKept = _unknown
    predict_again: PredictsAgain | None = None
    kept: Kept = field(default_factory=Kept)  #: of this process

    def limited(self, limit: timedelta) -> "Context":
        """Return the same with a time limit for each statement."""
        return replace(self, database=self.database.limited(limit))

    def model_server(self) -> AbstractAsyncContextManager["ModelServer"]:
        """Open the server that runs the models.

        Raises:
            ConfigurationError: it cannot be used as it is configured.
        """
        if self.open_server is None:
            raise ValueError("no model server is known here")
        return self.open_server(self.who)

    def now(self) -> datetime:
        """Return the time."""
        return self.clock.now()

    async def require(self, project: str | None, model: str | None = None, sensor: str | None = None) -> None:
        """Check names; None: any.

        Raises:
            UnknownName: one of them is not known; with the nearest one that is.
        """
        if project is not None or model is not None:
            (await read_names(self.database, self.settings.models.projects)).require(project, model)
        if sensor is not None:
            await require_sensor(self.database, sensor)

    async def require_all(self, projects: Sequence[str], models: Sequence[str]) -> None:
        """Check the names of a filter; patterns with ``*`` may match nothing.

        Raises:
            UnknownName: one of them is not known.
        """
        plain = [name for name in projects if "*" not in name]
        single = plain[0] if len(projects) == len(plain) == 1 else None
        wanted = [(project, None) for project in plain] + [(single, model) for model in models if "*" not in model]
        if wanted:
            known = await read_names(self.database, self.settings.models.projects)
            for project, model in wanted:
                known.require(project, model)
