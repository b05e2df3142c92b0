"""Endpoints: how the service is doing."""

from datetime import timedelta

from latigo import __version__
from latigo.reports.status import Status, read_status
from latigo.web.api.context import Context
from latigo.web.api.endpoint import Endpoint, Question

EVERY = timedelta(seconds=5)


class StatusQuestion(Question):
    """Nothing to choose."""


async def _status(context: Context, _question: StatusQuestion) -> Status:
    return await read_status(context.database, __version__, context.settings.objective)


STATUS = Endpoint(
    path="/status",
    summary="How the service is doing: its verdict, the causes, and what limits it.",
    question=StatusQuestion,
    answer=Status,
    handle=_status,
    limit=timedelta(seconds=10),
    shared_for=EVERY,
)

ENDPOINTS = (STATUS,)
