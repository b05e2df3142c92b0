"""Files that are read whole, at start."""

import os
import stat
from pathlib import Path


def read_limited(path: Path, limit: int) -> bytes:
    """Return the content of a regular file; a pipe or device, which might never end, is not opened for long.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no regular file, is larger than ``limit`` bytes, or can be no path.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(handle, "rb") as file:  # noqa: PTH123 - opened already
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ValueError("is not a regular file")
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"is larger than {limit} bytes")
    return content
