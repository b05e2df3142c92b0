"""What PostgreSQL says, in our words."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from latigo.domain.errors import Failed, LatigoError, Reason, Rejected, TimedOut, Unavailable

_BUSY = (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError)
_AWAY = (
    OSError,
    asyncpg.InterfaceError,  # the connection or the pool is closed
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shutting down, starting up
    asyncpg.ObjectNotInPrerequisiteStateError,  # the database takes no connections
    asyncpg.TooManyConnectionsError,
    asyncpg.ReadOnlySQLTransactionError,  # a standby that has not been promoted
)
_NEEDS_OPERATOR = (
    asyncpg.InsufficientResourcesError,  # disk full, out of memory
    asyncpg.PostgresSystemError,  # I/O errors
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.SyntaxOrAccessError,  # no such table, no right to it: not migrated, or not for us
)
_REFUSED = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
)


@contextmanager
def postgres_errors(doing: str, *, downstream: str) -> Iterator[None]:
    """Nothing from asyncpg leaves this block.

    Raises:
        TimedOut: a time limit of ours or of the server's has passed, or a lock was not to be had.
        Unavailable: the server is away; with an alarm where waiting alone does not help.
        Rejected: it refuses the data themselves.
        Failed: anything else, such as a deadlock.
    """
    try:
        yield
    except LatigoError:
        raise
    except (TimeoutError, *_BUSY) as error:  # before OSError, which TimeoutError is as well
        raise TimedOut(f"{doing}: {_says(error)}", downstream=downstream) from error
    except _REFUSED as error:
        raise Rejected(f"{doing}: {_says(error)}", reason=Reason.WRITE_REFUSED) from error
    except _AWAY as error:
        raise Unavailable(f"{doing}: {_says(error)}", downstream=downstream) from error
    except _NEEDS_OPERATOR as error:
        raise Unavailable(f"{doing}: {_says(error)}", downstream=downstream, alarm=True) from error
    except asyncpg.PostgresError as error:
        raise Failed(f"{doing}: {_says(error)}") from error


def _says(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
