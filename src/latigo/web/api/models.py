"""Endpoints: projects and models."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Annotated

from pydantic import Field

from latigo.actions.roster import ModelServer
from latigo.domain.errors import Unavailable, UnknownName
from latigo.domain.model import ModelRef
from latigo.domain.outcome import Outcome
from latigo.reports.base import Report
from latigo.reports.choices import ModelOrder, ModelState
from latigo.reports.explain import Explanation, read_explanation
from latigo.reports.models import (
    KnownModel,
    ModelDetails,
    ModelInLedger,
    read_model_details,
    read_model_in_ledger,
    read_models,
    within_limit,
)
from latigo.reports.names import KnownNames, not_on_server, read_names, require_project
from latigo.reports.receipts import ReceiptReport, read_receipts
from latigo.reports.search import Found, search
from latigo.reports.story import sentences
from latigo.reports.verification import Verification
from latigo.runtime.times import parse_time
from latigo.web.api.context import Context
from latigo.web.api.endpoint import Endpoint, Name, OfModel, Patterns, Question
from latigo.web.api.paging import Page, Paged
from latigo.web.api.times import When
from latigo.web.problems import refuse

Search = Annotated[str, Field(max_length=200, description="Parts of the name, in any order.")]


class ModelsQuestion(Paged):
    """Which models."""

    q: Search = ""
    project: Patterns = ()
    model: Patterns = ()
    sensor: Annotated[Name | None, Field(description="Only models that read this tag.")] = None
    state: ModelState | None = None
    order: ModelOrder = "name"


async def _models(context: Context, asked: ModelsQuestion) -> Page[KnownModel]:
    await context.require_all(asked.project, asked.model)
    await context.require(None, sensor=asked.sensor)
    rows = await read_models(
        context.database,
        asked.project or None,
        asked.model or None,
        state=asked.state,
        order=asked.order,
        q=asked.q,
        sensor=asked.sensor,
        most=asked.limit,
        skip=asked.skip,
    )
    return asked.page(rows, context.now())


MODELS = Endpoint(
    path="/models",
    summary="The models that the ledger knows, with their state and coverage.",
    question=ModelsQuestion,
    answer=Page[KnownModel],
    handle=_models,
)


class ModelQuestion(OfModel):
    """Which model."""


async def _model(context: Context, asked: ModelQuestion) -> ModelInLedger:
    await _require_model(context, asked.ref)
    return await read_model_in_ledger(context.database, asked.ref, context.settings.ledger.history)


MODEL = Endpoint(
    path="/models/{project}/{model}",
    summary="One model, as the ledger knows it.",
    question=ModelQuestion,
    answer=ModelInLedger,
    handle=_model,
    limit=timedelta(seconds=2),
    largest=1_000_000,
)


async def _model_on_server(context: Context, asked: ModelQuestion) -> ModelDetails:
    known = await read_names(context.database, context.settings.models.projects)
    async with context.model_server() as server:
        if asked.ref not in known.models:
            try:
                await within_limit(_require_on_server(server, known, asked.ref))
            except Unavailable:
                known.require(*asked.ref)
        return await read_model_details(context.database, server.execution, asked.ref)


async def _require_on_server(server: ModelServer, known: KnownNames, ref: ModelRef) -> None:
    await require_project(server.catalogue, ref.project, known)
    if not await server.catalogue.model_exists(ref):
        raise await not_on_server(server.catalogue, ref, known)


MODEL_ON_SERVER = Endpoint(
    path="/models/{project}/{model}/server",
    summary="One model, as its server, the roster and the ledger report it.",
    question=ModelQuestion,
    answer=ModelDetails,
    asks_others=True,
    handle=_model_on_server,
    limit=timedelta(seconds=25),
)


class ReceiptsQuestion(OfModel, Paged):
    """Which receipts of a model."""

    outcome: Outcome | None = None


async def _receipts(context: Context, asked: ReceiptsQuestion) -> Page[ReceiptReport]:
    await _require_model(context, asked.ref)
    rows = await read_receipts(context.database, asked.ref, asked.outcome, most=asked.limit, skip=asked.skip)
    return asked.page(rows, context.now())


RECEIPTS = Endpoint(
    path="/models/{project}/{model}/receipts",
    summary="The settled windows of a model, the newest first.",
    question=ReceiptsQuestion,
    answer=Page[ReceiptReport],
    handle=_receipts,
    largest=10_000_000,
)


class ExplainQuestion(OfModel):
    """Which moment of a model."""

    at: When


class Explained(Explanation):
    """One moment of one model, and its story."""

    story: Sequence[str]  #: in sentences, for people


async def _explain(context: Context, asked: ExplainQuestion) -> Explained:
    await _require_model(context, asked.ref)
    at = parse_time(asked.at, context.now())
    explanation = await read_explanation(context.database, asked.ref, at, context.settings.ledger.history)
    return Explained(**dict(explanation), story=sentences(explanation))


EXPLAIN = Endpoint(
    path="/models/{project}/{model}/explain",
    summary="Where the prediction of a moment comes from, or why there is none.",
    question=ExplainQuestion,
    answer=Explained,
    handle=_explain,
    limit=timedelta(seconds=2),
)


class VerifyQuestion(OfModel):
    """Which moment of a model is predicted again."""

    at: When


class OneAtATime:
    """Keeps a process from predicting several slots again at once: it has other work."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()


