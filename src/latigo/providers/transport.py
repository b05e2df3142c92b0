"""Translation of HTTP failures to Latigo's errors, the same for every provider."""

from functools import partial

from latigo.domain.errors import TimedOut, TooLarge, Unavailable
from latigo.runtime.http import Failures


def transport_failures(downstream: str) -> Failures:
    """Return the errors for the transport to ``downstream``, the name of a circuit."""
    return Failures(
        unreachable=partial(Unavailable, downstream=downstream),
        timed_out=partial(TimedOut, downstream=downstream),
        too_large=TooLarge,
    )
