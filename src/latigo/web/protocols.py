"""What the web asks of the rest of Latigo."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


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

    async def status(self) -> Mapping[str, Any]:
        """Freshness, backlog, lag, circuits, failures: whatever can be told, ready to be made JSON.

        Raises:
            LatigoError: it cannot be told now.
        """