async def _verify(context: Context, asked: VerifyQuestion) -> Verification:
    await _require_model(context, asked.ref)
    if context.predict_again is None:
        raise refuse(
            "no-source", HTTPStatus.SERVICE_UNAVAILABLE, "this process has no source of readings open: ask latigo serve"
        )
    at = parse_time(asked.at, context.now())
    explanation = await read_explanation(context.database, asked.ref, at, context.settings.ledger.history)
    async with context.kept.of(OneAtATime, OneAtATime).turn:
        return await context.predict_again(asked.ref, explanation)


VERIFY = Endpoint(
    method="POST",
    path="/models/{project}/{model}/verify",
    summary="Predict the slot of a moment again, written nowhere, and compare it with what a sink holds.",
    question=VerifyQuestion,
    answer=Verification,
    handle=_verify,
    asks_others=True,
    limit=timedelta(seconds=60),
    examples=({"at": "-2h"},),
)


class SearchQuestion(Question):
    """What is looked for."""

    q: Search = ""
    limit: Annotated[int, Field(ge=1, le=100, description="Rows at most.")] = 20


class SearchAnswer(Report):
    """What was found, best first."""

    items: Sequence[Found]


async def _search(context: Context, asked: SearchQuestion) -> SearchAnswer:
    return SearchAnswer(items=await search(context.database, asked.q, asked.limit))


SEARCH = Endpoint(
    path="/search",
    summary="Projects, models, sensors, causes and requests by parts of their names.",
    question=SearchQuestion,
    answer=SearchAnswer,
    handle=_search,
    largest=200_000,
)


async def _require_model(context: Context, ref: ModelRef) -> None:
    require_model(
        await read_names(context.database, context.settings.models.projects), ref, context.settings.models.exclude
    )


def require_model(known: KnownNames, ref: ModelRef, excluded: Sequence[str]) -> None:
    """Check that a model is known.

    Raises:
        UnknownName: it is not; with the patterns that leave it out, if that is why.
    """
    try:
        known.require(*ref)
    except UnknownName as error:
        if patterns := [pattern for pattern in excluded if fnmatchcase(str(ref), pattern)]:
            raise UnknownName(f"{error}; models.exclude leaves it out: {', '.join(patterns)}") from None
        raise


ENDPOINTS = (MODELS, MODEL, MODEL_ON_SERVER, RECEIPTS, EXPLAIN, VERIFY, SEARCH)
