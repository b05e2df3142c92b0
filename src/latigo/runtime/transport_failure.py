"""Recognises failures of a connection, and the messages of `latigo.runtime.http` about them."""

import asyncio
import re

_TRANSPORT_FAILURE = re.compile(
    r": (?:no answer within [\d.e+-]+ s|no connection in time|(?:Client|Server|Connection)\w+: )"
)
#: Packages whose errors are those of a server or a connection.
_DRIVERS = {"asyncpg", "aiohttp"}


def is_transport_failure(message: str) -> bool:
    """Return whether `time_limit` or `transport_errors` made this message: the server sent no whole response."""
    return _TRANSPORT_FAILURE.search(message) is not None


def is_outage(error: BaseException) -> bool:
    """Return whether an error is of a connection and no bug: its traceback would say no more than its text."""
    return isinstance(error, OSError | asyncio.CancelledError) or type(error).__module__.split(".")[0] in _DRIVERS
