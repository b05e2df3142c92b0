"""Endpoints: models."""

from typing import Annotated

from pydantic import Field

from latigo.reports.choices import ModelOrder, ModelState
from latigo.reports.models import KnownModel, read_models
from latigo.web.api.context import Context
from latigo.web.api.endpoint import Endpoint, Name
from latigo.web.api.paging import Page, Paged


class ModelsQuestion(Paged):
    """Which models."""

    q: Annotated[str, Field(max_length=200, description="Parts of the name, in any order.")] = ""
    project: Name | None = None
    model: Name | None = None
    state: ModelState | None = None
    order: ModelOrder = "name"


async def _models(context: Context, asked: ModelsQuestion) -> Page[KnownModel]:
    await context.require(asked.project, asked.model)
    rows = await read_models(
        context.database,
        asked.project,
        asked.model,
        state=asked.state,
        order=asked.order,
        q=asked.q,
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

ENDPOINTS = (MODELS,)
