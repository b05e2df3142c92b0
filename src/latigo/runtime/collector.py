"""Python's collector of cyclic garbage."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

#: Held from the question whether the collector is on until it is off: if another thread turned it on in between, it
#: would stay off.
_switching = Lock()


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the collector while many objects are made that stay: it would walk all of them again and again."""
    with _switching:
        paused = gc.isenabled()
        gc.disable()
    try:
        yield
    finally:
        if paused:
            with _switching:
                gc.enable()
