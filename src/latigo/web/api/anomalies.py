"""Endpoint: models by anomaly."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from latigo.reports.anomalies import MOST_MODELS, Anomalies, read_anomalies
from latigo.runtime.times import parse_time
from latigo.web.api.context import Context
from latigo.web.api.endpoint import Endpoint, Patterns, Question
from latigo.web.api.times import When


class AnomaliesQuestion(Question):
    """A range of time, and whose models."""

    project: Patterns = ()
    model: Patterns = ()
    from_: Annotated[When, Field(alias="from")] = "-24h"
    to: When = "now"
    limit: Annotated[int, Field(ge=1, le=MOST_MODELS, description="Models that are listed.")] = 100


async def _anomalies(context: Context, asked: AnomaliesQuestion) -> Anomalies:
    await context.require_all(asked.project, asked.model)
    now = context.now()
    start, end = parse_time(asked.from_, now), parse_time(asked.to, now)
    projects, models = asked.project or None, asked.model or None
    return await read_anomalies(context.database, projects, start, end, now, model=models, most=asked.limit)


ANOMALIES = Endpoint(
    path="/anomalies",
    summary="Models by anomaly, the worst first: what changed, since when, which tags carry it.",
    question=AnomaliesQuestion,
    answer=Anomalies,
    handle=_anomalies,
    limit=timedelta(seconds=1),
    shared_for=timedelta(seconds=30),
    examples=({"project": "plant-a", "from": "-7d"},),
)

ENDPOINTS = (ANOMALIES,)
