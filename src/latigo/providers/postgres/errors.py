"""Meaning of the driver's errors for the sink: values come from outside, so the server may refuse them."""

from latigo.domain.errors import Failed, LatigoError, Reason, Rejected, TimedOut
from latigo.postgres.errors import Fault, Translations, unavailable, unavailable_until_repaired


def _timed_out(message: str, downstream: str) -> LatigoError:
    return TimedOut(message, downstream=downstream)


def _rejected(message: str, _: str) -> LatigoError:
    return Rejected(message, reason=Reason.WRITE_REFUSED)


def _failed(message: str, _: str) -> LatigoError:
    return Failed(message)


TRANSLATIONS: Translations = {
    Fault.BUSY: _timed_out,
    Fault.UNREACHABLE: unavailable,
    Fault.OPERATOR: unavailable_until_repaired,
    Fault.STATEMENT: unavailable_until_repaired,  # a table is missing, or not ours to use
    Fault.DATA: _rejected,
    Fault.CONFLICT: _failed,
    Fault.OTHER: _failed,
}
