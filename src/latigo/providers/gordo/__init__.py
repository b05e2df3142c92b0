"""Models served by Gordo: what it answers, and what that means for a task.

====================================================================== =================================================
answer                                                                 raised
====================================================================== =================================================
200 with the columns and rows that the metadata promises               nothing
200 of Gordo with other columns or rows                                `Rejected`, the whole model
no connection, cut short, 429, 502, 503, 504                           `Unavailable`, with ``Retry-After``
401, 403, 407, a redirect                                              `Unavailable`, with an alarm
any status without the header ``revision``, or with another revision;  `Unavailable`: somebody else has answered
200 with a body that is not Gordo's
404, 405, 500 on lists of models or revisions                          `Unavailable`
no answer in time                                                      `TimedOut`, never asked again
404 for a model                                                        the list is read: `Rejected` (gone), or `Failed`
410                                                                    `RevisionGone`
413, or an answer beyond the limit                                     `TooLarge`
422 "not an AnomalyDetector"                                           the same body goes to ``prediction``
422 for the name; 400 with a "message": columns, missing y             `Rejected`, the whole model
400 from ``prediction`` with a Python error as its reason              `Rejected`, the window
500 from ``anomaly/prediction``                                        X goes to ``prediction`` once, which says why
everything else                                                        `Failed`
====================================================================== =================================================

Gordo takes a model's file from its directory by DELETE, unasked and for good: that is never sent.
"""

import re
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from latigo.domain.errors import ConfigurationError
from latigo.providers.gordo.client import Limits, open_client
from latigo.providers.gordo.server import GordoModels, ProjectReached
from latigo.providers.protocols import ModelRoster

__all__ = ["GordoModels", "Limits", "ProjectReached", "open_gordo"]

_PROJECT = re.compile(r"[^/\x00-\x1f\x7f\ud800-\udfff]+")


@asynccontextmanager
async def open_gordo(
    *,
    url: str,
    projects: Sequence[str],
    roster: ModelRoster,
    include: Sequence[str] = ("*",),
    exclude: Sequence[str] = (),
    headers: Mapping[str, str] | None = None,
    token: str | None = None,
    tls: ssl.SSLContext | None = None,
    limits: Limits | None = None,
) -> AsyncIterator[GordoModels]:
    """Models of a Gordo server; nothing is sent before something is asked.

    Args:
        url: where the server is, without ``/gordo/v0``.
        projects: those whose models are predicted; models of others only if they are registered by hand.
        roster: models registered or unregistered by hand.
        include: glob patterns on ``project/model``; one of them has to match.
        exclude: glob patterns on ``project/model``; none of them may match.
        headers: sent with every request; may hold secrets.
        token: sent as bearer token with every request.
        tls: what an ``https`` server is checked against; the system's authorities by default.
        limits: on time and size.

    Raises:
        ConfigurationError: URL or projects cannot be used; names the key.
    """
    if odd := [project for project in projects if not _PROJECT.fullmatch(project) or project in {".", ".."}]:
        raise ConfigurationError(f"models.projects: {odd[0]!r} is no name of a project")
    async with open_client(url, headers=headers, token=token, tls=tls, limits=limits) as client:
        yield GordoModels(client, projects=projects, roster=roster, include=include, exclude=exclude)
