"""Run a random campaign against Latigo: ``python -m chaos [--minutes M] [--seed S] [--queue KIND] [--sink KIND]``.

It runs on each task queue, one after the other, unless one is named. Predictions go to PostgreSQL, which compares
writers, or to an InfluxDB, which cannot. The campaign ends by itself, and its processes and networks with it; the exit
code is 0 if nothing was lost, doubled or wrong on any queue. The same seed draws the same steps; what they meet depends
on the machine.
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
from chaos.campaign import run
from chaos.namespaces import are_permitted
from chaos.network import Links
from chaos.queues import add_queue_argument, run_on_each
from chaos.report import section, summary, title
from chaos.sinks import SINKS
from chaos.world import Size


def _arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument(
        "--minutes", type=float, default=20.0, help="of faults, on each queue; starting and catching up come on top"
    )
    parser.add_argument("--seed", type=int, help="of the steps; random by default")
    parser.add_argument(
        "--links",
        choices=("auto", "namespaces", "proxies"),
        default="auto",
        help="through network namespaces, which needs root, or through proxies; auto takes namespaces if it can",
    )
    parser.add_argument("--schedulers", type=int, default=Size.schedulers)
    parser.add_argument("--executors", type=int, default=Size.executors)
    parser.add_argument("--models", type=int, default=Size.models)
    add_queue_argument(parser)
    parser.add_argument("--sink", choices=SINKS, default=Size.sink, help="of predictions")
    parser.add_argument("--keep", action="store_true", help="keep the logs of all processes also if all is well")
    parser.add_argument("--write", action="store_true", help=f"write the figures to {RESULTS.name}")
    return parser.parse_args(arguments)


def main() -> None:
    """Run campaigns and print their figures."""
    options = _arguments()
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    sys.exit(not run_on_each(options.queue, lambda queue: _run(options, queue, seed), _say))


def _run(options: argparse.Namespace, queue: str, seed: int) -> Sequence[str]:
    """Run one campaign. Return its faults."""
    namespaces = options.links == "namespaces" or (options.links == "auto" and are_permitted())
    over = Links.NAMESPACES if namespaces else Links.PROXIES
    size = Size(options.schedulers, options.executors, options.models, queue=queue, sink=options.sink).fitting()
    folder = Path(tempfile.mkdtemp(prefix="latigo-chaos-"))
    _say(f"seed {seed}, {options.minutes:g} minutes, queue {queue}, sink {size.sink}, logs in {folder}")
    campaign = run(folder, size, seed=seed, seconds=options.minutes * 60, over=over, say=_say)
    outcome = asyncio.run(campaign)
    _say(summary(outcome))
    if options.write:
        write_section(title(size), section(outcome, size, over=over))
    if outcome.sound and not options.keep:
        shutil.rmtree(folder)
    return outcome.faults()


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
