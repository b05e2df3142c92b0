"""The Metadata API: names projects, and takes descriptions of the models that there are predictions of.

====================================== ===============================================================================
answer                                 raised
====================================== ===============================================================================
2xx, a JSON object                     nothing
401 with a fresh token as well, 403    `Unavailable`, with an alarm
3xx                                    `Unavailable`, with an alarm
408, 425, 429, 5xx                     `Unavailable`, with the wait that it asks for
other 4xx                              `Failed`; for the list of projects `Unavailable`, with an alarm
no answer, cut short, or no JSON       `Unavailable`, `TimedOut`
====================================== ===============================================================================

Nothing is tried again within a call: those who call it do so later.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final

import aiohttp
import orjson

from latigo.domain.errors import Failed, LatigoError, TooLarge, Unavailable
from latigo.domain.model import DiscoveredProject
from latigo.providers.login import Login, open_login
from latigo.providers.transport import transport_failures, trusting
from latigo.runtime.clock import Clock
from latigo.runtime.documents import LARGEST, DocumentTooLarge, read_json
from latigo.runtime.http import (
    read_body,
    read_excerpt,
    request_body,
    retry_after,
    session_options,
    time_limit,
    transport_errors,
)
from latigo.runtime.off_loop import LARGE_DOCUMENT, off_loop
from latigo.runtime.redaction import excerpt
from latigo.settings import MetadataApiSettings

DOWNSTREAM: Final = "metadata_api"

_UNAUTHORIZED, _FORBIDDEN = 401, 403
_PASSING = frozenset({408, 425, 429})
_LONGEST_MESSAGE = 300


class MetadataApi:
    """Sends requests; opened by `open_metadata_api`. A `ModelDiscovery` and a `PredictionMetadataProvider`."""

    downstream = DOWNSTREAM

    def __init__(self, session: aiohttp.ClientSession, url: str, login: Login, limit: timedelta) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._login = login
        self._limit = limit
        self._failures = transport_failures(DOWNSTREAM)

    async def ping(self) -> str:
        count = len(await self.get_projects())
        return f"names {count} project{'' if count == 1 else 's'}"

    async def get_projects(self) -> Sequence[DiscoveredProject]:
        try:
            document = await self._send("GET", "/projects")
        except Failed as error:
            raise Unavailable(str(error), downstream=DOWNSTREAM, alarm=True) from error
        projects = document.get("projects")
        if not isinstance(projects, list) or not all(isinstance(project, str) for project in projects):
            raise Unavailable("Metadata API, GET /projects: the answer has no list of projects", downstream=DOWNSTREAM)
        return [DiscoveredProject(project) for project in dict.fromkeys(projects)]

    async def post_model(self, document: Mapping[str, Any]) -> None:
        answer = await self._send("POST", "/models", orjson.dumps(document))
        if "model_id" not in answer:
            raise Unavailable("Metadata API, POST /models: the answer has no model_id", downstream=DOWNSTREAM)

    async def _send(self, method: str, path: str, content: bytes | None = None) -> Mapping[str, Any]:
        """Send a request, once more with another token where the first is refused; return the decoded answer."""
        doing = f"Metadata API, {method} {path}"
        try:
            async with time_limit(self._limit, doing, self._failures):
                token = await self._login.token(DOWNSTREAM)
                status, body, wait = await self._exchange(method, path, content, token, doing)
                if status == _UNAUTHORIZED and self._login.refused(token):
                    token = await self._login.token(DOWNSTREAM)
                    status, body, wait = await self._exchange(method, path, content, token, doing)
            if not 200 <= status < 300:
                raise _error(doing, status, body, wait)
            document = await off_loop(len(body), LARGE_DOCUMENT, lambda: read_json(body))
        except (TooLarge, DocumentTooLarge, ValueError, RecursionError) as error:
            raise Unavailable(
                f"{doing}: the answer is not JSON, cut short or too large", downstream=DOWNSTREAM
            ) from error
        if not isinstance(document, Mapping):
            raise Unavailable(f"{doing}: the answer is no JSON object", downstream=DOWNSTREAM)
        return document

    async def _exchange(
        self, method: str, path: str, content: bytes | None, token: str | None, doing: str
    ) -> tuple[int, bytes, timedelta | None]:
        headers = {"Accept": "application/json"}
        if content is not None:
            headers["Content-Type"] = "application/json"
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        with transport_errors(doing, self._failures):
            async with self._session.request(
                method,
                f"{self._url}{path}",
                data=None if content is None else request_body(content),
                headers=headers,
                allow_redirects=False,
            ) as response:
                read = read_body(response, LARGEST) if response.status < 300 else read_excerpt(response)
                return response.status, bytes(await read), retry_after(response.headers)


def _error(doing: str, status: int, body: bytes, wait: timedelta | None) -> LatigoError:
    text = f"{doing}: status {status}{_explained(body)}"
    if status in {_UNAUTHORIZED, _FORBIDDEN} or status < 400:
        return Unavailable(text, downstream=DOWNSTREAM, alarm=True)
    if status in _PASSING or status >= 500:
        return Unavailable(text, downstream=DOWNSTREAM, retry_after=wait)
    return Failed(text)


def _explained(body: bytes) -> str:
    """Return the beginning of what explains an error: the form of such bodies is not public."""
    text = excerpt(body.decode(errors="replace"), _LONGEST_MESSAGE).strip()
    return f": {text}" if text else ""


@asynccontextmanager
async def open_metadata_api(settings: MetadataApiSettings, clock: Clock) -> AsyncIterator[MetadataApi]:
    """Open a session; nothing is sent before the first call.

    Raises:
        ConfigurationError: the login or ``ca_file`` cannot be used; names the key.
    """
    section = "metadata_api"
    async with (
        open_login(settings, section, clock) as login,
        aiohttp.ClientSession(
            **session_options(
                connect_timeout=settings.connect_timeout,
                headers=settings.fixed_headers if settings.has_fixed_headers else None,
                tls=trusting(settings.ca_file, section),
            )
        ) as session,
    ):
        yield MetadataApi(session, settings.url, login, settings.timeout)
