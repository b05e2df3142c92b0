"""Folders for what databases of tests write: in memory, where there is room for some of them."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

_MEMORY = Path("/dev/shm")
_ROOMY = 8 * 2**30  #: octets that are free: the servers of a few workers need one or two of 2**30


@contextmanager
def folder_in_memory(prefix: str) -> Iterator[Path]:
    """A folder for a short time; on disk where memory is scarce. Short, too, since names of sockets have to be."""
    roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOMY
    with TemporaryDirectory(prefix=prefix, dir=_MEMORY if roomy else None) as folder:
        yield Path(folder)
