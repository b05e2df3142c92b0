"""What the driver of PostgreSQL raises, sorted."""

from socket import gaierror

import asyncpg
import pytest

from latigo.postgres.errors import ERRORS, Fault, describe, fault_of


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (TimeoutError(), Fault.BUSY),
        (asyncpg.QueryCanceledError("statement timeout"), Fault.BUSY),  # an operator intervention as well
        (asyncpg.LockNotAvailableError("lock timeout"), Fault.BUSY),
        (ConnectionRefusedError(), Fault.UNREACHABLE),
        (asyncpg.InterfaceError("pool is closed"), Fault.UNREACHABLE),
        (asyncpg.InternalClientError("got result for unknown protocol state"), Fault.UNREACHABLE),
        (asyncpg.CannotConnectNowError("starting up"), Fault.UNREACHABLE),
        (asyncpg.AdminShutdownError("terminated"), Fault.UNREACHABLE),
        (asyncpg.ObjectNotInPrerequisiteStateError("not accepting connections"), Fault.UNREACHABLE),
        (asyncpg.TooManyConnectionsError("too many clients"), Fault.UNREACHABLE),
        (asyncpg.ReadOnlySQLTransactionError("a standby"), Fault.UNREACHABLE),
        (asyncpg.IdleInTransactionSessionTimeoutError("idle"), Fault.UNREACHABLE),
        (asyncpg.DiskFullError("disk full"), Fault.OPERATOR),
        (asyncpg.PostgresIOError("I/O"), Fault.OPERATOR),
        (asyncpg.InvalidPasswordError("password"), Fault.OPERATOR),
        (asyncpg.InvalidCatalogNameError("no database"), Fault.OPERATOR),
        (asyncpg.DeadlockDetectedError("deadlock"), Fault.CONFLICT),
        (asyncpg.NumericValueOutOfRangeError("too large"), Fault.DATA),
        (asyncpg.CheckViolationError("check"), Fault.DATA),
        (asyncpg.UndefinedTableError("no table"), Fault.STATEMENT),
        (asyncpg.InsufficientPrivilegeError("no right"), Fault.STATEMENT),
        (asyncpg.RaiseError("no"), Fault.OTHER),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, Exception) else "",
)
def test_an_error_is_sorted_by_what_it_means(error: Exception, fault: Fault) -> None:
    assert isinstance(error, ERRORS)
    assert fault_of(error) is fault


def test_an_error_is_shown_with_its_message_where_it_has_one() -> None:
    assert describe(TimeoutError()) == "no answer in time (TimeoutError)"
    assert describe(gaierror(-2, "unknown")) == "the name of the host is not known (gaierror: [Errno -2] unknown)"
    assert describe(OSError("no route")) == "OSError: no route"
