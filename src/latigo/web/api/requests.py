"""Endpoints: requests for stretches of time."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field

from latigo.actions.backfill import (
    Asked,
    cancel_backfill,
    pause_backfill,
    preview_backfill,
    request_backfill,
    resume_backfill,
    retry_failed,
)
from latigo.domain.circuits import System, circuit_name
from latigo.domain.errors import Misused
from latigo.domain.names import unknown_name
from latigo.domain.windows import Window
from latigo.reports.backfills import (
    Backfill,
    BackfillModel,
    BackfillPreview,
    read_backfill,
    read_backfill_models,
    read_backfills,
)
from latigo.reports.base import Report
from latigo.reports.choices import BackfillState
from latigo.runtime.times import parse_time
from latigo.settings import Settings, predictions_kept_for
from latigo.web.api.context import Context
from latigo.web.api.endpoint import Digest, Endpoint, Name, Question, Why
from latigo.web.api.paging import Page, Paged
from latigo.web.api.times import When

Number = Annotated[int, Field(ge=1, le=2**63 - 1)]
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]


class RequestsQuestion(Paged):
    """Which requests."""

    state: BackfillState | None = None


async def _requests(context: Context, asked: RequestsQuestion) -> Page[Backfill]:
    rows = await read_backfills(context.database, state=asked.state, most=asked.limit, skip=asked.skip)
    return asked.page(rows, context.now())


REQUESTS = Endpoint(
    path="/requests",
    summary="Requests for stretches of time, the newest first, and how far they are.",
    question=RequestsQuestion,
    answer=Page[Backfill],
    handle=_requests,
    limit=timedelta(seconds=5),
)


class RequestQuestion(Question):
    """Which request."""

    id: Number


async def _request(context: Context, asked: RequestQuestion) -> Backfill:
    return await read_backfill(context.database, asked.id)


REQUEST = Endpoint(
    path="/requests/{id}",
    summary="One request, and how far it is.",
    question=RequestQuestion,
    answer=Backfill,
    handle=_request,
    limit=timedelta(seconds=5),
)


class RequestModelsQuestion(Paged):
    """Whose models."""

    id: Number


async def _request_models(context: Context, asked: RequestModelsQuestion) -> Page[BackfillModel]:
    await read_backfill(context.database, asked.id)
    rows = await read_backfill_models(context.database, asked.id, asked.limit, asked.skip)
    return asked.page(rows, context.now())


REQUEST_MODELS = Endpoint(
    path="/requests/{id}/models",
    summary="The models of a request, those with most left first.",
    question=RequestModelsQuestion,
    answer=Page[BackfillModel],
    handle=_request_models,
    limit=timedelta(seconds=5),
)


class BackfillSelector(Question):
    """Models of a request."""

    names: Annotated[
        tuple[Name, ...],
        Field(max_length=20_000, description="PROJECT or PROJECT/MODEL; * and ? stand for any characters."),
    ] = ()
    sensor: Annotated[Name | None, Field(description="Only models that read this tag.")] = None


class BackfillQuestion(Question):
    """What is predicted, and how."""

    selector: BackfillSelector = BackfillSelector()
    since: Annotated[When | None, Field(alias="from", description="Begin; needed, but for a copy to a sink.")] = None
    until: Annotated[When, Field(alias="to")] = "now"
    replace: Annotated[bool, Field(description="Predict again what is there as well.")] = False
    sink: Annotated[Name | None, Field(description="Copy to this sink what it lacks.")] = None
    at_most: Annotated[Count | None, Field(description="Tasks that may be out for it at the same time.")] = None
    stop_after: Annotated[Count | None, Field(description="Failed windows after which it is paused.")] = None
    dry_run: bool = False
    expect: Digest = ""
    reason: Why = ""


class BackfillAnswer(Report):
    """A request that was made, or would be."""

    dry_run: bool
    id: int | None  #: None: nothing is wanted, or it is a dry run
    preview: BackfillPreview
    notes: Sequence[str] = ()  #: what could not be found out


async def _backfill(context: Context, asked: BackfillQuestion) -> BackfillAnswer:
    notes: list[str] = []
    wanted = await _asked(context, asked, notes.append)
    if asked.dry_run:
        preview = await preview_backfill(context.database, wanted)
        return BackfillAnswer(dry_run=True, id=None, preview=preview, notes=notes)
    number, preview = await request_backfill(
        context.database, context.who, wanted, why=asked.reason, expect=asked.expect
    )
    return BackfillAnswer(dry_run=False, id=number, preview=preview, notes=notes)


async def _asked(context: Context, asked: BackfillQuestion, report: Callable[[str], None]) -> Asked:
    settings, names, sensor = context.settings, asked.selector.names, asked.selector.sensor
    if not names and sensor is None and asked.sink is None:
        raise Misused("selector: name projects, models or a sensor; * selects every model")
    if asked.since is None and asked.sink is None:
        raise Misused("from: say where the time begins")
    circuit = circuit_of(settings, asked.sink) if asked.sink is not None else ""
    return Asked(
        kind="copy" if asked.sink is not None else "replace" if asked.replace else "fill",
        window=None if asked.since is None else _window(context, asked.since, asked.until),
        names=names or ("*",),
        sensor=sensor,
        kept_for=predictions_kept_for(settings),
        readable_for=await context.readings_kept(report),
        at_most=asked.at_most,
        stop_after=asked.stop_after,
        sink=circuit,
        everything=asked.replace,
        readable=[circuit_name(System.SINK, each.sink_name) for each in settings.predictions],
    )


def _window(context: Context, since: str, until: str) -> Window:
    now = context.now()
    try:
        return Window(parse_time(since, now), parse_time(until, now))
    except ValueError as error:
        raise Misused(f"from, to: {error}") from None


def circuit_of(settings: Settings, sink: str) -> str:
    """Return the name of the circuit of a required sink.

    Raises:
        UnknownName: the settings have no sink of this name.
        Misused: it is not required.
    """
    required = {each.sink_name: each.required for each in settings.predictions}
    if sink not in required:
        raise unknown_name("sink", sink, required)
    if not required[sink]:
        raise Misused(f"{sink} is not required (predictions.required), so the ledger does not know what it has")
    return circuit_name(System.SINK, sink)


BACKFILL = Endpoint(
    method="POST",
    path="/backfill",
    summary="Request predictions of a stretch of time, however long ago.",
    question=BackfillQuestion,
    answer=BackfillAnswer,
    handle=_backfill,
    limit=timedelta(seconds=60),
    examples=({"selector": {"names": ["plant-a"]}, "from": "-30d", "dry_run": True},),
)


class ChangeQuestion(Question):
    """Which request, and why."""

    id: Number
    reason: Why = ""


class ChangedRequest(Report):
    """A request after a change."""

    request: Backfill
    unparked: int = 0  #: windows that had failed and are tried again


def _change(verb: str, summary: str, act: Callable[..., Awaitable[Any]]) -> Endpoint[ChangeQuestion, ChangedRequest]:
    async def handle(context: Context, asked: ChangeQuestion) -> ChangedRequest:
        unparked = await act(context.database, context.who, asked.id, asked.reason)
        return ChangedRequest(request=await read_backfill(context.database, asked.id), unparked=unparked or 0)

    return Endpoint(
        method="POST",
        path=f"/requests/{{id}}/{verb}",
        summary=summary,
        question=ChangeQuestion,
        answer=ChangedRequest,
        handle=handle,
        limit=timedelta(seconds=30),
    )


PAUSE = _change("pause", "Pause a request.", pause_backfill)
RESUME = _change("resume", "Go on with a paused request.", resume_backfill)
CANCEL = _change("cancel", "End a request for good.", cancel_backfill)
RETRY_FAILED = _change("retry-failed", "Try again what has failed of a request, and go on with it.", retry_failed)

ENDPOINTS = (REQUESTS, REQUEST, REQUEST_MODELS, BACKFILL, PAUSE, RESUME, CANCEL, RETRY_FAILED)
