"""``latigo`` on another clock: ``python -m chaos.days.latigo_program PACE.json serve ...``.

Latigo has no setting for its clock, and needs none: the class that reads time is replaced before anything uses it.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chaos.days.pace import Pace, PacedClock
from latigo.__main__ import run
from latigo.runtime.clock import SystemClock


def install(pace: Pace) -> None:
    """Let every clock of this process go at this pace."""
    clock = PacedClock(pace)
    for name in ("now", "monotonic", "sleep"):
        setattr(SystemClock, name, _of(clock, name))


def _of(clock: PacedClock, name: str) -> Callable[..., Any]:
    method = getattr(clock, name)  # bound by now, and so not what replaces it
    return lambda _, *arguments: method(*arguments)


def main() -> None:
    """Run a command of Latigo."""
    install(Pace.read(Path(sys.argv.pop(1))))
    sys.argv[0] = "latigo"
    run()


if __name__ == "__main__":
    main()
