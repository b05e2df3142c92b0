"""What the rows of a slot were predicted from, in a few octets: enough to see whether it has moved since. Pure."""

import json
import struct
from typing import Final
from zlib import crc32

import numpy as np

from latigo.dataset.build import Dataset
from latigo.domain.model import ModelSpec
from latigo.domain.windows import Window, span_ns, to_ns

#: In the place of a fingerprint: the slot has moved, and waits to be predicted again.
MOVED: Final = b""

_HEAD: Final = struct.Struct("<II")  #: how X is made, and the number of rows
_SUM: Final = np.dtype("<f4")
_GOLDEN: Final = (5**0.5 - 1) / 2


def making_of(spec: ModelSpec) -> int:
    """Return a number that stays the same while X and y of a model are made in the same way."""
    return crc32(json.dumps(spec.to_json() | {"assets": {}}, sort_keys=True).encode())


def fingerprint_of(spec: ModelSpec, making: int, dataset: Dataset, slot: Window) -> bytes:
    """Return the number of rows and a weighted sum for each column of what a slot is predicted from.

    That are its own rows and the ``model_offset`` rows before it, in X and in those columns of y that X does not have.
    Each label has a weight of its own, from 1 to 2, so that values that change places are noticed. Eight octets, and
    four for each column; ``making`` is that of `making_of`.
    """
    times = dataset.x.times
    low, high = times.searchsorted((to_ns(slot.start), to_ns(slot.end)))
    low = max(low - spec.model_offset, 0)
    labels = (times[low:high] - to_ns(slot.start)) // span_ns(spec.dataset.resolution)
    weights = 1 + labels * _GOLDEN % 1
    with np.errstate(over="ignore", invalid="ignore"):
        sums = [weights @ dataset.x.values[low:high]]
        if others := [at for at, tag in enumerate(dataset.y.columns) if tag not in dataset.x.columns]:
            sums.append(weights @ dataset.y.values[low:high, others])
        return _HEAD.pack(making, high - low) + np.concatenate(sums).astype(_SUM).tobytes()


def has_moved(before: bytes, now: bytes, tolerance: float) -> bool:
    """Return whether rows were added or dropped, or a sum differs by more than ``tolerance`` times the larger one.

    Where X is made in another way by now, nothing can be compared, and nothing has moved.
    """
    if before == MOVED:
        return True
    (making, rows), (making_now, rows_now) = _HEAD.unpack_from(before), _HEAD.unpack_from(now)
    if making != making_now:
        return False
    if rows != rows_now:
        return True
    sums, sums_now = (np.frombuffer(data, _SUM, offset=_HEAD.size).astype(float) for data in (before, now))
    with np.errstate(invalid="ignore"):
        apart = np.abs(sums - sums_now) > tolerance * np.maximum(np.abs(sums), np.abs(sums_now))
    return bool((apart | (np.isnan(sums) != np.isnan(sums_now))).any())
