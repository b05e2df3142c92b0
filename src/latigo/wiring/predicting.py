"""Predict a slot again, written nowhere, and compare it with what a sink holds."""

from collections.abc import Sequence

from latigo.actions.roster import ModelServer
from latigo.domain.errors import LatigoError, Reason, Rejected, RevisionGone
from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.series import Predictions
from latigo.domain.windows import Window, to_ns
from latigo.executor.oneshot import predict_once
from latigo.providers.protocols import PredictionStorageProvider, SensorDataProvider
from latigo.reports.comparison import Repetition, compare, count_by_tag
from latigo.reports.explain import Explanation, made_by
from latigo.reports.names import KnownNames, not_on_server, require_project
from latigo.reports.verification import Verification


async def predict_again(
    server: ModelServer,
    sensors: SensorDataProvider,
    stores: Sequence[PredictionStorageProvider],
    ref: ModelRef,
    moment: Explanation,
    *,
    max_bytes: int,
) -> Verification:
    """Predict the slot of a moment and compare it with the first sink that can be read.

    It is predicted in the window of its receipt, and in the revision that the sink holds, as far as they are known.

    Args:
        server: that runs the model.
        sensors: where its readings are.
        stores: the sinks.
        ref: the model.
        moment: what is known of it.
        max_bytes: of memory for the readings.

    Raises:
        LatigoError: it cannot be predicted, or no sink can be read.
    """
    slot = Window(moment.slot_start, moment.slot_end)
    sink, stored = await _stored(stores, ref, slot)
    receipt = made_by(moment)
    revisions = {part.revision for part in stored if part.revision}
    wanted = revisions.pop() if len(revisions) == 1 else receipt.revision if receipt else ""
    window = Window(receipt.start, receipt.end) if receipt else slot
    spec = await _spec(server, ref, wanted)
    results = [
        result
        async for result in predict_once(sensors, server.execution, spec, [window], slot.length, max_bytes=max_bytes)
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


async def _stored(
    stores: Sequence[PredictionStorageProvider], ref: ModelRef, slot: Window
) -> tuple[str, Sequence[Predictions]]:
    """Return what the first sink that can be read holds, and its name."""
    for store in stores:
        try:
            return store.downstream, await store.get_predictions(ref, slot)
        except NotImplementedError:
            continue
    raise LatigoError(
        "none of the sinks in the settings ([[predictions]]) can be read, so there is nothing to compare with"
    )


async def _spec(server: ModelServer, ref: ModelRef, revision: str) -> ModelSpec:
    """Return the model in a revision, or in its newest one where the server does not have that one any more."""
    known = KnownNames(frozenset({ref.project}))
    if revision:
        try:
            return await spec_of(server, ref, revision, known)
        except (Rejected, RevisionGone):
            pass
    return await spec_of(server, ref, "", known)


async def spec_of(server: ModelServer, ref: ModelRef, revision: str, known: KnownNames) -> ModelSpec:
    """Return a model as its server describes it; in its newest revision if ``revision`` is empty.

    Raises:
        UnknownName: the server does not have the model.
        Rejected: its metadata cannot be used.
        LatigoError: whatever the server's adapter raised.
    """
    await require_project(server.catalogue, ref.project, known)
    if revision:
        return await _spec_in(server, ref, revision, known)
    status = await server.execution.get_model_status(ref)
    if not status.exists:
        raise await not_on_server(server.catalogue, ref, known)
    if status.spec is None:
        raise Rejected(f"{ref}: {status.problem}", reason=Reason.BAD_METADATA)
    return status.spec


async def _spec_in(server: ModelServer, ref: ModelRef, revision: str, known: KnownNames) -> ModelSpec:
    try:
        return await server.catalogue.get_model_spec(ref, revision)
    except Rejected as error:
        if error.reason is Reason.MODEL_GONE and not await server.catalogue.model_exists(ref):
            raise await not_on_server(server.catalogue, ref, known) from error
        raise
