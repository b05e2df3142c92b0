"""The task queues that a campaign and a soak run on: both, one after the other, unless one is named."""

import argparse
from collections.abc import Callable, Sequence

QUEUES = ("eventhub", "postgres")


def add_queue_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--queue``; `run_on_each` takes its value."""
    parser.add_argument("--queue", choices=QUEUES, help="of tasks; both, one after the other, by default")


def run_on_each(queue: str | None, run: Callable[[str], Sequence[str]], say: Callable[[str], None]) -> bool:
    """Run on a queue, or on each of them also when one fails. Return True if all passed.

    Args:
        queue: its kind; None for all.
        run: runs on a queue of this kind; returns what is wrong.
        say: prints a line.
    """
    faults = {kind: run(kind) for kind in ([queue] if queue else QUEUES)}
    for kind, wrong in faults.items():
        say(f"queue {kind}: {f'failed, {len(wrong)} faults' if wrong else 'passed'}")
    return not any(faults.values())
