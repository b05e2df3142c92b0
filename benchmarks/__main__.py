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
from typing import NamedTuple

import structlog

from benchmarks import influx, timeseries_api
from benchmarks.control import CONTROL
from benchmarks.report import RESULTS, Row, machine, table, write_head, write_section
from tests.support.real_gordo import gordo_home

_SERVERS = """By the clock, with the CPU of all servers for a prediction next to it."""
_PLAYED = """The real scheduler and ledger under a virtual clock; executors are played."""


class Part(NamedTuple):
    """Measurements that belong together. The module is imported when it is measured: an older commit may lack it."""

    module: str
    title: str  #: of the section of results
    reading: str  #: how to read it


PARTS = {
    "overhead": Part(
        "overhead",
        "Overhead of the executor",
        """CPU time of one process, which hardly depends on what else the machine does. The executor also claims,
        writes to PostgreSQL, settles and logs; gordo-client (parquet, metadata cached) does none of that. Responses are
        as large as those of real Gordo, 103 kB. The floor is aiohttp, which sends the request, pyarrow, which reads the
        response, and one INSERT: no executor on them can take less. Where the goal is missed: what is over the floor
        is, by a profile, spread over the frame and body of the request (some 0.3 ms), names, checks and score of the
        answer (0.5), circuits, limits and timeouts (0.25), and claim, settlement, receipt, metrics and log (0.6). 0.2
        ms of it are in sight; 32 needs a cheaper reader of parquet or another driver of PostgreSQL.""",
    ),
    "busy": Part(
        "busy",
        "Real Gordo kept busy",
        """By the clock; it wants a machine that does nothing else: the executor has its ledger and sink on the same
        cores as Gordo, and the replay has neither.""",
    ),
    "affinity": Part(
        "affinity",
        "Affinity over several servers",
        f"""{_SERVERS} Round robin sends the calls to the servers in turn, with the models in the same order. Their
        number is no multiple of the servers: otherwise each model would come back to the same server in every wave,
        which is an affinity by accident.""",
    ),
    "backfill": Part("backfill", "Backfill model by model", _SERVERS),
    "waves": Part("waves", "Live waves in alternate order", _SERVERS),
    "influx": Part(
        "influx",
        "InfluxDB",
        """CPU time of the side that reads or writes, in a process of its own; the server's is not in it. aioinflux
        asks with Latigo's own statements and makes DataFrames of the answers; it and Gordo's forwarder write the same
        points, to databases of their own.""",
    ),
    "timeseries_api": Part(
        "timeseries_api",
        "Timeseries API",
        """CPU time of the side that reads or writes, as with InfluxDB, against our emulator. The SDK makes the same
        calls, one request for each model, and ends with the good readings by tag, in order of time. aiohttp alone
        sends the same bodies and parses nothing: no client on it can be further ahead of the SDK than that. aiohttp
        and orjson alone parse each answer as a whole and use nothing of it. Where such a floor is at the goal or
        below, there is nothing left for making requests and using answers.""",
    ),
    "wave": Part(
        "wave",
        "A full wave",
        """One slot of every model at once, with everything on two cores. The executor's CPU is held against a limit,
        by the CPU that the stub took in the same run: the stub's work is the same for every commit, and a loaded
        machine slows both down. The clock is held against the CPU of executor, InfluxDB and stub, were both cores
        always busy with nothing else: what PostgreSQL takes, and waiting, are what is over 1. All tasks have to end as
        stored, all points have to be there, and no new series may be among them.""",
    ),
    "queue": Part(
        "event_hubs",
        "Event Hubs queue",
        """By the clock, through our emulator, which is Python on the same cores and slower than the service: it
        brings the two nearer to each other, and what a side takes itself is the CPU next to the rates. Consuming
        counts from the first event. The bare client sends bytes that are there already, and checkpoints nothing. 9000
        models every half hour are five tasks a second.""",
    ),
    "calls": Part("calls", "Calls to Gordo", _PLAYED),
    "overload": Part("overload", "Overload", _PLAYED),
    "memory": Part(
        "memory",
        "Memory",
        """The resident size of the executor process. Every window has readings of its own, as from a network.""",
    ),
    "ledger": Part(
        "ledger",
        "Claims and settlements",
        """They have nothing else to do: what a queue, readings and Gordo take is left out. The rate is by the clock,
        with the executors and PostgreSQL on the same cores; CPU and transactions are those of the whole server.""",
    ),
    "ledger_disk": Part(
        "ledger_disk",
        "The ledger's log and disk",
        """A task of one slot from plan to settlement, with everything that roles do for it in the ledger, 32 at work
        at once; what planning reads is left out: see the next section. CPU is that of the whole server, autovacuum and
        all. Batches are as large as what ends within 5 ms: the fewer tasks a second, the more transactions a task. The
        log is without whole pages, but for the line that says so; disk is after a VACUUM.""",
    ),
    "planning": Part(
        "planning",
        "Planning and questions",
        """Planning is by the clock, the median of five rounds of the scheduler with PostgreSQL, without sending tasks;
        lists and status are the mean CPU of twenty, without the start of a command. No model of the list of failures
        fails here.""",
    ),
    "commands": Part(
        "commands",
        "Commands that ask",
        """CPU time of the whole process, the best of nine, with a ledger that is small: most of it is the start. The
        floor is a bare Python that imports asyncpg and pydantic and asks one statement. Both have the bytecode of what
        they import, as installed packages do; Python that has to compile all of it (`PYTHONDONTWRITEBYTECODE` and
        nothing compiled before) takes about a quarter of a second more.""",
    ),
    "pauses": Part(
        "pauses",
        "Longest pauses of the event loop",
        """By the clock, less the pause while a thread counts in Python, in turn with the others. In tasks: the CPU time
        of the thread of the event loop, with the pause by the clock next to it.""",
    ),
    "web": Part(
        "web",
        "The web interface",
        """CPU time of the database's server and of the process that answers; ten viewers for a minute do what the
        page of models does, while models are settled. The pages themselves are by the clock, in headless Chromium
        without a graphics card, the best of five.""",
    ),
}
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
        sys.exit(1)


def _paragraph(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), width=120)


if __name__ == "__main__":
    main()
