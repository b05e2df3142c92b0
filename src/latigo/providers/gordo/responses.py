"""What an answer of the model server means: the table of status codes, as pure functions."""

import json
import re
from dataclasses import dataclass
from datetime import timedelta
from html import unescape
from typing import Any, Final

import orjson

from latigo.domain.circuits import System, circuit_name
from latigo.domain.errors import Failed, LatigoError, Reason, Rejected, RevisionGone, TooLarge, Unavailable

REFUSED_CREDENTIALS: Final = frozenset({401, 403, 407})
AWAY: Final = frozenset({429, 502, 503, 504})

_LONGEST_TEXT = 500
_PARAGRAPH = re.compile(r"<p>(.*?)</p>", re.DOTALL)
#: How the ``prediction`` path tells why a model refuses its input.
_PYTHON_ERROR = re.compile(r"\w*(Error|Exception|Warning): ")


@dataclass(frozen=True, slots=True)
class Response:
    """One answer, read whole; bodies of answers that are not wanted are cut short."""

    status: int
    content_type: str
    revision: str | None  #: Gordo puts it into every answer; None: somebody else has answered
    body: bytes | bytearray
    retry_after: timedelta | None = None

    @property
    def text(self) -> str:
        """What a refusal says, on one short line; empty where it says nothing."""
        if (said := document(self)) is not None:
            words = said.get("error") or said.get("message") or ""
        else:
            page = bytes(self.body).decode(errors="replace")
            words = unescape(found[1]) if (found := _PARAGRAPH.search(page)) else ""
        return " ".join(str(words).split())[:_LONGEST_TEXT]


def document(answer: Response) -> dict[str, Any] | None:
    """The JSON object that an answer is, or None.

    Gordo's JSON is Python's: numbers that are not finite stand in it as bare words, in the scores of metadata too.
    """
    if answer.content_type != "application/json":
        return None
    try:
        found = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        try:
            found = json.loads(answer.body)
        except (ValueError, RecursionError):
            return None
    return found if isinstance(found, dict) else None


def outage(answer: Response, *, doing: str, downstream: str) -> LatigoError | None:
    """What an answer means on every path alike, whatever was asked; None: it is Gordo's, and the path decides."""
    status = answer.status
    came = f"{doing}: {status} {answer.content_type}".rstrip()
    if status == 413:
        return TooLarge(f"{came}: the request is too large")
    if status == 410 and answer.revision is not None:
        return RevisionGone(f"{doing}: {answer.text}")
    if why := _not_from_gordo(answer):
        alarm = status in REFUSED_CREDENTIALS or 300 <= status < 400
        return Unavailable(f"{came}: {why}", downstream=downstream, retry_after=answer.retry_after, alarm=alarm)
    return None


def _not_from_gordo(answer: Response) -> str:
    if answer.status in REFUSED_CREDENTIALS:
        return "credentials refused"
    if answer.status in AWAY:
        return "away"
    if 300 <= answer.status < 400:
        return "sent elsewhere, which Gordo never does"
    return "not Gordo's answer" if answer.revision is None else ""


def foreign(answer: Response, *, doing: str, downstream: str, why: str) -> Unavailable:
    """It looks like an answer, but Gordo would not give it to what was asked."""
    return Unavailable(f"{doing}: not Gordo's answer: {answer.status}, {why}", downstream=downstream)


def accepted(answer: Response, project: str, *, doing: str, revision: str | None) -> Response:
    """Return a response that comes from Gordo, and from the revision in the request.

    Raises:
        Unavailable, RevisionGone, TooLarge: it does not.
    """
    downstream = circuit_name(System.MODELS, project)
    if error := outage(answer, doing=doing, downstream=downstream):
        raise error
    if revision is not None and answer.revision != revision:
        raise foreign(answer, doing=doing, downstream=downstream, why=f"revision {str(answer.revision)[:40]!r}")
    return answer


def not_an_anomaly_model(answer: Response) -> bool:
    """Whether ``anomaly/prediction`` says that only ``prediction`` will do; a refused name is 422 too, as a page."""
    return answer.status == 422 and document(answer) is not None


def refusal(answer: Response, *, doing: str) -> LatigoError:
    """Why a model did not answer 200, where `outage` has found nothing and the status is not 404."""
    said = document(answer)
    message = f"{doing}: {answer.status} {answer.text}".rstrip()
    match answer.status:
        case 400 if said and "message" in said:
            return Rejected(message, reason=Reason.COLUMNS_REFUSED, whole_model=True)
        case 400 if said and _PYTHON_ERROR.match(answer.text):
            return Rejected(message, reason=Reason.VALUES_REFUSED)
        case 422:
            return Rejected(message, reason=Reason.COLUMNS_REFUSED, whole_model=True)
    return Failed(message, retry_after=answer.retry_after)
