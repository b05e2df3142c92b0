"""Translation of HTTP failures to Latigo's errors, the same for every provider."""

import ssl
from functools import partial
from pathlib import Path

from latigo.domain.errors import ConfigurationError, TimedOut, TooLarge, Unavailable
from latigo.runtime.http import Failures, tls_context


def transport_failures(downstream: str) -> Failures:
    """Return the errors for the transport to ``downstream``, the name of a circuit."""
    return Failures(
        unreachable=partial(Unavailable, downstream=downstream),
        timed_out=partial(TimedOut, downstream=downstream),
        too_large=TooLarge,
    )


def trusting(ca_file: Path | None, section: str) -> ssl.SSLContext | None:
    """Return a context that trusts the authorities of ``ca_file``; None, which trusts those of the system, without one.

    Raises:
        ConfigurationError: the file cannot be read; names the key of this section of the settings.
    """
    if ca_file is None:
        return None
    try:
        return tls_context(ca_file)
    except ValueError as error:
        raise ConfigurationError(f"{section}.ca_file: {error}") from error
