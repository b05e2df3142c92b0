"""Mutation testing: change the pure and the ledger's code in one place at a time, and count what the tests notice.

    python -m benchmarks.mutation [--minutes 60] [--only PATTERN ...] [--write]

mutmut makes the changes and runs the tests that reach them; ``[tool.mutmut]`` in ``pyproject.toml`` names the files and
the tests. What is not checked when the time is over is reported as such.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.report import RESULTS, machine, write_section

ROOT = Path(__file__).parents[1]
TITLE = "Mutation testing"
KILLED, SURVIVED, UNTESTED, UNCHECKED = "killed", "survived", "no tests", "not checked"
#: A mutant that makes tests hang or the interpreter crash is noticed as well.
NOTICED = {KILLED, "timeout", "segfault", "suspicious", "caught by type check"}
_HOW_TO_READ = """
`make mutate` runs it again, for an hour at most, and `python -m benchmarks.mutation --write` writes this section. A
change is noticed when a test fails or hangs with it; the score is the noticed among those that were checked. Some of
the others change nothing that can be observed; `mutmut results` lists them, and `mutmut show NAME` shows one.
"""


def run(minutes: float, only: Sequence[str]) -> None:
    """Run mutmut for so long at most, and end what it started."""
    mutmut = Path(sys.executable).with_name("mutmut")
    command = [str(mutmut), "run", "--max-children", str(os.cpu_count() or 2), *only]
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True) as process:
        try:
            process.wait(timeout=minutes * 60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)


def results() -> str:
    """Return the state of every mutant, one a line."""
    mutmut = Path(sys.executable).with_name("mutmut")
    command = [str(mutmut), "results", "--all", "true"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def by_module(lines: Iterable[str]) -> Mapping[str, Counter[str]]:
    """Count the states of mutants, ``    MODULE.FUNCTION__mutmut_NUMBER: STATE``, by module."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for line in lines:
        name, colon, state = line.strip().partition(": ")
        if colon and "__mutmut_" in name:
            counts[name.rpartition(".")[0]][state] += 1
    return dict(sorted(counts.items()))


def table(modules: Mapping[str, Counter[str]]) -> str:
    """Return the scores as a Markdown table, with their sum."""
    lines = [
        "| module | noticed | survived | without a test | not checked | score |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    total: Counter[str] = Counter()
    for counts in modules.values():
        total += counts
    for module, counts in [*modules.items(), ("**all**", total)]:
        noticed, missed = sum(counts[state] for state in NOTICED), counts[SURVIVED] + counts[UNTESTED]
        score = f"{100 * noticed / (noticed + missed):.0f} %" if noticed + missed else "-"
        lines.append(
            f"| {module} | {noticed} | {counts[SURVIVED]} | {counts[UNTESTED]} | {counts[UNCHECKED]} | {score} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run, print, and write the section of the page of results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutation", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="the longest that it may take")
    parser.add_argument("--only", nargs="+", default=[], help="mutants of these names alone, such as latigo.ledger.*")
    parser.add_argument("--write", action="store_true", help=f"write the section of {RESULTS.name}")
    options = parser.parse_args()
    began = time.monotonic()
    run(options.minutes, options.only)
    modules = by_module(results().splitlines())
    scores = table(modules)
    print(scores)
    if options.write:
        took = (time.monotonic() - began) / 60
        head = f"{datetime.now(UTC):%Y-%m-%d}, on {machine()}; {took:.0f} minutes."
        write_section(TITLE, f"{head}\n\n{scores}\n{_HOW_TO_READ}")


if __name__ == "__main__":
    main()
