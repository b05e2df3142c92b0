"""What the driver of PostgreSQL raises, sorted by what it means; those who use it say what follows."""

from enum import Enum, auto

import asyncpg

#: All that it raises when it cannot do what was asked.
ERRORS = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError, asyncpg.PostgresError)


class Fault(Enum):
    """Why a statement or a connection failed."""

    BUSY = auto()  #: a time limit has passed, or a lock was not to be had
    AWAY = auto()  #: server or connection are gone, or take nothing for now
    OPERATOR = auto()  #: the same, but waiting alone does not help
    PASSING = auto()  #: another transaction was in the way; the same again may go well
    DATA = auto()  #: the data themselves are refused
    STATEMENT = auto()  #: no such table, or no right to it
    OTHER = auto()


#: The first that fits counts: a subclass of one line may stand in another.
_FAULTS = (
    (Fault.BUSY, (TimeoutError, asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError)),
    (
        Fault.AWAY,
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
    (Fault.PASSING, (asyncpg.TransactionRollbackError,)),
    (Fault.DATA, (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError)),
    (Fault.STATEMENT, (asyncpg.SyntaxOrAccessError,)),
)


def fault_of(error: BaseException) -> Fault:
    """What one of `ERRORS` means."""
    return next((fault for fault, classes in _FAULTS if isinstance(error, classes)), Fault.OTHER)


def told_by(error: BaseException) -> str:
    """Its kind, and its words where it has any."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
