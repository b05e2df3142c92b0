"""Posts the description of each model and revision once, after its first stored window; predictions do not wait."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from latigo.domain.errors import LatigoError, Reason, Rejected, RevisionGone, Unavailable
from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.series import Column
from latigo.ledger.model_protocol import MetadataLedger, UnpostedMetadata
from latigo.providers.protocols import NamedSeries, NamingSink, PredictionMetadataProvider
from latigo.runtime.clock import Clock
from latigo.runtime.lifecycle import pause
from latigo.runtime.log import get_logger
from latigo.runtime.retry import backoff

_log = get_logger(__name__)

#: Descriptions at a time: each reads the metadata of a model from the server that predicts.
AT_ONCE = 4
#: Interval between looks for more.
POLL = timedelta(seconds=10)
#: Longer than all calls for one description may take together.
LEASE = timedelta(minutes=15)
#: Waits of one description that failed: of its own accord, and because something is unavailable.
FIRST_WAIT, LONGEST_WAIT, LONGEST_OUTAGE = timedelta(seconds=30), timedelta(hours=6), timedelta(minutes=10)
#: Waits of all descriptions while the service itself is unavailable; then one at a time tries it.
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=5)

Describe = Callable[[ModelRef, str], Awaitable[ModelSpec]]


class MetadataPosts:
    """Takes what is to be described from the ledger, and posts it.

    Args:
        ledger: which descriptions are to be posted, and which are.
        provider: where they are posted.
        sinks: those that have the predictions, by downstream.
        describe: reads the metadata of a model in a revision.
        clock: for the pauses.
    """

    def __init__(
        self,
        *,
        ledger: MetadataLedger,
        provider: PredictionMetadataProvider,
        sinks: Mapping[str, NamingSink],
        describe: Describe,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._provider = provider
        self._sinks = sinks
        self._describe = describe
        self._clock = clock
        self._outages = 0  #: failed tries in a row because the service is unavailable
        self._asked_to_wait = timedelta(0)
        self._unrecorded: list[UnpostedMetadata] = []  #: posted, which the ledger does not know yet

    async def run(self, stop: asyncio.Event) -> None:
        """Post until ``stop``; what is under way then is finished, or released where nothing was sent yet."""
        while not stop.is_set():
            try:
                count = await self.post_some(stop)
            except LatigoError as error:
                _log.warning("metadata.delayed", error=str(error))
                count = 0
            if self._outages:
                wait = backoff(self._outages, FIRST_PAUSE, LONGEST_PAUSE, random.random)
                await pause(self._clock, max(wait, min(self._asked_to_wait, LONGEST_WAIT)), stop)
            elif not count:
                await pause(self._clock, POLL, stop)

    async def post_some(self, stop: asyncio.Event) -> int:
        """Post a few that are due. Return how many were tried.

        Raises:
            Unavailable: the ledger is unavailable.
        """
        while self._unrecorded:
            await self._ledger.posted(self._unrecorded[-1])
            self._unrecorded.pop()
        due = await self._ledger.take(list(self._sinks), 1 if self._outages else AT_ONCE, LEASE)
        ended = await asyncio.gather(*(self._post(one, stop) for one in due), return_exceptions=True)
        if errors := [error for error in ended if isinstance(error, BaseException)]:
            raise errors[0]
        return len(due)

    async def _post(self, one: UnpostedMetadata, stop: asyncio.Event) -> None:
        try:
            document = await self._document(one)
            if stop.is_set():
                await self._ledger.released(one)
                return
            await self._provider.post_model(document)
        except Exception as error:  # noqa: BLE001 - a bug that one model triggers must not stop the others
            await self._failed(one, error)
            return
        self._outages, self._asked_to_wait = 0, timedelta(0)
        _log.info("metadata.posted", model=str(one.ref), revision=one.revision, attempt=one.attempts)
        try:
            await self._ledger.posted(one)
        except LatigoError:
            self._unrecorded.append(one)
            raise

    async def _document(self, one: UnpostedMetadata) -> Mapping[str, Any]:
        spec = await self._describe(one.ref, one.revision)
        inputs, outputs = await self._sinks[one.sink].identify(one.ref, spec.dataset.tag_list, one.columns)
        return document_of(spec, inputs, outputs, one.columns)

    async def _failed(self, one: UnpostedMetadata, error: Exception) -> None:
        text = str(error) if isinstance(error, LatigoError) else f"{type(error).__name__}: {error}"
        fields = {"model": str(one.ref), "revision": one.revision, "attempt": one.attempts, "error": text}
        if isinstance(error, RevisionGone) or (isinstance(error, Rejected) and error.reason is Reason.MODEL_GONE):
            _log.warning("metadata.dropped", **fields)
            await self._ledger.dropped(one)
            return
        if not isinstance(error, LatigoError):
            _log.exception("metadata.not_posted", **fields)
        else:
            _log.warning("metadata.not_posted", **fields)
        longest = LONGEST_WAIT
        if isinstance(error, Unavailable):
            longest = LONGEST_OUTAGE
            if error.downstream == self._provider.downstream:
                self._outages += 1
                self._asked_to_wait = error.retry_after or timedelta(0)
        await self._ledger.failed(one, text, backoff(one.attempts, FIRST_WAIT, longest, random.random))


def document_of(
    spec: ModelSpec, inputs: Sequence[NamedSeries], outputs: Sequence[NamedSeries], columns: Sequence[Column]
) -> dict[str, Any]:
    """Return the description of a model in a revision, as the Metadata API takes it. Pure.

    Args:
        spec: of the model.
        inputs: series of its input tags.
        outputs: series of its columns, in their order.
        columns: of its predictions.
    """
    begin, end = spec.trained or (None, None)
    return {
        "project_name": spec.ref.project,
        "model_name": spec.ref.name,
        "revision": spec.revision,
        "training_time_from": begin,
        "training_time_to": end,
        "description": f"Gordo prediction for project {spec.ref.project}, model {spec.ref.name}",
        "status": "not_defined",
        "labels": None,
        "input_tags": [{"name": series.name, "time_series_id": series.id} for series in inputs],
        "output_tags": [
            {
                "name": series.name,
                "time_series_id": series.id,
                "type": "derived" if column.tag else "aggregated",
                "description": series.description,
                "derived_from": column.tag,
            }
            for series, column in zip(outputs, columns, strict=True)
        ],
    }
