"""Which projects and models are to be predicted, where something other than the settings names them.

The last accepted list is in the ledger: it holds while there is no other one, and while one is quarantined because it
lacks too many of the known models.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from latigo.domain.errors import LatigoError, TimedOut, Unavailable
from latigo.domain.model import DiscoveredProject, ModelRef
from latigo.ledger.model_protocol import DiscoveryLedger, KnownDiscovery, ModelLedger
from latigo.providers.protocols import ModelDiscovery
from latigo.runtime.clock import Clock
from latigo.runtime.log import get_logger
from latigo.scheduler.listing import PREDICTED, is_acceptable
from latigo.scheduler.selection import Roster

_log = get_logger(__name__)

#: Time limit of one list, whatever provides it.
LIMIT = timedelta(minutes=2)
_DOWNSTREAM = "discovery"
_MOST_PROJECTS = 10_000
_MOST_MODELS = 100_000
_LONGEST_NAME = 255  #: of a project or model, in bytes


@dataclass(frozen=True, slots=True)
class Discovered:
    """What is to be predicted in this round."""

    projects: Sequence[DiscoveredProject] | None  #: None: there was no list yet, so everything stays as it is
    current: bool  #: whether it is the newest list


class Discovery:
    """Reads the list of projects and models, and decides whether to act on it.

    Args:
        source: a name of what ``provider`` reads: what another one has named does not hold.
        provider: names projects and models; None: the settings do.
        ledger: for the last list.
        models: the known models, with which a list is compared.
        clock: for the end of a quarantine.
    """

    def __init__(
        self,
        *,
        source: str,
        provider: ModelDiscovery | None,
        ledger: DiscoveryLedger,
        models: ModelLedger,
        clock: Clock,
    ) -> None:
        self._source = source
        self._provider = provider
        self._ledger = ledger
        self._models = models
        self._clock = clock

    async def read(self, roster: Roster) -> Discovered | None:
        """Return what is to be predicted; None where the settings name the projects.

        Raises:
            Unavailable: the ledger is unavailable.
        """
        if self._provider is None:
            await self._ledger.forget()
            return None
        last = await self._ledger.last(self._source)
        try:
            named = await self._named(self._provider)
        except Exception as error:  # noqa: BLE001 - it may be a plug-in's
            await self._failed(error)
            return Discovered(last.named, current=False)
        if not await self._accepts(named, last, roster):
            await self._ledger.quarantined(self._source, named)
            return Discovered(last.named, current=False)
        if named != last.named:
            _log.info("discovery.changed", source=self._source, count=len(named))
        await self._ledger.named(self._source, named)
        return Discovered(named, current=True)

    async def _named(self, provider: ModelDiscovery) -> tuple[DiscoveredProject, ...]:
        try:
            async with asyncio.timeout(LIMIT.total_seconds()) as limit:
                return checked(await provider.get_projects())
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise TimedOut(f"no list of projects within {LIMIT.total_seconds():g} s", downstream=_DOWNSTREAM) from error

    async def _failed(self, error: Exception) -> None:
        known = isinstance(error, LatigoError)
        text = str(error) if known else f"{type(error).__name__}: {error}"
        alarm = not known or (isinstance(error, Unavailable) and error.alarm)
        if known:
            _log.warning("discovery.failed", source=self._source, error=text)
        else:
            _log.exception("discovery.failed", source=self._source, error=text)
        await self._ledger.failed(self._source, text, alarm=alarm)

    async def _accepts(self, named: Sequence[DiscoveredProject], last: KnownDiscovery, roster: Roster) -> bool:
        """Return whether to act on a list: as on the list of a project, which is quarantined by the same rule."""
        if named == last.named:
            return True
        known, lost = await self._compare(named, roster)
        since = last.quarantined_since if named == last.quarantined else None
        accepted = is_acceptable(known, lost, since, self._clock.now(), accepted=False)
        if not accepted:
            _log.error("discovery.quarantined", source=self._source, known=known, lost=lost, since=since)
        return accepted

    async def _compare(self, named: Sequence[DiscoveredProject], roster: Roster) -> tuple[int, int]:
        """Return how many models are predicted, and how many of those the list and the roster do not name."""
        names = models_by_project(named)
        known = lost = 0
        for project in await self._models.projects():
            for model in await self._models.known_models(project.name):
                if model.state in PREDICTED:
                    ref = ModelRef(project.name, model.name)
                    known += 1
                    lost += not (roster.get(ref, False) or is_named(ref, names))
        return known, lost


def models_by_project(named: Sequence[DiscoveredProject]) -> Mapping[str, Collection[str] | None]:
    """Return the names of models by project; None stands for all of them."""
    return {each.project: None if each.models is None else frozenset(each.models) for each in named}


def is_named(ref: ModelRef, names: Mapping[str, Collection[str] | None]) -> bool:
    """Return whether a list names a model, or all of its project."""
    if ref.project not in names:
        return False
    models = names[ref.project]
    return models is None or ref.name in models


def checked(named: Sequence[DiscoveredProject]) -> tuple[DiscoveredProject, ...]:
    """Return a list in an order of its own, so that it can be compared.

    Raises:
        LatigoError: it is no list of projects, or too long; it names the entry.
    """
    projects: dict[str, DiscoveredProject] = {}
    models = 0
    for each in named:
        if not isinstance(each, DiscoveredProject) or isinstance(each.models, str):
            raise _alarm(f"{each!r:.100} is no DiscoveredProject")
        names = None if each.models is None else tuple(each.models)
        models += len(names or ())
        if len(projects) == _MOST_PROJECTS or models > _MOST_MODELS:
            raise _alarm(f"it has more than {_MOST_PROJECTS} projects or {_MOST_MODELS} models")
        if each.project in projects:
            raise _alarm(f"the project {each.project!r} is named twice")
        for name in (each.project, *(names or ())):
            if not _is_name(name):
                raise _alarm(f"{name!r:.100} cannot be the name of a project or model")
        projects[each.project] = DiscoveredProject(each.project, None if names is None else tuple(sorted(set(names))))
    return tuple(projects[project] for project in sorted(projects))


def _alarm(problem: str) -> Unavailable:
    return Unavailable(f"the list of projects cannot be used: {problem}", downstream=_DOWNSTREAM, alarm=True)


def _is_name(name: object) -> bool:
    """Return whether it can be one part of a path, and text in a database."""
    return (
        isinstance(name, str)
        and name.isprintable()
        and name not in {"", ".", ".."}
        and "/" not in name
        and len(name.encode(errors="replace")) <= _LONGEST_NAME
    )
