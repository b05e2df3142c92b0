"""Keeps the ledger's models in step with the model server."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple

import structlog

from latigo.domain.errors import LatigoError, Rejected
from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.windows import slot_length
from latigo.ledger.protocol import KnownModel, KnownProject, ModelEntry, ModelLedger, Rescheduled
from latigo.providers.protocols import ModelInformationProvider, ModelRoster
from latigo.runtime.clock import Clock
from latigo.scheduler.listing import PREDICTED, Changes, changes, is_believable, is_older, longest_window
from latigo.scheduler.selection import SelectedModels, Selection

_log = structlog.get_logger()

#: Metadata documents that are asked for at once; they are up to 90 kB each.
AT_ONCE = 8
#: Models written together: planning begins with the first of them, not after the last of 9000.
CHUNK = 100


class Schedule(NamedTuple):
    """When one model is predicted."""

    interval: timedelta
    delay: timedelta
    horizon: timedelta
    enabled: bool


class ModelSync:
    """Lists the models, reads the metadata of those that are new or changed, and tells the ledger."""

    def __init__(
        self,
        *,
        provider: ModelInformationProvider,
        roster: ModelRoster,
        selection: Selection,
        ledger: ModelLedger,
        schedule_of: Callable[[ModelRef], Schedule],
        max_window: timedelta,
        clock: Clock,
        version: str,
        still_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._provider = provider
        self._roster = roster
        self._selection = selection
        self._ledger = ledger
        self._schedule_of = schedule_of
        self._max_window = max_window
        self._clock = clock
        self._version = version
        self._still_wanted = still_wanted
        self._complete = True

    async def run_once(self) -> bool:
        """One round over all projects; trouble with one project or model does not stop the others.

        Whether the ledger knows all that there is to know now: if not, something could not be asked, believed or kept,
        and another round should not be far.
        """
        self._complete = True
        believed = {project.name: project for project in await self._ledger.projects()}
        roster = await self._roster.entries()
        for listing in await self._provider.get_model_list(self._selection.projects_to_list(roster)):
            with self._alone(listing.project):
                await self._project(self._selection.apply(listing, roster), believed.pop(listing.project, None))
        for project in believed:
            with self._alone(project):
                _log.warning("project.dropped", project=project, models=await self._ledger.project_dropped(project))
        return self._complete

    @contextmanager
    def _alone(self, project: str) -> Iterator[None]:
        """What breaks here is a bug that one project's models wake, and is not to stop the others."""
        try:
            yield
        except LatigoError:  # the ledger is away
            raise
        except Exception:  # noqa: BLE001 - as it says
            _log.exception("project.broken", project=project)
            self._complete = False

    async def _project(self, listing: SelectedModels, before: KnownProject | None) -> None:
        if listing.error is not None:
            self._complete = False
            _log.warning("models.not_listed", project=listing.project, because=str(listing.error))
            await self._ledger.project_failed(listing.project, str(listing.error))
            return
        known = await self._ledger.known_models(listing.project)
        change = changes(known, listing)
        if change.deselected:
            _log.info("models.deselected", project=listing.project, models=len(change.deselected))
            await self._ledger.set_state(listing.project, change.deselected, "unregistered")
        if not self._believes(listing, change, before):
            self._complete = False
            await self._ledger.project_doubted(listing.project, listing.count)
            return
        if change.older:
            self._complete = False
            _log.warning("models.list_older", project=listing.project, models=change.older, revision=listing.revision)
        describe = {*change.describe, *await self._reschedule(listing, known)}
        if change.gone:
            _log.warning("models.gone", project=listing.project, models=len(change.gone))
            await self._ledger.set_state(listing.project, change.gone, "gone")
        await self._ledger.project_listed(listing.project, listing.revision, listing.models)
        await self._describe_all(listing, [name for name in listing.models if name in describe])

    def _believes(self, listing: SelectedModels, change: Changes, before: KnownProject | None) -> bool:
        since, accepted = None, False
        if before is not None:
            since = before.doubted_since if before.doubted_models == listing.count else None
            accepted = before.accept_loss
        believes = is_believable(change.predicted, change.lost, since, self._clock.now(), accepted=accepted)
        if not believes:
            told = {"project": listing.project, "known": change.predicted, "lost": change.lost, "since": since}
            _log.error("models.list_doubted", **told)
        return believes

    async def _reschedule(self, listing: SelectedModels, known: Sequence[KnownModel]) -> list[str]:
        """Apply settings that have changed since a model was described; those whose slots change are described anew."""
        listed = set(listing.models)
        changed: list[Rescheduled] = []
        realigned: list[str] = []
        for model in known:
            if model.name not in listed or model.state not in PREDICTED or model.resolution is None:
                continue
            schedule = self._schedule_of(ModelRef(listing.project, model.name))
            slot = slot_length(model.resolution, schedule.interval)
            fold = longest_window(self._max_window, slot, model.resolution)
            if slot != model.slot:
                if not is_older(listing, model):
                    realigned.append(model.name)
            elif (schedule.delay, fold, schedule.enabled) != (model.delay, model.fold, model.state == "active"):
                changed.append(Rescheduled(model.id, schedule.delay, fold, schedule.enabled))
        if changed:
            _log.info("models.rescheduled", project=listing.project, models=len(changed))
            await self._ledger.reschedule(changed)
        return realigned

    async def _describe_all(self, listing: SelectedModels, names: Sequence[str]) -> None:
        if names:
            _log.info("models.found", project=listing.project, models=len(names), revision=listing.revision)
        permits = asyncio.Semaphore(AT_ONCE)

        async def describe(name: str) -> ModelEntry | None:
            async with permits:
                return await self._describe(ModelRef(listing.project, name), listing.revision)

        async def read(chunk: Sequence[str]) -> list[ModelEntry]:
            found = await asyncio.gather(*(describe(name) for name in chunk))
            return [entry for entry in found if entry is not None]

        entries: list[ModelEntry] = []
        for start in range(0, len(names), CHUNK):
            if not self._still_wanted():
                self._complete = False
                return
            # While what was read is written, the next ones are read.
            entries, _ = await asyncio.gather(read(names[start : start + CHUNK]), self._put(entries))
        await self._put(entries)

    async def _put(self, entries: Sequence[ModelEntry]) -> None:
        """Write them together; each by itself if a bug that one of them wakes keeps the others out."""
        if not entries:
            return
        try:
            await self._ledger.put_models(entries)
        except LatigoError:  # the ledger is away
            raise
        except Exception as error:  # noqa: BLE001 - as it says
            if len(entries) == 1:
                _log.exception("model.not_kept", model=str(entries[0].spec.ref), because=repr(error))
                self._complete = False
                return
            for entry in entries:
                await self._put([entry])

    async def _describe(self, ref: ModelRef, revision: str) -> ModelEntry | None:
        try:
            return await self._described(ref, revision)
        except LatigoError as error:  # away, or the revision has just been replaced: the next round asks again
            _log.warning("model.not_described", model=str(ref), because=str(error))
        except Exception as error:  # noqa: BLE001 - a bug that one model's metadata wakes must not stop the others
            _log.exception("model.not_described", model=str(ref), because=repr(error))
        self._complete = False
        return None

    async def _described(self, ref: ModelRef, revision: str) -> ModelEntry | None:
        """The model as the ledger is to have it; None: it cannot be used, and the ledger knows why."""
        try:
            return self._entry(await self._provider.get_model_spec(ref, revision))
        except Rejected as error:
            _log.warning("model.unusable", model=str(ref), because=str(error))
            horizon = self._schedule_of(ref).horizon
            await self._ledger.put_unusable(ref, revision, error.reason, str(error), self._version, horizon)
            return None

    def _entry(self, spec: ModelSpec) -> ModelEntry:
        schedule = self._schedule_of(spec.ref)
        slot = slot_length(spec.dataset.resolution, schedule.interval)
        return ModelEntry(
            spec=spec,
            slot=slot,
            delay=schedule.delay,
            fold=longest_window(self._max_window, slot, spec.dataset.resolution),
            horizon=schedule.horizon,
            enabled=schedule.enabled,
        )
