"""Partitions of a hub: their bounds, and the partition of each model. Pure."""

from hashlib import blake2b
from typing import NamedTuple

from latigo.domain.model import ModelRef


class Partition(NamedTuple):
    """Bounds of a partition; ``last`` is -1 when nothing was ever in it."""

    id: str
    begin: int
    last: int
    is_empty: bool

    def passed(self, received: int | None) -> int:
        """Return the sequence number up to which no event will be received any more, given the newest received."""
        if self.is_empty:
            return self.last
        # Events that the hub has dropped by age will not be received either.
        return max(-1 if received is None else received, self.begin - 1)

    def is_behind(self, received: int | None) -> bool:
        """Return whether more was received than the partition ever held: the hub was created anew under its name.

        The partition must have been read after ``received``.
        """
        return received is not None and received > self.last


def partition_of(ref: ModelRef, count: int) -> int:
    """Return the partition of a model's tasks, from 0 to ``count - 1``; the same in every process and version."""
    digest = blake2b(str(ref).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % count
