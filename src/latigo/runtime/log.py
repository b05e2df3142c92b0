"""Logs: for people on a terminal, as JSON elsewhere; never a secret."""

import asyncio
import logging
import sys
import threading
from collections.abc import Collection, Mapping, MutableMapping
from contextlib import suppress
from typing import Any, Literal, TextIO

import orjson
import structlog
from structlog.types import Processor

from latigo.runtime.clock import Clock, SystemClock
from latigo.runtime.redaction import MASK, excerpt, is_secret_name, know

Format = Literal["auto", "console", "json"]

_DEEPEST = 4
_LONGEST = 65_536  #: characters of a text
_MOST_BITS = 63
#: Packages whose errors are those of a server or a connection.
_DRIVERS = {"asyncpg", "aiohttp"}
#: Libraries that log every state of every connection, each with the lowest level that is kept of it.
_VERBOSE_LIBRARIES = {"azure": logging.WARNING}


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
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        _stamp(clock or SystemClock()),
        structlog.processors.StackInfoRenderer(),
    ]
    rendering: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        _masked,
        structlog.dev.ConsoleRenderer(colors=stream.isatty(), timestamp_key="time")
        if console
        else structlog.processors.JSONRenderer(serializer=_to_json),
    ]
    handler = _Handler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=[*shared, _name_logger, _shorten], processors=rendering)
    )
    logging.captureWarnings(capture=True)
    threading.excepthook, sys.unraisablehook = _log_thread, _log_unraisable
    logging.root.handlers = [handler]
    logging.root.setLevel(level.upper())
    for library, least in _VERBOSE_LIBRARIES.items():
        logging.getLogger(library).setLevel(max(least, logging.root.level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # module-level loggers exist before this is called
    )


class _Handler(logging.StreamHandler[TextIO]):
    """Handler that reports an event which cannot be written without what is in it: it may hold secrets."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - of the library
        kind = type(sys.exception()).__name__
        with suppress(OSError, ValueError):  # the stream is what fails
            self.stream.write(f"latigo: an event of {record.name} could not be logged: {kind}\n")


def _log_thread(args: threading.ExceptHookArgs) -> None:
    """Log an error that ends a thread."""
    if args.exc_type is SystemExit or args.exc_value is None:
        return
    information = (args.exc_type, args.exc_value, args.exc_traceback)
    structlog.get_logger().error("thread.failed", thread=args.thread and args.thread.name, exc_info=information)


def _log_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    """Log an error in what cannot raise, such as a finaliser."""
    if unraisable.exc_value is None:
        return
    information = (unraisable.exc_type, unraisable.exc_value, unraisable.exc_traceback)
    where = f"{unraisable.err_msg or 'Exception ignored in'}: {_text(unraisable.object)}"
    structlog.get_logger().error("error.not_raised", where=where, exc_info=information)


def is_outage(error: BaseException) -> bool:
    """Return whether an error is of a connection and no bug: its traceback would say no more than its text."""
    return isinstance(error, OSError | asyncio.CancelledError) or type(error).__module__.split(".")[0] in _DRIVERS


def _masked(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Mask secrets: those that are known, values of keys named like secrets, and what `redact` recognises."""
    return {name: _named(name, value, 0) for name, value in event.items()}


def _named(name: object, value: object, depth: int) -> object:
    return MASK if isinstance(value, str) and is_secret_name(str(name)) else _hidden(value, depth)


def _hidden(value: object, depth: int = 0) -> object:
    match value:
        case str():
            return excerpt(value, _LONGEST)
        case Mapping() if depth < _DEEPEST:
            return {_hidden(str(name)): _named(name, item, depth + 1) for name, item in value.items()}
        case list() | tuple() | set() | frozenset() if depth < _DEEPEST:
            return [_hidden(item, depth + 1) for item in value]
        case int() if value.bit_length() > _MOST_BITS:  # JSON of other programs ends there
            return excerpt(hex(value), _LONGEST)
        case bool() | int() | float() | None:
            return value
        case _:  # what a renderer would make of it
            return excerpt(_text(value), _LONGEST)


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - of a class that is not ours
        return f"{type(value).__name__} without a text: {type(error).__name__}"


def _stamp(clock: Clock) -> Processor:
    def processor(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["time"] = clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return event

    return processor


def _shorten(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Log an outage that a library reports in one line."""
    information = event.get("exc_info")
    error = information[1] if isinstance(information, tuple) else None
    if error is not None and is_outage(error):
        del event["exc_info"]
        event["error"] = f"{type(error).__name__}: {error}"
    return event


def _name_logger(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add the name of the library: its messages do not have it."""
    event["logger"] = event["_record"].name
    return event


def _to_json(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
