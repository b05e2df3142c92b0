"""What is compared within one slot: those of a filled ledger have half an hour, and are due five minutes later."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_SLOT_S, _DUE_AFTER_S = 1800, 300


def slots() -> tuple[int, int]:
    """Return the slot that goes on, and the one that is due: what is shown changes with each."""
    now = time.time()
    return int(now // _SLOT_S), int((now - _DUE_AFTER_S) // _SLOT_S)


def within_a_slot(look: Callable[[], T]) -> T:
    """Return what is found by looks in one slot; those that its end divides are made again."""
    while True:
        before = slots()
        found = look()
        if slots() == before:
            return found
