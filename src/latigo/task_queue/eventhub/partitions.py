"""Partitions of a hub: where they begin and end, and which models' tasks go to them. Pure."""

from hashlib import blake2b
from typing import NamedTuple

from latigo.domain.model import ModelRef


class Partition(NamedTuple):
    """Where a partition begins and ends; ``last`` is -1 when nothing was ever in it."""

    id: str
    begin: int
    last: int
    is_empty: bool

    def passed(self, received: int | None) -> int:
        """The sequence number up to which nothing more will come, given the newest one that did."""
        if self.is_empty:
            return self.last
        # What the hub has dropped by age is as little going to come as what is done with.
        return max(-1 if received is None else received, self.begin - 1)

    def is_behind(self, received: int | None) -> bool:
        """Whether more was received than the partition ever held: the hub was made anew under its old name.

        Only when the partition was read after ``received`` was.
        """
        return received is not None and received > self.last


def partition_of(ref: ModelRef, count: int) -> int:
    """The partition that all tasks of a model go to, from 0 to ``count - 1``; the same in every process and version."""
    digest = blake2b(str(ref).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % count
