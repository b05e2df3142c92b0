"""Logs: for people on a terminal, as JSON elsewhere; never a secret.

structlog is loaded with the first event: it loads rich, and the two take longer than everything else that a command
does which asks the ledger and has nothing to log.
"""

import logging
import sys
import threading
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, Literal, TextIO

from latigo.runtime.clock import Clock, SystemClock
from latigo.runtime.lines import text_of
from latigo.runtime.redaction import know

Format = Literal["auto", "console", "json"]

#: Libraries that log every state of every connection, each with the lowest level that is kept of it.
_VERBOSE_LIBRARIES = {"azure": logging.WARNING}


class Logger:
    """Logger of a module: structlog's, which is loaded when it is first used.

    Args:
        name: of the module.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def debug(self, event: str, **fields: object) -> None:
        """Log what only a developer wants to know."""
        self._structlog().debug(event, **fields)

    def info(self, event: str, **fields: object) -> None:
        """Log what is as it should be."""
        self._structlog().info(event, **fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log what Latigo copes with."""
        self._structlog().warning(event, **fields)

    def error(self, event: str, **fields: object) -> None:
        """Log what Latigo does not cope with alone."""
        self._structlog().error(event, **fields)

    def exception(self, event: str, **fields: object) -> None:
        """Log the error that is being handled, with its traceback."""
        self._structlog().exception(event, **fields)

    def _structlog(self) -> Any:
        start_logging()
        import structlog  # noqa: PLC0415 - see above

        return structlog.get_logger(self._name)


def get_logger(name: str) -> Logger:
    """Return the logger of a module."""
    return Logger(name)


_log = get_logger(__name__)


def configure_logging(
    format: Format = "auto",  # noqa: A002 - the word of the settings
    level: str = "info",
    *,
    secrets: Collection[str] | None = None,
    clock: Clock | None = None,
    stream: TextIO | None = None,
) -> None:
    """Send structlog and the standard library's logging the same way: one line an event, to standard error.

    Args:
        format: ``auto`` is ``console`` on a terminal and ``json`` elsewhere.
        level: the lowest that is logged.
        secrets: texts that this process masks from now on, in every text that it makes.
        clock: whose time events carry.
        stream: instead of standard error.
    """
    if secrets is not None:
        know(secrets)
    stream = stream or sys.stderr
    console = format == "console" or (format == "auto" and stream.isatty())
    logging.captureWarnings(capture=True)
    threading.excepthook, sys.unraisablehook = _log_thread, _log_unraisable
    logging.root.setLevel(level.upper())
    for library, least in _VERBOSE_LIBRARIES.items():
        logging.getLogger(library).setLevel(max(least, logging.root.level))
    logging.root.handlers = [_FirstEvent(partial(_start, stream, clock or SystemClock(), console=console))]
    if "structlog" in sys.modules:  # others may log by it
        start_logging()


def start_logging() -> None:
    """Load what events are written with, before code runs that may use structlog itself."""
    for handler in logging.root.handlers:
        if isinstance(handler, _FirstEvent):
            handler.start()


class _FirstEvent(logging.Handler):
    """In the place of the handler that writes events, until there is one."""

    def __init__(self, start: Callable[[], None]) -> None:
        super().__init__()
        self.start = start

    def emit(self, record: logging.LogRecord) -> None:
        self.start()
        for handler in logging.root.handlers:
            handler.handle(record)


def _start(stream: TextIO, clock: Clock, *, console: bool) -> None:
    from latigo.runtime.log_rendering import start  # noqa: PLC0415 - see above

    start(stream, clock, console=console)


def _log_thread(args: threading.ExceptHookArgs) -> None:
    """Log an error that ends a thread."""
    if args.exc_type is SystemExit or args.exc_value is None:
        return
    information = (args.exc_type, args.exc_value, args.exc_traceback)
    _log.error("thread.failed", thread=args.thread and args.thread.name, exc_info=information)


def _log_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    """Log an error in what cannot raise, such as a finaliser."""
    if unraisable.exc_value is None:
        return
    information = (unraisable.exc_type, unraisable.exc_value, unraisable.exc_traceback)
    where = f"{unraisable.err_msg or 'Exception ignored in'}: {text_of(unraisable.object)}"
    _log.error("error.not_raised", where=where, exc_info=information)
