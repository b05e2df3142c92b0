"""Run many tasks while everything is killed in turn: ``python -m chaos.soak [--tasks N] [--kills N] [--write]``.

A plant with a long past is filled, a task for each slot. Kills are spread over the tasks, by a seed, and reach every
party but one executor, whose memory and descriptors then say whether anything grows. Afterwards Latigo catches up, and
what is left is judged as after a random campaign, with the rows of every table as well.

It runs on each task queue, one after the other, unless one is named. It ends by itself; the exit code is 0 if nothing
is wrong on any queue, and it took long enough to see whether anything grows.
"""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import RESULTS, write_section
from chaos.queues import add_queue_argument, run_on_each
from chaos.soak.report import section, summary, title
from chaos.soak.run import run, size_of


def _arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos.soak", description=__doc__)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=50, help="of everything but one executor")
    parser.add_argument("--seed", type=int, help="of the kills; random by default")
    add_queue_argument(parser)
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="until it fails on a queue; catching up comes on top"
    )
    parser.add_argument("--keep", action="store_true", help="keep the logs of all processes also if all is well")
    parser.add_argument("--write", action="store_true", help=f"write the figures to {RESULTS.name}")
    return parser.parse_args(arguments)


def main() -> None:
    """Run, and print the figures."""
    options = _arguments()
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    sys.exit(not run_on_each(options.queue, lambda queue: _run(options, queue, seed), _say))


def _run(options: argparse.Namespace, queue: str, seed: int) -> Sequence[str]:
    """Run one soak. Return its faults, and why it could not be judged."""
    size = size_of(options.tasks, queue)
    folder = Path(tempfile.mkdtemp(prefix="latigo-soak-"))
    _say(f"seed {seed}, {options.tasks} tasks, {options.kills} kills, queue {queue}, logs in {folder}")
    running = run(
        folder, size, seed=seed, tasks=options.tasks, kills=options.kills, limit_s=options.minutes * 60, say=_say
    )
    soak = asyncio.run(running)
    _say(summary(soak, size))
    if options.write:
        write_section(title(size), section(soak, size))
    if not soak.faults() and not options.keep:
        shutil.rmtree(folder)
    return [*soak.faults(), *soak.unjudged]


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
