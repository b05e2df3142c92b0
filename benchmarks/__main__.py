"""Run all measurements, and print them as one table of ratios: ``python -m benchmarks [--only NAME ...] [--write]``."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import structlog

from benchmarks import (
    affinity,
    backfill,
    busy,
    calls,
    event_hubs,
    influx,
    ledger,
    memory,
    overhead,
    overload,
    pauses,
    planning,
    timeseries_api,
    wave,
    web,
)
from benchmarks.report import RESULTS, Row, machine, table, write_head
from tests.support.real_gordo import gordo_home

PARTS = {
    "overhead": overhead.measure,
    "busy": busy.measure,
    "affinity": affinity.measure,
    "backfill": backfill.measure,
    "influx": influx.measure,
    "timeseries_api": timeseries_api.measure,
    "wave": wave.measure,
    "queue": event_hubs.measure,
    "calls": calls.measure,
    "overload": overload.measure,
    "memory": memory.measure,
    "ledger": ledger.measure,
    "planning": planning.measure,
    "pauses": pauses.measure,
    "web": web.measure,
}
GORDO = (gordo_home(), "real Gordo (make gordo)")
PEERS = (influx.peers_home(), "aioinflux with pandas (benchmarks/peers/setup.sh)")
SDK = (timeseries_api.sdk_home(), "the official SDK (tests/omnia_sdk/setup.sh)")
NEEDS = {
    "overhead": [GORDO],
    "busy": [GORDO],
    "affinity": [GORDO],
    "backfill": [GORDO],
    "influx": [GORDO, PEERS],
    "timeseries_api": [SDK],
}
HOW_TO_READ = """
Every line is held against a peer or a limit in the same run. Where there is a peer, the two take turns; the ratio is
the median of the ratios of neighbouring turns, and the numbers next to it are medians of their own. Times and
throughputs belong to the machine above; the ratios are what to compare. `make bench` measures again, `python -m
benchmarks --write` writes this page again, and the docstring of each part describes exactly what it measures.

- **executor overhead** is CPU time of one process, and hardly depends on what else the machine does. The executor also
  claims, writes to PostgreSQL, settles and logs; gordo-client (parquet, metadata cached) does none of that.
- **real Gordo kept busy** is by the clock, and wants a machine that does nothing else: the executor has its ledger and
  sink on the same cores as Gordo, and the replay has neither.
- **affinity** and **backfill** are by the clock, with the CPU of all servers for a prediction next to it.
- **InfluxDB** is CPU time of the side that reads or writes, in a process of its own; the server's is not in it.
  aioinflux asks with Latigo's own statements and makes DataFrames of the answers; it and Gordo's forwarder write the
  same points, to databases of their own.
- **Timeseries API** is CPU time of the side that reads or writes, as with InfluxDB, against our emulator. The SDK makes
  the same calls, one request for each model, and ends with the good readings by tag, in order of time. aiohttp alone
  sends the same bodies and parses nothing: no client on it can be further ahead of the SDK than that.
- **a full wave** is one slot of every model at once, with everything on two cores. The executor's CPU is held
  against a limit. The clock is held against the CPU of executor, InfluxDB and stub, were both cores always busy with
  nothing else: what PostgreSQL takes, and waiting, are what is over 1. All tasks have to end as stored, all points have
  to be there, and no new series may be among them.
- **Event Hubs queue** is by the clock, through our emulator, which is Python on the same cores and slower than the
  service: it brings the two nearer to each other, and what a side takes itself is the CPU next to the rates.
  Consuming counts from the first event. The bare client sends bytes that are there already, and checkpoints nothing.
  9000 models every half hour are five tasks a second.
- **calls** and **overload** run the real scheduler and ledger under a virtual clock; executors are played.
- **the longest pause** is by the clock, less the pause while a thread counts in Python, in turn with the others.
- **claims and settlements** have nothing else to do: what a queue, readings and Gordo take is left out. The rate is by
  the clock, with the executors and PostgreSQL on the same cores; CPU and transactions are those of the whole server.
- **the web interface** is CPU time of the database's server and of the process that answers; ten viewers for a minute
  do what the page of models does, while models are settled.
- **memory** is the resident size of the executor process. Every window has readings of its own, as from a network.
"""


def _arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="these parts alone")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    return parser.parse_args(arguments)


def main() -> None:
    """Measure and print."""
    options = _arguments()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    load, began = os.getloadavg()[0], time.monotonic()
    rows: list[Row] = []
    for name in options.only:
        if missing := [what for home, what in NEEDS.get(name, ()) if not (home / "venv").exists()]:
            print(f"{name}: left out, needs {' and '.join(missing)}", file=sys.stderr)
            continue
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows += asyncio.run(PARTS[name]())
    print(table(rows))
    if options.write:
        took = (time.monotonic() - began) / 60
        head = (
            f"{datetime.now(UTC):%Y-%m-%d}, on {machine()}; load average {load:.1f} at the start, {took:.0f} minutes."
        )
        write_head(f"# Benchmarks\n\n{head}\n\n{table(rows)}\n{HOW_TO_READ}")


main()
