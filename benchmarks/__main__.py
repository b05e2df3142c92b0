"""``python -m benchmarks [--only NAME ...] [--write]``: all measurements, as one table of ratios."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import structlog

from benchmarks import busy, calls, memory, overhead, overload, planning
from benchmarks.report import Row, machine, table

PARTS = {
    "overhead": overhead.measure,
    "busy": busy.measure,
    "calls": calls.measure,
    "overload": overload.measure,
    "memory": memory.measure,
    "planning": planning.measure,
}
RESULTS = Path(__file__).with_name("RESULTS.md")
HOW_TO_READ = """
Every line is held against a peer or a limit in the same run; where there is a peer, the two take turns and the ratio is
that of medians. Times and throughputs belong to the machine above; the ratios are what to compare. `make bench` makes
this page anew with `--write`; what a part measures exactly is said at the top of its file in `benchmarks/`.
"""


def _arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, help="these parts alone")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    return parser.parse_args(arguments)


def main() -> None:
    """Measure and print."""
    asked = _arguments()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    rows: list[Row] = []
    for name in asked.only or PARTS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows += asyncio.run(PARTS[name]())
    print(table(rows))
    if asked.write:
        head = f"# Benchmarks\n\n{datetime.now(UTC):%Y-%m-%d}, on {machine()}.\n"
        RESULTS.write_text(f"{head}\n{table(rows)}\n{HOW_TO_READ}", encoding="utf-8")


main()
