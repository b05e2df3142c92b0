"""What the driver of PostgreSQL raises, sorted."""

import asyncpg
import pytest

from latigo.postgres.errors import ERRORS, Fault, fault_of, told_by


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (TimeoutError(), Fault.BUSY),
        (asyncpg.QueryCanceledError("statement timeout"), Fault.BUSY),  # an operator intervention as well
        (asyncpg.LockNotAvailableError("lock timeout"), Fault.BUSY),
        (ConnectionRefusedError(), Fault.AWAY),
        (asyncpg.InterfaceError("pool is closed"), Fault.AWAY),
        (asyncpg.InternalClientError("got result for unknown protocol state"), Fault.AWAY),
        (asyncpg.CannotConnectNowError("starting up"), Fault.AWAY),
        (asyncpg.AdminShutdownError("terminated"), Fault.AWAY),
        (asyncpg.ObjectNotInPrerequisiteStateError("not accepting connections"), Fault.AWAY),
        (asyncpg.TooManyConnectionsError("too many clients"), Fault.AWAY),
        (asyncpg.ReadOnlySQLTransactionError("a standby"), Fault.AWAY),
        (asyncpg.IdleInTransactionSessionTimeoutError("idle"), Fault.AWAY),
        (asyncpg.DiskFullError("disk full"), Fault.OPERATOR),
        (asyncpg.PostgresIOError("I/O"), Fault.OPERATOR),
        (asyncpg.InvalidPasswordError("password"), Fault.OPERATOR),
        (asyncpg.InvalidCatalogNameError("no database"), Fault.OPERATOR),
        (asyncpg.DeadlockDetectedError("deadlock"), Fault.PASSING),
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


def test_an_error_is_told_with_its_words_where_it_has_any() -> None:
    assert told_by(TimeoutError()) == "TimeoutError"
    assert told_by(OSError("no route")) == "OSError: no route"
