"""What the rows of a slot were predicted from, in a few octets: enough to see whether it has moved since. Pure."""

import json
import struct
from typing import Final
from zlib import crc32

import numpy as np

from latigo.dataset.build import Buckets
from latigo.domain.model import ModelSpec
from latigo.domain.windows import Window, span_ns, to_ns

#: In the place of a fingerprint: the slot has moved, and waits to be predicted again.
MOVED: Final = b""

_HEAD: Final = struct.Struct("<II")  #: how X is made, and the number of buckets that have readings
_SUM: Final = np.dtype("<f4")
_GOLDEN: Final = (5**0.5 - 1) / 2
#: Rises when fingerprints are made in another way: older ones cannot be compared.
_VERSION: Final = 2


def making_of(spec: ModelSpec) -> int:
    """Return a number that stays the same while X and y of a model are made in the same way."""
    content = spec.to_json() | {"assets": {}, "fingerprint": _VERSION}
    return crc32(json.dumps(content, sort_keys=True).encode())


def fingerprint_of(spec: ModelSpec, making: int, buckets: Buckets, slot: Window) -> bytes:
    """Return a weighted sum for each tag of what a slot is predicted from, as it was measured.

    That are the buckets of the slot and of the ``model_offset`` rows before it; where the first of them is filled, also
    those of the context, which it is filled from. What is filled does not count: it depends on the window that a slot
    is predicted in, and the same readings have to have the same fingerprint in every window. Each label has a weight of
    its own, from 1 to 2, so that values that change places are noticed. Eight octets, and four for each tag; ``making``
    is that of `making_of`.
    """
    step, labels, start = span_ns(spec.dataset.resolution), buckets.grid.labels, to_ns(slot.start)
    low, high = labels.searchsorted((start, to_ns(slot.end)))
    first, context = max(low - spec.model_offset, 0), max(low - spec.context // spec.dataset.resolution, 0)
    measured = buckets.measured[:, context:high].copy()
    measured[measured[:, first - context], : first - context] = False
    weights = 1 + (labels[context:high] - start) // step * _GOLDEN % 1
    with np.errstate(over="ignore", invalid="ignore"):
        sums = np.where(measured, buckets.values[:, context:high], 0.0) @ weights
        content: bytes = sums.astype(_SUM).tobytes()
    return _HEAD.pack(making, int(measured.sum())) + content


def has_moved(before: bytes, now: bytes, tolerance: float) -> bool:
    """Return whether buckets have got or lost readings, or a sum differs by more than ``tolerance`` of the larger one.

    Where X is made in another way by now, nothing can be compared, and nothing has moved.
    """
    if before == MOVED:
        return True
    (making, count), (making_now, count_now) = _HEAD.unpack_from(before), _HEAD.unpack_from(now)
    if making != making_now:
        return False
    if count != count_now:
        return True
    sums, sums_now = (np.frombuffer(data, _SUM, offset=_HEAD.size).astype(float) for data in (before, now))
    with np.errstate(invalid="ignore"):
        apart = np.abs(sums - sums_now) > tolerance * np.maximum(np.abs(sums), np.abs(sums_now))
    return bool((apart | (np.isnan(sums) != np.isnan(sums_now))).any())
