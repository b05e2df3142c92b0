"""How events are written: the part of the log that needs structlog, and so is loaded with the first event."""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from typing import Any, TextIO

import orjson
import structlog
from structlog.types import Processor

from latigo.runtime.clock import Clock
from latigo.runtime.lines import text_of
from latigo.runtime.log_context import context_fields
from latigo.runtime.redaction import MASK, excerpt, is_secret_name
from latigo.runtime.transport_failure import is_outage

_DEEPEST = 4
_LONGEST = 65_536  #: characters of a text
_MOST_BITS = 63


def start(stream: TextIO, clock: Clock, *, console: bool) -> None:
    """Let structlog and the standard library write events to a stream, whatever their level.

    Args:
        stream: where to.
        clock: whose time events carry.
        console: write for people; else JSON.
    """
    shared: list[Processor] = [
        _with_context,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        _stamp(clock),
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
    logging._srcfile = None  # noqa: SLF001 - as documented: no event shows its caller
    handler = _Handler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=[*shared, _name_logger, _shorten], processors=rendering)
    )
    logging.root.handlers = [handler]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # loggers of modules exist before this is called
    )


def _with_context(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {**context_fields(), **event}


class _Handler(logging.StreamHandler[TextIO]):
    """Handler that reports an event which cannot be written without what is in it: it may hold secrets."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - of the library
        kind = type(sys.exception()).__name__
        with suppress(OSError, ValueError):  # the stream is what fails
            self.stream.write(f"latigo: an event of {record.name} could not be logged: {kind}\n")


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
            return excerpt(text_of(value), _LONGEST)


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
