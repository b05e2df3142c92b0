"""Exit codes."""

import traceback
from enum import IntEnum

import typer

from latigo.domain.errors import ConfigurationError, LatigoError, Misused, NoConfiguration
from latigo.runtime.redaction import redact


class Exit(IntEnum):
    """Exit codes of all commands; a contract with scripts and supervisors, documented in ``docs/operations.md``."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNHEALTHY = 3  #: the command worked; its subject is missing or unhealthy
    CONFIGURATION = 78


def exit_code(error: LatigoError) -> Exit:
    """Return the exit code for an error."""
    match error:
        case ConfigurationError():
            return Exit.CONFIGURATION
        case Misused():
            return Exit.USAGE
        case _:
            return Exit.FAILED


def fail(error: LatigoError) -> Exit:
    """Print an error without a traceback; return its exit code."""
    if isinstance(error, ConfigurationError) and not isinstance(error, NoConfiguration):
        typer.echo(f"latigo: the configuration cannot be used:\n{error}", err=True)
    else:
        typer.echo(f"latigo: {error}", err=True)
    return exit_code(error)


def crash(error: Exception) -> Exit:
    """Print the traceback of a bug, redacted; return its exit code."""
    typer.echo(redact("".join(traceback.format_exception(error))), err=True)
    return Exit.FAILED
