"""The processors that this process may use."""

import math
import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores(quota: Path = _QUOTA) -> int:
    """Return the number of processors, at least 1: those that may be used, as far as a container's limit allows."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        allowed, period = quota.read_text(encoding="ascii").split()
        limit = math.ceil(int(allowed) / int(period))
    except (OSError, ValueError, ZeroDivisionError):  # no limit, or another system
        return cores
    return max(1, min(cores, limit))
