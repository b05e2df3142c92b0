"""The parts of Latigo that the web application needs."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeAlias

#: Returns the metrics and their content type, for what a request accepts.
MetricsSource: TypeAlias = Callable[[str], Awaitable[tuple[bytes, str]]]


class ProbeSource(Protocol):
    """State of this process."""

    def not_live(self) -> Sequence[str]:
        """Return the reasons why the process should be restarted; none while it works.

        Not a coroutine, so that it cannot call a downstream: an outage elsewhere restarts nothing.
        """

    async def not_ready(self) -> Sequence[str]:
        """Return the reasons why the process cannot work now; none while it can. Bounded in time, without secrets."""
