"""Meaning of the responses of a model server: the table of status codes, as pure functions."""

import re
from dataclasses import dataclass
from datetime import timedelta
from html import unescape
from typing import Any, Final

from latigo.domain.circuits import System, circuit_name
from latigo.domain.errors import Failed, LatigoError, Reason, Rejected, RevisionGone, TooLarge, Unavailable
from latigo.runtime.documents import read_json
from latigo.runtime.redaction import excerpt

REFUSED_CREDENTIALS: Final = frozenset({401, 403, 407})
UNAVAILABLE: Final = frozenset({429, 502, 503, 504})

_LONGEST_TEXT = 500
#: Form in which the ``prediction`` path reports why a model refuses its input.
_PYTHON_ERROR = re.compile(r"\w*(Error|Exception|Warning): ")


@dataclass(frozen=True, slots=True)
class Response:
    """Response with its whole body, or with an excerpt of it where it is an error."""

    status: int
    content_type: str
    revision: str | None  #: Gordo puts it into every response; None: the response is not from Gordo
    body: bytearray
    retry_after: timedelta | None = None

    @property
    def text(self) -> str:
        """Reason of an error on one short line; empty where there is none."""
        if (body := document(self)) is not None:
            words = body.get("error") or body.get("message") or ""
        else:
            page = bytes(self.body).decode(errors="replace")
            _, begin, rest = page.partition("<p>")
            words, end, _ = rest.partition("</p>")
            words = unescape(words) if begin and end else ""
        return excerpt(" ".join(str(words).split()), _LONGEST_TEXT)


def document(response: Response) -> dict[str, Any] | None:
    """Return the JSON object in a response, or None.

    Raises:
        DocumentTooLarge: it has more values than any list or metadata.
    """
    if response.content_type != "application/json":
        return None
    try:
        content = read_json(response.body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def outage(response: Response, *, doing: str, downstream: str) -> LatigoError | None:
    """Return the error that a response means on every path alike; None: it is from Gordo, and the path decides."""
    status = response.status
    received = f"{doing}: {status} {response.content_type}".rstrip()
    if status == 413:
        return TooLarge(f"{received}: the request is too large")
    if status == 410 and response.revision is not None:
        return RevisionGone(f"{doing}: {response.text}")
    if reason := _not_from_gordo(response):
        alarm = status in REFUSED_CREDENTIALS or 300 <= status < 400
        return Unavailable(
            f"{received}: {reason}", downstream=downstream, retry_after=response.retry_after, alarm=alarm
        )
    return None


def _not_from_gordo(response: Response) -> str:
    if response.status in REFUSED_CREDENTIALS:
        return "credentials refused"
    if response.status in UNAVAILABLE:
        return "unavailable"
    if 300 <= response.status < 400:
        return "redirected, which Gordo never does"
    return "not Gordo's answer" if response.revision is None else ""


def foreign(response: Response, *, doing: str, downstream: str, reason: str) -> Unavailable:
    """Return the error for a response that Gordo would not send to this request."""
    return Unavailable(f"{doing}: not Gordo's answer: {response.status}, {reason}", downstream=downstream)


def accepted(response: Response, project: str, *, doing: str, revision: str | None) -> Response:
    """Return a response that comes from Gordo, and from the revision in the request.

    Raises:
        Unavailable, RevisionGone, TooLarge: it does not.
    """
    downstream = circuit_name(System.MODELS, project)
    if error := outage(response, doing=doing, downstream=downstream):
        raise error
    if revision is not None and response.revision != revision:
        raise foreign(
            response, doing=doing, downstream=downstream, reason=f"revision {excerpt(str(response.revision), 40)!r}"
        )
    return response


def not_an_anomaly_model(response: Response) -> bool:
    """Return whether the model answers on ``prediction`` only; a refused name is 422 too, as an HTML page."""
    return response.status == 422 and document(response) is not None


def refusal(response: Response, *, doing: str) -> LatigoError:
    """Return the error for a status other than 200 and 404, where `outage` returned None."""
    body = document(response)
    message = f"{doing}: {response.status} {response.text}".rstrip()
    match response.status:
        case 400 if body and "message" in body:
            return Rejected(message, reason=Reason.COLUMNS_REFUSED, whole_model=True)
        case 400 if body and _PYTHON_ERROR.match(response.text):
            return Rejected(message, reason=Reason.VALUES_REFUSED)
        case 422:
            return Rejected(message, reason=Reason.COLUMNS_REFUSED, whole_model=True)
    return Failed(message, retry_after=response.retry_after)
