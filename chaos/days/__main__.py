"""Let days pass on real processes and a fast clock: ``python -m chaos.days [--speed N] [--models N] [--only NAME]``.

A day on which much goes wrong, and then eight days without each part in turn. The exit code is 0 if every slot that has
readings is covered and right, and the model server was asked hardly more often than it has to be.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from chaos.days.judge import MOST_CALLS
from chaos.days.timetable import Part, Timetable, a_day, eight_days_without
from chaos.days.world import Outcome, run

_SHOWN = 40


def _timetables(options: argparse.Namespace) -> list[Timetable]:
    everything = [
        a_day(options.speed, options.models, options.new_models),
        *(eight_days_without(part, options.speed_before_and_after, options.models) for part in Part),
    ]
    return [each for each in everything if options.only in each.name]


def _run(timetable: Timetable, *, executors: int) -> bool:
    folder = Path(tempfile.mkdtemp(prefix="latigo-days-"))
    folder.chmod(0o711)  # the account of PostgreSQL has to pass where we are root
    print(f"{timetable.name}, logs in {folder}", flush=True)
    outcome: Outcome = asyncio.run(
        run(folder, timetable, executors=executors, say=lambda text: print(text, flush=True))
    )
    print(outcome, *[*outcome.verdict.wrong, *outcome.complaints][:_SHOWN], sep="\n", flush=True)
    sound = not outcome.verdict.wrong and not outcome.complaints and outcome.ratio <= MOST_CALLS
    if sound:
        shutil.rmtree(folder)
    return sound


def main() -> None:
    """Let the days pass."""
    parser = argparse.ArgumentParser(prog="python -m chaos.days", description=__doc__)
    parser.add_argument("--speed", type=float, default=120.0, help="of the day: 120 takes 13 minutes for it")
    parser.add_argument("--speed-before-and-after", type=float, default=600.0, help="of the hours around eight days")
    parser.add_argument("--models", type=int, default=25, help="of each project")
    parser.add_argument("--new-models", type=int, default=100)
    parser.add_argument("--executors", type=int, default=2)
    parser.add_argument("--only", default="", help='only those with this in their name: "a day", "without gordo"')
    options = parser.parse_args()
    sound = [_run(timetable, executors=options.executors) for timetable in _timetables(options)]
    sys.exit(not all(sound))


if __name__ == "__main__":
    main()
