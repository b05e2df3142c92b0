"""The event loop that programs run on."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import structlog

from latigo.runtime.log import is_outage

T = TypeVar("T")
_log = structlog.get_logger()


def run_async(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end, on uvloop where it exists."""
    if sys.platform == "win32":
        factory = None
    else:
        import uvloop  # noqa: PLC0415 - does not exist on Windows

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.get_loop().set_exception_handler(log_error)
        return runner.run(work())


def log_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an error that is not awaited: in one line when a connection failed, else with its traceback."""
    error, message = context.get("exception"), context.get("message", "")
    if error is None or is_outage(error):
        reason = f"{type(error).__name__}: {error}" if error else ""
        _log.warning("loop.error_ignored", reason=message, error=reason)
    else:
        _log.error("loop.crashed", reason=message, exc_info=error)
