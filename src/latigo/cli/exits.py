"""Exit codes."""

import traceback
from enum import IntEnum
from typing import Any, NamedTuple, cast

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


class Failure(NamedTuple):
    """How a command failed."""

    code: Exit
    text: str  #: for programs


def fail(error: Exception) -> Failure:
    """Print why a command failed: a bug of ours with its traceback, redacted, all else without."""
    match error:
        case LatigoError():
            text = str(error)
            if isinstance(error, ConfigurationError) and not isinstance(error, NoConfiguration):
                text = f"the configuration cannot be used:\n{text}"
            typer.echo(f"latigo: {text}", err=True)
            return Failure(exit_code(error), text)
        case typer.TyperException():  # a usage error, which knows its command
            cast("Any", error).show()
            return Failure(Exit.USAGE, error.format_message())
        case _:
            typer.echo(redact("".join(traceback.format_exception(error))), err=True)
            return Failure(Exit.FAILED, redact("".join(traceback.format_exception_only(error))).strip())
