"""What the web asks of the rest of Latigo."""

from collections.abc import Sequence
from typing import Protocol

from latigo.reports.base import Report


class HealthSource(Protocol):
    """How this process is."""

    def not_live(self) -> Sequence[str]:
        """Why the process should be restarted; nothing when it is well.

        Not a coroutine, so that it cannot ask a downstream: an outage elsewhere restarts nothing.
        """

    async def not_ready(self) -> Sequence[str]:
        """Why the process cannot do its work now; nothing when it can. Bounded in time, without secrets."""


class StatusSource(Protocol):
    """How the service is doing."""

    async def status(self) -> Report:
        """Return a `latigo.reports.status.Status`.

        Raises:
            LatigoError: it cannot be read now.
        """
