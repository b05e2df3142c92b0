"""Meaning of error responses; pure.

Writing:

====================================================================== =================================================
response                                                               meaning
====================================================================== =================================================
204                                                                    stored; the only success
400, 422 "points beyond retention policy dropped=N"                    all others are stored: counted, not raised
400, 422 "max-series-per-database", "max-values-per-tag"               `Unavailable` with an alarm: a server setting
400 "database is required", 404 "database not found",                  `Unavailable` with an alarm, naming our setting
500 "retention policy not found"
other 400, 422: field of another type, line that cannot be parsed      `Rejected`, naming the series in the server's
                                                                       words; the rest of the body may be stored
401, 403, 407, a redirect, other 4xx                                   `Unavailable` with an alarm
408, 429, other 5xx                                                    `Unavailable`, with ``Retry-After``
413                                                                    `TooLarge`
====================================================================== =================================================

Reading is the same, but that 400 "error parsing query" is `Failed`, and 413 and 414 are `TooLarge`. An error in
executing a query comes with status 200: see `refused_statement`.
"""

import re
from dataclasses import dataclass
from datetime import timedelta

import msgpack
import orjson

from latigo.domain.errors import Failed, LatigoError, Reason, Rejected, TooLarge, Unavailable
from latigo.runtime.redaction import excerpt

MSGPACK = "application/x-msgpack"
_LONGEST_TEXT = 500
_BEYOND_RETENTION = re.compile(r"points beyond retention policy dropped=(\d+)")
#: Names of the server's limits in its errors, and the section of its settings that holds them.
_SERVER_LIMITS = {
    "max-series-per-database": "data",
    "max-values-per-tag": "data",
    "max-select-point": "coordinator",
    "max-select-series": "coordinator",
    "max-select-buckets": "coordinator",
}
_NO_DATABASE = ("database not found", "database is required", "database name required")
_PASSING = ("query-timeout", "max-concurrent-queries", "timeout", "shutdown", "closed", "interrupted")
_REFUSED_DATA = frozenset({400, 422})


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorResponse:
    """Response with a status other than success."""

    status: int
    content_type: str
    body: bytes  #: as much of it as explains
    retry_after: timedelta | None = None
    downstream: str
    section: str  #: of the settings

    @property
    def reason(self) -> str:
        """The server's reason: versions 1 and 3 call it ``error``, version 2 ``message``, a proxy shows a page."""
        try:
            content = msgpack.unpackb(self.body) if self.content_type == MSGPACK else orjson.loads(self.body)
            reason = content.get("error") or content.get("message")
        except (ValueError, msgpack.UnpackException, AttributeError):
            reason = self.body.decode("utf-8", "replace")
        return " ".join(str(reason or "no reason given").split())

    @property
    def text(self) -> str:
        """The beginning of the reason, to be shown."""
        return excerpt(self.reason, _LONGEST_TEXT)


def points_dropped(response: ErrorResponse) -> int | None:
    """Return how many points were too old for the retention policy; None where the error is another one."""
    match = _BEYOND_RETENTION.search(response.reason)
    return int(match[1]) if response.status in _REFUSED_DATA and match else None


def refused_write(response: ErrorResponse) -> LatigoError:
    """Return the error for a refused write; see the table above, and `points_dropped` first."""
    if error := _for_operator(response):
        return error
    if response.status in _REFUSED_DATA:
        return Rejected(f"InfluxDB refuses the points: {response.text}", reason=Reason.WRITE_REFUSED)
    if response.status == 413:
        return TooLarge(
            f"InfluxDB rejects a body of this size: {response.text} (raise [http] max-body-size on the server)"
        )
    return _unavailable(response, "writing")


def refused_read(response: ErrorResponse) -> LatigoError:
    """Return the error for a query that was refused by its status."""
    if response.status == 400 and "parsing" in response.reason:
        return Failed(f"InfluxDB does not understand the query: {response.text}")
    if response.status in {413, 414}:
        return TooLarge(f"InfluxDB rejects a query of this size: {response.text}")
    return _for_operator(response) or _unavailable(response, "reading")


def refused_statement(text: str, *, downstream: str, section: str) -> LatigoError:
    """Return the error for an ``error`` in a response with status 200."""
    shown = excerpt(text, _LONGEST_TEXT)
    if hint := _hint(text, section):
        return Unavailable(f"InfluxDB: {shown} ({hint})", downstream=downstream, alarm=True)
    if any(passing in text for passing in _PASSING):
        return Unavailable(f"InfluxDB, reading: {shown}", downstream=downstream)
    return Failed(f"InfluxDB cannot execute the query: {shown}")


def _for_operator(response: ErrorResponse) -> Unavailable | None:
    """Return an alarm that names the setting of ours or of the server's that causes the error, if there is one."""
    section = response.section
    hint = _hint(response.reason, section)
    if not hint and response.status in {401, 403, 407}:
        hint = _credentials(section)
    if not hint:
        return None
    return Unavailable(f"InfluxDB: {response.text} ({hint})", downstream=response.downstream, alarm=True)


def _hint(text: str, section: str) -> str:
    if "authorization failed" in text or "not authorized" in text:
        return _credentials(section)
    if "retention policy not found" in text:
        return f"check {section}.retention_policy"
    if any(missing in text for missing in _NO_DATABASE):
        return f"check {section}.database; Latigo creates none"
    for limit, where in _SERVER_LIMITS.items():
        if f"{limit} limit" in text:
            return f"raise [{where}] {limit} on the server, 0 for no limit"
    return ""


def _credentials(section: str) -> str:
    return f"check {section}.username and {section}.password, or {section}.token"


def _unavailable(response: ErrorResponse, doing: str) -> Unavailable:
    status = response.status
    passes = status >= 500 or status in {408, 429}
    hint = "" if passes else f" (check {response.section}.url and {response.section}.database)"
    return Unavailable(
        f"InfluxDB, {doing}: status {status}, {response.text}{hint}",
        downstream=response.downstream,
        retry_after=response.retry_after if passes else None,
        alarm=not passes,
    )
