"""What is not part of every installation: extras, and plug-ins named by the settings."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from importlib import import_module
from typing import Any

from latigo.domain.errors import ConfigurationError, MissingExtra


@asynccontextmanager
async def open_plugin(
    kind: str, key: str, options: Mapping[str, Any], secrets: Mapping[str, Any]
) -> AsyncIterator[Any]:
    """Open what ``python:package.module:factory`` names: a callable that returns an async context manager."""
    _, module, factory = kind.split(":", 2)
    try:
        make = getattr(import_module(module), factory)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f'{key} = "{kind}": {error}') from error
    plain = {name: value.get_secret_value() for name, value in secrets.items()}
    async with make(**options, **plain) as opened:
        yield opened


@contextmanager
def extra(name: str, key: str) -> Iterator[None]:
    """Import what an extra brings, only where it is configured."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra(key, name) from error
