"""The one seam between the driver of PostgreSQL and Latigo: errors of the driver, sorted by meaning, and translated."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum, auto
from socket import gaierror
from typing import TypeAlias

import asyncpg

from latigo.domain.errors import LatigoError, Unavailable

#: Everything that the driver raises when a call fails.
ERRORS = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError, asyncpg.PostgresError)


class Fault(Enum):
    """Why a statement or a connection failed."""

    BUSY = auto()  #: a time limit has passed, or a lock was not available
    UNREACHABLE = auto()  #: server or connection are gone, or take no work for now
    OPERATOR = auto()  #: the same, but an operator has to act
    CONFLICT = auto()  #: another transaction was in the way; the same statement may succeed when it is repeated
    DATA = auto()  #: the server refuses the values
    STATEMENT = auto()  #: the table does not exist, or access to it is denied
    OTHER = auto()


#: The first line that matches counts: a subclass of one line may be in another.
_FAULTS = (
    (Fault.BUSY, (TimeoutError, asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError)),
    (
        Fault.UNREACHABLE,
        (
            OSError,
            asyncpg.InterfaceError,  # the connection or the pool is closed
            asyncpg.InternalClientError,  # the server has ended the connection, which the driver is about to notice
            asyncpg.PostgresConnectionError,
            asyncpg.OperatorInterventionError,  # shutting down, starting up
            asyncpg.ObjectNotInPrerequisiteStateError,  # the database takes no connections
            asyncpg.TooManyConnectionsError,
            asyncpg.ReadOnlySQLTransactionError,  # a standby that has not been promoted
            asyncpg.IdleInTransactionSessionTimeoutError,
        ),
    ),
    (
        Fault.OPERATOR,
        (
            asyncpg.InsufficientResourcesError,  # disk full, out of memory
            asyncpg.PostgresSystemError,  # I/O errors
            asyncpg.InvalidAuthorizationSpecificationError,
            asyncpg.InvalidCatalogNameError,
        ),
    ),
    # A plan of before a migration is among the conflicts: the driver has forgotten it by now.
    (Fault.CONFLICT, (asyncpg.TransactionRollbackError, asyncpg.InvalidCachedStatementError)),
    (Fault.DATA, (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError)),
    (Fault.STATEMENT, (asyncpg.SyntaxOrAccessError,)),
)

#: What a session of ours never gets unless it is a session of the wrong kind: of a server that takes no writes, or with
#: another role or ``search_path``. Such a session stays so, and a new one may be right.
_WRONG_SESSION = (
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedFunctionError,
    asyncpg.UndefinedObjectError,
)
#: What an error means, where its own words do not say it; the first line that matches counts.
_MEANINGS = (
    ((TimeoutError,), "no answer in time"),
    ((gaierror,), "the name of the host is not known"),
    ((asyncpg.ReadOnlySQLTransactionError, asyncpg.TargetServerAttributeNotMatched), "connected to a read-only server"),
    ((asyncpg.DiskFullError,), "the disk of the database is full"),
    ((asyncpg.InsufficientPrivilegeError,), "the role of the session lacks a right"),
    (
        (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError),
        "a table is missing, or is not in the search_path of the session",
    ),
)

#: Error of each fault, created from a message and the name of the downstream. A fault that is missing here is a bug of
#: ours, and propagates as it is.
Translations: TypeAlias = Mapping[Fault, Callable[[str, str], LatigoError]]


def unavailable(message: str, downstream: str) -> LatigoError:
    """Return an error that passes by itself."""
    return Unavailable(message, downstream=downstream)


def unavailable_until_repaired(message: str, downstream: str) -> LatigoError:
    """Return an error that needs an operator."""
    return Unavailable(message, downstream=downstream, alarm=True)


#: For those whose statements and values are all their own: what the server refuses in them is a bug.
FAULTS_OF_THE_SERVER: Translations = {
    Fault.BUSY: unavailable,
    Fault.UNREACHABLE: unavailable,
    Fault.OPERATOR: unavailable_until_repaired,
    Fault.CONFLICT: unavailable,
}


@contextmanager
def translated_errors(
    context: str, *, downstream: str, translations: Translations = FAULTS_OF_THE_SERVER
) -> Iterator[None]:
    """Translate errors of the driver that are raised in the block.

    Args:
        context: begins the message: who wanted what.
        downstream: the name of the database in the error.
        translations: what each fault becomes.
    """
    try:
        yield
    except ERRORS as error:
        translate = translations.get(fault_of(error))
        if translate is None and is_of_wrong_session(error):
            translate = unavailable_until_repaired
        if translate is None:
            raise
        raise translate(f"{context}: {describe(error)}", downstream) from error


def fault_of(error: BaseException) -> Fault:
    """Return the meaning of one of `ERRORS`."""
    return next((fault for fault, classes in _FAULTS if isinstance(error, classes)), Fault.OTHER)


def is_of_wrong_session(error: BaseException) -> bool:
    """Return whether another session may succeed where this one never will."""
    return isinstance(error, _WRONG_SESSION) and not isinstance(error, asyncpg.QueryCanceledError)


def describe(error: BaseException) -> str:
    """Return what an error means, its class, and its message where it has one."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    meaning = next((meaning for classes, meaning in _MEANINGS if isinstance(error, classes)), "")
    return f"{meaning} ({text})" if meaning else text
