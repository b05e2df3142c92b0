"""Endpoints: one model over time: its states, its predictions, its readings, and one moment of the grid."""

from datetime import timedelta
from http import HTTPStatus
from typing import Annotated

from pydantic import Field

from latigo.domain.errors import Misused
from latigo.domain.windows import Window
from latigo.reports.cell import CellReport, read_cell
from latigo.reports.model_coverage import ModelCoverage, read_coverage
from latigo.reports.models import read_tags
from latigo.reports.series import (
    LONGEST_READINGS,
    MOST_POINTS,
    MOST_TAGS,
    Chosen,
    SeriesReport,
    read_predictions,
    read_readings,
    to_arrow,
)
from latigo.runtime.times import parse_time
from latigo.web.api.context import Context
from latigo.web.api.endpoint import Endpoint, Name, OfModel
from latigo.web.api.times import When
from latigo.web.problems import refuse

_SHARED_FOR = timedelta(seconds=5)


class CellQuestion(OfModel):
    """One moment of one model."""

    at: When = "now"


class RangeQuestion(OfModel):
    """A range of time of one model."""

    from_: Annotated[When, Field(alias="from")] = "-24h"
    to: When = "now"

    def window(self, context: Context) -> Window:
        """Return the range.

        Raises:
            Misused: it is empty.
        """
        start, end = (parse_time(text, context.now()) for text in (self.from_, self.to))
        if not start < end:
            raise Misused("from: should be before to")
        return Window(start, end)


class SeriesQuestion(RangeQuestion):
    """A range, and which columns."""

    tag: Annotated[tuple[Name, ...], Field(max_length=200, description="Only columns of these tags.")] = ()
    points: Annotated[int, Field(ge=2, le=MOST_POINTS, description="Most points of a column.")] = 900


class PredictionsQuestion(SeriesQuestion):
    """A range, and which columns of predictions."""

    group: Annotated[tuple[Name, ...], Field(max_length=50, description="Only these groups of columns.")] = ()
    columns: Annotated[
        str,
        Field(
            pattern=r"^(all|total|worst[1-9][0-9]{0,2})$",
            description="all, total: without those of tags; worst8: the 8 tags that carry most of the anomaly.",
        ),
    ] = "all"

    @property
    def chosen(self) -> Chosen:
        """The columns."""
        worst = 0 if self.columns == "total" else int(self.columns[5:]) if self.columns != "all" else None
        return Chosen(groups=self.group, tags=self.tag, worst=worst if not self.tag else None)


async def _cell(context: Context, asked: CellQuestion) -> CellReport:
    await context.require(asked.project, asked.model)
    at = parse_time(asked.at, context.now())
    return await read_cell(context.database, asked.ref, at, context.settings.ledger.history)


async def _coverage(context: Context, asked: RangeQuestion) -> ModelCoverage:
    await context.require(asked.project, asked.model)
    window = asked.window(context)
    return await read_coverage(context.database, asked.ref, window.start, window.end)


async def _predictions(context: Context, asked: PredictionsQuestion) -> SeriesReport:
    await context.require(asked.project, asked.model)
    window, chosen = asked.window(context), asked.chosen
    return await read_predictions(context.database, context.stores, asked.ref, window, chosen, asked.points)


async def _readings(context: Context, asked: SeriesQuestion) -> SeriesReport:
    await context.require(asked.project, asked.model)
    if context.readings is None:
        raise refuse(
            "no-source", HTTPStatus.SERVICE_UNAVAILABLE, "this process has no source of readings open: ask latigo serve"
        )
    known = await read_tags(context.database, asked.ref)
    if others := [tag for tag in asked.tag if tag not in known]:
        raise Misused(f"tag: {asked.ref} has no {others[0]}")
    tags = list(asked.tag) or list(known)[:MOST_TAGS]
    return await read_readings(context.readings, asked.ref, tags, asked.window(context), asked.points)


CELL = Endpoint(
    path="/cell",
    summary="One slot of one model, as the grid shows it, and why.",
    question=CellQuestion,
    answer=CellReport,
    handle=_cell,
    limit=timedelta(seconds=1),
    shared_for=_SHARED_FOR,
)
COVERAGE = Endpoint(
    path="/models/{project}/{model}/coverage",
    summary="The states of a model over time, the revisions that predicted it, and how late that was.",
    question=RangeQuestion,
    answer=ModelCoverage,
    handle=_coverage,
    limit=timedelta(seconds=1),
    shared_for=_SHARED_FOR,
)
PREDICTIONS = Endpoint(
    path="/predictions/{project}/{model}",
    summary="Predictions of a model, from the first sink that can be read: as they are, or by buckets of time.",
    question=PredictionsQuestion,
    answer=SeriesReport,
    handle=_predictions,
    limit=timedelta(seconds=5),
    largest=8_000_000,
    shared_for=_SHARED_FOR,
    asks_others=True,
    arrow=to_arrow,
)
READINGS = Endpoint(
    path="/readings/{project}/{model}",
    summary=f"Readings of a model's tags by buckets of time, from their source; at most {LONGEST_READINGS.days} d.",
    question=SeriesQuestion,
    answer=SeriesReport,
    handle=_readings,
    limit=timedelta(seconds=10),
    largest=8_000_000,
    shared_for=_SHARED_FOR,
    asks_others=True,
    arrow=to_arrow,
)

ENDPOINTS = (CELL, COVERAGE, PREDICTIONS, READINGS)
