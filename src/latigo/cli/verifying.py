"""Predict a slot again, written nowhere, and compare it with what a sink holds."""

from collections.abc import Sequence

from latigo.cli.prediction import spec_of
from latigo.domain.errors import LatigoError, Rejected, RevisionGone
from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.series import Predictions
from latigo.domain.windows import Window, to_ns
from latigo.executor.budget import ByteBudget
from latigo.executor.oneshot import predict_once
from latigo.executor.pipeline import Sink
from latigo.postgres.database import Database
from latigo.providers.gordo import Gordo, open_gordo
from latigo.reports.explain import Explanation, made_by
from latigo.reports.names import KnownNames
from latigo.reports.verification import Repetition, Verification, compare, count_by_tag
from latigo.runtime.clock import SystemClock
from latigo.settings import Settings
from latigo.wiring.resources import open_sensors, open_sinks
from latigo.wiring.roster import NoRoster


async def predict_again(settings: Settings, database: Database, ref: ModelRef, moment: Explanation) -> Verification:
    """Predict the slot of a moment and compare it with the first sink that can be read.

    It is predicted in the window of its receipt, and in the revision that the sink holds, as far as they are known.

    Raises:
        LatigoError: it cannot be predicted, or no sink can be read.
    """
    slot = Window(moment.slot_start, moment.slot_end)
    async with open_sinks(settings, database) as sinks:
        sink, stored = await _stored(sinks, ref, slot)
    receipt = made_by(moment)
    revisions = {part.revision for part in stored if part.revision}
    wanted = revisions.pop() if len(revisions) == 1 else receipt.revision if receipt else ""
    window = Window(receipt.start, receipt.end) if receipt else slot
    async with open_gordo(settings.models, NoRoster()) as gordo, open_sensors(settings, SystemClock()) as sensors:
        spec = await _spec(gordo, ref, wanted)
        share = ByteBudget(settings.read_budget).share
        results = [
            result
            async for result in predict_once(sensors, gordo.execution, spec, [window], slot.length, max_bytes=share)
        ]
    parts = [
        part
        for result in results
        if result.predictions is not None
        and len(part := result.predictions.between(to_ns(slot.start), to_ns(slot.end)))
    ]
    again = Repetition(
        slot=slot,
        windows=[result.window for result in results],
        predictions=parts[0] if parts else None,  # windows are whole slots
        inputs=count_by_tag(spec.dataset.tags, results[0].inputs) if len(results) == 1 else {},
        filled=any(result.inputs.filled for result in results),
        revision=spec.revision,
        wanted_revision=wanted,
    )
    return compare(sink, stored, again, receipt)


async def _stored(sinks: Sequence[Sink], ref: ModelRef, slot: Window) -> tuple[str, Sequence[Predictions]]:
    """Return what the first sink that can be read holds, and its name."""
    for sink in sinks:
        try:
            return sink.store.downstream, await sink.store.get_predictions(ref, slot)
        except NotImplementedError:
            continue
    raise LatigoError(
        "none of the sinks in the settings ([[predictions]]) can be read, so there is nothing to compare with"
    )


async def _spec(gordo: Gordo, ref: ModelRef, revision: str) -> ModelSpec:
    """Return the model in a revision, or in its newest one where the server does not have that one any more."""
    known = KnownNames(frozenset({ref.project}))
    if revision:
        try:
            return await spec_of(gordo, ref, revision, known)
        except (Rejected, RevisionGone):
            pass
    return await spec_of(gordo, ref, "", known)
