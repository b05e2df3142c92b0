"""Run all measurements, and print a table of ratios for each: ``python -m benchmarks [--only NAME ...] [--write]``.

Exit code 1 when a goal is not reached.
"""

import argparse
import asyncio
import os
import sys
import textwrap
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module

import structlog

from benchmarks import influx, timeseries_api
from benchmarks.control import CONTROL
from benchmarks.parts import MISSED, PARTS
from benchmarks.report import RESULTS, Row, machine, table, write_head, write_section
from tests.support.real_gordo import gordo_home

GORDO = (gordo_home(), "real Gordo (make gordo)")
PEERS = (influx.peers_home(), "aioinflux with pandas (benchmarks/peers/setup.sh)")
SDK = (timeseries_api.sdk_home(), "the official SDK (tests/omnia_sdk/setup.sh)")
NEEDS = {
    "overhead": [GORDO],
    "busy": [GORDO],
    "affinity": [GORDO],
    "backfill": [GORDO],
    "waves": [GORDO],
    "influx": [GORDO, PEERS],
    "timeseries_api": [SDK],
}
HOW_TO_READ = """# Benchmarks

Every line is held against a peer or a limit in the same run. Where there is a peer, the two take turns; the ratio is
the median of the ratios of neighbouring turns, and the numbers next to it are medians of their own. Times and
throughputs belong to the machine of their section; the ratios are what to compare. `make bench` measures again, `python
-m benchmarks --write` writes the sections again, also some alone (`--only wave overhead`), and the docstring of each
module describes exactly what it measures.

The **control** is a fixed piece of Python, timed before and after each part and between its rounds: 1.00 is a machine
that does nothing else. Where it is higher, figures by the clock are too high by as much, those of CPU by less.
"""


def _arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="these parts alone")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    return parser.parse_args(arguments)


def main() -> None:
    """Measure, print and write one part after the other: what was measured stays when a later one fails."""
    options = _arguments()
    missed: list[str] = []
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    if options.write:
        write_head(HOW_TO_READ)
    for name in options.only:
        if missing := [what for home, what in NEEDS.get(name, ()) if not (home / "venv").exists()]:
            print(f"{name}: left out, needs {' and '.join(missing)}", file=sys.stderr)
            continue
        print(f"{name} ...", file=sys.stderr, flush=True)
        part, load, began = PARTS[name], os.getloadavg()[0], time.monotonic()
        CONTROL.take()
        rows: list[Row] = asyncio.run(import_module(f"benchmarks.{part.module}").measure())
        CONTROL.take()
        measured = table([*rows, CONTROL.row()])
        print(f"\n{part.title}\n\n{measured}", flush=True)
        missed += [row.what for row in rows if not row.reached]
        if options.write:
            took = (time.monotonic() - began) / 60
            about = f"{datetime.now(UTC):%Y-%m-%d}, on {machine()}; load {load:.1f} at the start, {took:.0f} minutes."
            write_section(part.title, f"{about}\n\n{measured}\n\n{_paragraph(part.reading)}")
    if missed:
        print("\nNot reached:", *missed, sep="\n  ", file=sys.stderr)
        sys.exit(MISSED)


def _paragraph(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), width=120)


if __name__ == "__main__":
    main()
