"""The task queues that a campaign and a soak run on: both, one after the other, unless one is named."""

import argparse
import traceback
from collections.abc import Callable, Sequence

from latigo.runtime.units import counted

QUEUES = ("eventhub", "postgres")


def add_queue_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--queue``; `run_on_each` takes its value."""
    parser.add_argument("--queue", choices=QUEUES, help="of tasks; both, one after the other, by default")


def run_on_each(queue: str | None, run: Callable[[str], Sequence[str]], say: Callable[[str], None]) -> bool:
    """Run on a queue, or on each of them also when one fails or cannot be run. Return True if all passed.

    Args:
        queue: its kind; None for all.
        run: runs on a queue of this kind; returns what is wrong.
        say: prints a line.
    """
    faults = {kind: _faults(kind, run, say) for kind in ([queue] if queue else QUEUES)}
    for kind, wrong in faults.items():
        result = f"failed, {counted(len(wrong), 'fault')}" if wrong else "passed"
        say(f"queue {kind}: {result}")
    return not any(faults.values())


def _faults(queue: str, run: Callable[[str], Sequence[str]], say: Callable[[str], None]) -> Sequence[str]:
    """Run on a queue. Return what is wrong, an error of the run as well."""
    try:
        return run(queue)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other queue has its run
        say(f"queue {queue}: the run ended with an error\n{traceback.format_exc()}")
        return [f"{type(error).__name__}: {error}"]
