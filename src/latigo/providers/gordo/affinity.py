"""Which server runs which model, so that each finds its models in memory: rendezvous hashing, balanced. Pure.

Every process that knows the same models and servers comes to the same result. When a server comes or goes, few models
move but those that it has to have, or had.
"""

import math
from collections.abc import Collection, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np

#: Largest share of a server, as a multiple of the mean.
LARGEST_SHARE = 1.1

_Seeds = np.ndarray[Any, np.dtype[np.uint64]]


def ranked(model: str, servers: Sequence[str]) -> list[str]:
    """Return the servers in the order in which they should be asked for a model."""
    (places,) = _ranks([model], servers)
    return [servers[place] for place in places]


def assign(models: Collection[str], servers: Sequence[str]) -> dict[str, str]:
    """Return the server of each model: the first in its order whose share is not full.

    No share exceeds `LARGEST_SHARE` times the mean, or the mean rounded up where that is more. Takes 0.3 s of CPU for
    100 000 models.
    """
    if not models or not servers:
        return {}
    names, servers = sorted(models), sorted(servers)
    order = np.argsort(_seeds(names), kind="stable")  # by no order that names have
    mean = len(names) / len(servers)
    most = max(math.ceil(mean), math.floor(mean * LARGEST_SHARE))
    ranks, loads, assigned = _ranks(names, servers), [0] * len(servers), {}
    for model, places in zip(order.tolist(), ranks[order].tolist(), strict=True):
        place = next(place for place in places if loads[place] < most)
        loads[place] += 1
        assigned[names[model]] = servers[place]
    return assigned


def _ranks(models: Sequence[str], servers: Sequence[str]) -> np.ndarray[Any, np.dtype[np.intp]]:
    """Return the places of the servers by falling weight, a row for each model."""
    weights = _mixed(_seeds(models)[:, None] ^ _mixed(_seeds(servers))[None, :])
    return np.argsort(~weights, axis=1, kind="stable")


def _seeds(texts: Sequence[str]) -> _Seeds:
    digests = b"".join(blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def _mixed(numbers: _Seeds) -> _Seeds:
    """Return each number with its bits mixed: the finalizer of SplitMix64."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
