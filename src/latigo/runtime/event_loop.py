"""The event loop that programs run on."""

import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from latigo.runtime.log import get_logger
from latigo.runtime.transport_failure import is_outage

T = TypeVar("T")
_log = get_logger(__name__)
#: New containers between two looks at them, ten times Python's own until 3.12: tasks leave no cycles, and only many
#: tasks at once make so many.
_COLLECTED_AT = 7000


def run_async(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end, on uvloop where it exists, and with the collector of cyclic garbage."""
    gc.enable()
    gc.set_threshold(_COLLECTED_AT, *gc.get_threshold()[1:])
    if sys.platform == "win32":
        factory = None
    else:
        import uvloop  # noqa: PLC0415 - does not exist on Windows

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.get_loop().set_exception_handler(log_error)
        results: list[T] = []

        async def run() -> None:
            results.append(await work())

        runner.run(run())  # of a task with a result, Python makes the text of all of it, only to drop it
        return results[0]


def log_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an error that is not awaited: in one line when a connection failed, else with its traceback."""
    error, message = context.get("exception"), context.get("message", "")
    if error is None or is_outage(error):
        reason = f"{type(error).__name__}: {error}" if error else ""
        _log.warning("loop.error_ignored", reason=message, error=reason)
    else:
        _log.error("loop.crashed", reason=message, exc_info=error)
