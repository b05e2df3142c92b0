"""Fields that events have from where they are logged."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

#: Fields of every event that is logged within `log_context`. One variable for all of them: structlog's own context
#: has one for each, and reads those of the whole process to bind one.
_CONTEXT: ContextVar[Mapping[str, object]] = ContextVar("log_context", default=MappingProxyType({}))


@contextmanager
def log_context(**fields: object) -> Iterator[None]:
    """Add fields to every event that is logged inside, also by what is started there."""
    token = _CONTEXT.set({**_CONTEXT.get(), **fields})
    try:
        yield
    finally:
        _CONTEXT.reset(token)


def context_fields() -> Mapping[str, object]:
    """Return the fields of `log_context`."""
    return _CONTEXT.get()
