"""State of the whole service in one word."""

from enum import StrEnum


class State(StrEnum):
    """The verdict on the service; docs/operations.md has the rules."""

    HEALTHY = "healthy"  #: every model has its predictions, as far as it has readings
    RECOVERING = "recovering"  #: predictions are late or missing, and a person need not act
    NEEDS_ATTENTION = "needs_attention"  #: a person has to act
    UNKNOWN = "unknown"  #: the ledger cannot be read

    @property
    def words(self) -> str:
        """The state as people read it."""
        return self.value.replace("_", " ")
