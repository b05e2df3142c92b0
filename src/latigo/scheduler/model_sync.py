"""Synchronises the models in the ledger with the model server."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

from latigo.domain.errors import LatigoError, Rejected
from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.schedule import Schedule
from latigo.domain.windows import slot_length
from latigo.ledger.model_protocol import MANY_MODELS, KnownModel, KnownProject, ModelEntry, ModelLedger, Rescheduled
from latigo.providers.protocols import ModelInformationProvider, ModelRoster
from latigo.runtime.clock import Clock
from latigo.runtime.log import get_logger
from latigo.runtime.off_loop import off_loop
from latigo.scheduler.discovery import Discovery
from latigo.scheduler.listing import PREDICTED, Changes, changes, is_acceptable, is_older, longest_window
from latigo.scheduler.selection import SelectedModels, Selection

_log = get_logger(__name__)

#: Metadata documents that are read at once, up to 90 kB each.
AT_ONCE = 8
#: Models that are written together: planning can start with the first of 9000 before the last is read.
CHUNK = 100


class ModelSync:
    """Lists the models, reads the metadata of new and changed ones, and writes them to the ledger."""

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
        discovery: Discovery | None = None,
    ) -> None:
        self._discovery = discovery
        self._provider = provider
        self._roster = roster
        self._selection = selection
        self._ledger = ledger
        self._schedule_of = schedule_of
        self._max_window = max_window
        self._clock = clock
        self._version = version
        self._complete = True

    async def run_once(self, may_continue: Callable[[], bool] = lambda: True) -> bool:
        """Synchronise all projects; a failure of one project or model does not stop the others.

        Args:
            may_continue: checked repeatedly, since a round over thousands of models takes minutes.

        Returns:
            Whether the ledger is complete. If not, something could not be read, accepted or written, and the next round
            should follow soon.
        """
        self._complete = True
        roster = await self._roster.entries()
        selection = self._selection
        discovered = None if self._discovery is None else await self._discovery.read(roster)
        if discovered is not None:
            self._complete = discovered.current
            if discovered.projects is None:
                return False
            selection = selection.naming(discovered.projects)
        known = {project.name: project for project in await self._ledger.projects()}
        for listing in await self._provider.get_model_list(selection.projects_to_list(roster)):
            with self._isolate_bugs(listing.project):
                apply = partial(selection.apply, listing, roster)
                selected = await off_loop(len(listing.models), MANY_MODELS, apply)
                await self._sync_project(selected, known.pop(listing.project, None), may_continue)
        for project in known:
            with self._isolate_bugs(project):
                _log.warning("project.dropped", project=project, count=await self._ledger.project_dropped(project))
        return self._complete

    @contextmanager
    def _isolate_bugs(self, project: str) -> Iterator[None]:
        """Keep a bug that the models of one project trigger from stopping the others."""
        try:
            yield
        except LatigoError:  # the ledger is unavailable
            raise
        except Exception:  # noqa: BLE001 - that is its purpose
            _log.exception("listing.crashed", project=project)
            self._complete = False

    async def _sync_project(
        self, listing: SelectedModels, before: KnownProject | None, may_continue: Callable[[], bool]
    ) -> None:
        if listing.error is not None:
            self._complete = False
            _log.warning("models.not_listed", project=listing.project, error=str(listing.error))
            await self._ledger.project_failed(listing.project, str(listing.error))
            return
        if listing.missing:
            missing = {"count": len(listing.missing), "first": listing.missing[0]}
            _log.warning("models.not_on_server", project=listing.project, **missing)
        known = await self._ledger.known_models(listing.project)
        compare = partial(changes, known, listing, "" if before is None else before.revision)
        change = await off_loop(len(known) + listing.count, MANY_MODELS, compare)
        if change.deselected:
            _log.info("models.deselected", project=listing.project, count=len(change.deselected))
            await self._ledger.set_state(listing.project, change.deselected, "unregistered")
        if change.outdated or change.older:
            self._complete = False
            _log.warning("models.list_outdated", project=listing.project, count=change.older, revision=listing.revision)
        if change.outdated:
            await self._ledger.project_outdated(listing.project, listing.revision)
            await self._reschedule(listing, known)
            return
        if not self._accepts(listing, change, before):
            self._complete = False
            await self._ledger.project_quarantined(listing.project, listing.count)
            return
        describe = {*change.describe, *await self._reschedule(listing, known)}
        if change.gone:
            _log.warning("models.gone", project=listing.project, count=len(change.gone))
            await self._ledger.set_state(listing.project, change.gone, "gone")
        if listing.unbuilt:
            unbuilt = {"count": len(listing.unbuilt), "first": listing.unbuilt[0]}
            _log.info("models.not_built", project=listing.project, **unbuilt)
        await self._ledger.project_listed(listing.project, listing.revision, listing.models, listing.unbuilt)
        await self._describe_all(listing, [name for name in listing.models if name in describe], may_continue)

    def _accepts(self, listing: SelectedModels, change: Changes, before: KnownProject | None) -> bool:
        since, accepted_by_command = None, False
        if before is not None:
            since = before.quarantined_since if before.quarantined_models == listing.count else None
            accepted_by_command = before.accept_loss
        now = self._clock.now()
        accepted = is_acceptable(change.predicted, change.lost, since, now, accepted=accepted_by_command)
        if not accepted:
            fields = {"project": listing.project, "known": change.predicted, "lost": change.lost, "since": since}
            _log.error("models.list_quarantined", **fields)
        return accepted

    async def _reschedule(self, listing: SelectedModels, known: Sequence[KnownModel]) -> list[str]:
        """Apply changed settings to known models. Return those whose slots change: they have to be described again."""
        changed, realigned = await off_loop(len(known), MANY_MODELS, lambda: self._rescheduled(listing, known))
        if changed:
            _log.info("models.rescheduled", project=listing.project, count=len(changed))
            await self._ledger.reschedule(changed)
        return realigned

    def _rescheduled(self, listing: SelectedModels, known: Sequence[KnownModel]) -> tuple[list[Rescheduled], list[str]]:
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
        return changed, realigned

    async def _describe_all(
        self, listing: SelectedModels, names: Sequence[str], may_continue: Callable[[], bool]
    ) -> None:
        if names:
            _log.info("models.discovered", project=listing.project, count=len(names), revision=listing.revision)
        permits = asyncio.Semaphore(AT_ONCE)

        async def describe(name: str) -> ModelEntry | None:
            async with permits:
                return await self._describe(ModelRef(listing.project, name), listing.revision)

        async def read(chunk: Sequence[str]) -> list[ModelEntry]:
            entries = await asyncio.gather(*(describe(name) for name in chunk))
            return [entry for entry in entries if entry is not None]

        entries: list[ModelEntry] = []
        for start in range(0, len(names), CHUNK):
            if not may_continue():
                self._complete = False
                return
            # The next chunk is read while this one is written.
            entries, _ = await asyncio.gather(read(names[start : start + CHUNK]), self._put(entries))
        await self._put(entries)

    async def _put(self, entries: Sequence[ModelEntry]) -> None:
        """Write models together, or one by one if one of them triggers a bug."""
        if not entries:
            return
        try:
            await self._ledger.put_models(entries)
        except LatigoError:  # the ledger is unavailable
            raise
        except Exception as error:  # noqa: BLE001 - a bug that one model triggers must not keep the others out
            if len(entries) == 1:
                _log.exception("model.not_stored", model=str(entries[0].spec.ref), error=repr(error))
                self._complete = False
                return
            for entry in entries:
                await self._put([entry])

    async def _describe(self, ref: ModelRef, revision: str) -> ModelEntry | None:
        try:
            return await self._described(ref, revision)
        except LatigoError as error:  # unavailable, or the revision has just been replaced: the next round tries again
            _log.warning("model.not_described", model=str(ref), error=str(error))
        except Exception as error:  # noqa: BLE001 - a bug that one model triggers must not stop the others
            _log.exception("model.not_described", model=str(ref), error=repr(error))
        self._complete = False
        return None

    async def _described(self, ref: ModelRef, revision: str) -> ModelEntry | None:
        """Return the ledger's entry of a model; None if it is unusable, which is recorded in the ledger."""
        try:
            return self._entry(await self._provider.get_model_spec(ref, revision))
        except Rejected as error:
            _log.warning("model.unusable", model=str(ref), reason=str(error))
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
            recompute=schedule.recompute,
        )
