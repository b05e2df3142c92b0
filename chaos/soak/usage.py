"""Memory and descriptors of processes over time, and whether they grow. The judgement is pure."""

import statistics
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

#: A life that is shorter is all start.
_SHORTEST_LIFE = 30  #: samples
#: What the last third of a life may have more than the second one: allocators and caches are never quite still. Soaks
#: of a hundred thousand tasks have shown 2 MB at most.
_MORE_MEMORY, _MORE_BYTES = 1.02, 6_000_000
_MORE_DESCRIPTORS = 8


@dataclass(frozen=True)
class Sample:
    """What a process has at one moment."""

    memory: int  #: resident, in bytes
    descriptors: int


@dataclass
class Usage:
    """Samples of every life of every party."""

    lives: dict[str, dict[int, list[Sample]]] = field(default_factory=dict)  #: by party and process id

    def sample(self, pids: Mapping[str, int | None]) -> None:
        """Add a sample of every process that runs."""
        for party, pid in pids.items():
            with suppress(psutil.Error):
                if pid is not None:
                    process = psutil.Process(pid)
                    sample = Sample(process.memory_info().rss, process.num_fds())
                    self.lives.setdefault(party, {}).setdefault(pid, []).append(sample)

    def longest(self, party: str) -> Sequence[Sample]:
        """Return the samples of the longest life of a party."""
        return max(self.lives.get(party, {}).values(), key=len, default=[])

    def unjudged(self, party: str) -> Sequence[str]:
        """Return that no life of a party was long enough to say whether it grows, if so."""
        longest = len(self.longest(party))
        if longest >= _SHORTEST_LIFE:
            return []
        return [f"{party}: seen {longest} times, and it takes {_SHORTEST_LIFE} to say whether it grows"]

    def growing(self, parties: Sequence[str]) -> Sequence[str]:
        """Return what grows in the longest lives of parties, a sentence each."""
        return [fault for party in parties for fault in growth(party, self.longest(party))]


def thirds(life: Sequence[Sample]) -> Sequence[Sequence[Sample]]:
    """Return the start of a life, and two parts of the same length in which nothing should have changed."""
    third = len(life) // 3
    return life[:third], life[third : 2 * third], life[2 * third :]


def typical(part: Sequence[Sample]) -> Sample:
    """Return the medians of a part."""
    return Sample(
        round(statistics.median(sample.memory for sample in part)),
        round(statistics.median(sample.descriptors for sample in part)),
    )


def growth(party: str, life: Sequence[Sample]) -> Sequence[str]:
    """Return what has grown from the second third of a life to the last one."""
    if len(life) < _SHORTEST_LIFE:
        return []
    _, before, after = map(typical, thirds(life))
    faults = []
    if after.memory > before.memory * _MORE_MEMORY + _MORE_BYTES:
        faults.append(f"{party}: memory grew from {before.memory / 1e6:.0f} to {after.memory / 1e6:.0f} MB")
    if after.descriptors > before.descriptors + _MORE_DESCRIPTORS:
        faults.append(f"{party}: descriptors grew from {before.descriptors} to {after.descriptors}")
    return faults
