"""What PostgreSQL says, in our words."""

from collections.abc import Iterator
from contextlib import contextmanager

from latigo.domain.errors import Failed, Reason, Rejected, TimedOut, Unavailable
from latigo.postgres.errors import ERRORS, Fault, fault_of, told_by


@contextmanager
def postgres_errors(doing: str, *, downstream: str) -> Iterator[None]:
    """Nothing of the driver leaves this block.

    Raises:
        TimedOut: a time limit of ours or of the server's has passed, or a lock was not to be had.
        Unavailable: the server is away; with an alarm where waiting alone does not help, as where a table is missing
            or not ours to use.
        Rejected: it refuses the data themselves.
        Failed: anything else, such as a deadlock.
    """
    try:
        yield
    except ERRORS as error:
        says = f"{doing}: {told_by(error)}"
        match fault_of(error):
            case Fault.BUSY:
                raise TimedOut(says, downstream=downstream) from error
            case Fault.AWAY:
                raise Unavailable(says, downstream=downstream) from error
            case Fault.OPERATOR | Fault.STATEMENT:
                raise Unavailable(says, downstream=downstream, alarm=True) from error
            case Fault.DATA:
                raise Rejected(says, reason=Reason.WRITE_REFUSED) from error
            case Fault.PASSING | Fault.OTHER:
                raise Failed(says) from error
