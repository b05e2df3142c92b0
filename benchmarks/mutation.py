"""Mutation testing: change the pure and the ledger's code in one place at a time, and count what the tests notice.

    python -m benchmarks.mutation [--minutes 60] [--seed 1] [--only PATTERN ...] [--write]

mutmut makes the changes and runs the tests that reach them; ``[tool.mutmut]`` in ``pyproject.toml`` names the files and
the tests. There is no time for all: those to be checked are drawn at random, from every module in proportion, so
that the score of an hour is an estimate of the score of all.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from random import Random

from benchmarks.report import RESULTS, machine, write_section

ROOT = Path(__file__).parents[1]
_MUTMUT = Path(sys.executable).with_name("mutmut")
TITLE = "Mutation testing"
KILLED, SURVIVED, UNTESTED, UNCHECKED = "killed", "survived", "no tests", "not checked"
#: A mutant that makes tests hang or the interpreter crash is noticed as well.
NOTICED = {KILLED, "timeout", "segfault", "suspicious", "caught by type check"}
#: mutmut lists mutants only after it has made them, and makes them only before it checks some: the fewest.
_FEWEST = "latigo.domain.outcome.*"
#: The first batch of mutants shows how many a batch of the time that is left may have; none is smaller.
_BATCH = 40
_HOW_TO_READ = """
`make mutate` runs it again, for an hour at most, and `python -m benchmarks.mutation --write` writes this section. The
changes to be checked are drawn at random, from every module in proportion. A change is noticed when a test fails or
hangs with it; the score is the noticed among the checked. Some of the others change nothing that can be observed:
`mutmut results` lists them, and `mutmut show NAME` shows one.
"""


def spread(names: Iterable[str], random: Random) -> list[str]:
    """Return the names in random order; any first part of it has its share of every module."""
    modules: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        modules[_module(name)].append(name)
    places: dict[str, float] = {}
    for members in modules.values():
        random.shuffle(members)
        places |= {name: (place + random.random()) / len(members) for place, name in enumerate(members)}
    return sorted(places, key=places.__getitem__)


def _module(mutant: str) -> str:
    return mutant.rpartition(".")[0]


def check(order: Sequence[str], deadline: float, children: int) -> list[str]:
    """Check mutants in this order as far as the time (`time.monotonic`) allows. Return the names of those checked.

    mutmut starts with the quickest of a batch; so a batch that the deadline ends is no fair sample, and is not counted.
    """
    checked: list[str] = []
    size, began = _BATCH, time.monotonic()
    while size >= _BATCH and (batch := order[len(checked) : len(checked) + size]):
        if not run(batch, deadline, children):
            break
        checked += batch
        now = time.monotonic()
        size = int(0.8 * (deadline - now) * len(checked) / (now - began))
    return checked


def run(names: Iterable[str], deadline: float, children: int) -> bool:
    """Let mutmut check these mutants, and end it at the deadline. Return whether it was done by then.

    Raises:
        CalledProcessError: mutmut failed, such as because a test fails without any change.
    """
    command = [str(_MUTMUT), "run", "--max-children", str(children), *names]
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True) as process:
        try:
            code = process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)
            return False
    if code:
        raise subprocess.CalledProcessError(code, command[:2])
    return True


def results() -> dict[str, str]:
    """Return the states of all mutants by their names."""
    command = [str(_MUTMUT), "results", "--all", "true"]
    return states(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines())


def states(lines: Iterable[str]) -> dict[str, str]:
    """Return the states of mutants, ``    MODULE.FUNCTION__mutmut_NUMBER: STATE``, by their names."""
    pairs = (line.strip().rpartition(": ") for line in lines)
    return {name: state for name, _, state in pairs if "__mutmut_" in name}


def by_module(found: Mapping[str, str], checked: Collection[str]) -> Mapping[str, Counter[str]]:
    """Count the states of the mutants that were checked in this run by module; all others are not checked."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name, state in found.items():
        counts[_module(name)][state if name in checked else UNCHECKED] += 1
    return dict(sorted(counts.items()))


def table(modules: Mapping[str, Counter[str]]) -> str:
    """Return the scores as a Markdown table, with their sum."""
    lines = [
        "| module | checked | noticed | survived | without a test | score |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    total: Counter[str] = Counter()
    for counts in modules.values():
        total += counts
    for module, counts in [*modules.items(), ("**all**", total)]:
        noticed, missed = sum(counts[state] for state in NOTICED), counts[SURVIVED] + counts[UNTESTED]
        score = f"{100 * noticed / (noticed + missed):.0f} %" if noticed + missed else "-"
        checked = f"{counts.total() - counts[UNCHECKED]} of {counts.total()}"
        lines.append(f"| {module} | {checked} | {noticed} | {counts[SURVIVED]} | {counts[UNTESTED]} | {score} |")
    return "\n".join(lines)


def main() -> None:
    """Run, print, and write the section of the page of results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutation", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="the longest that it may take")
    parser.add_argument(
        "--seed", type=int, default=time.time_ns() % 1_000_000, help="draw the mutants of an earlier run"
    )
    parser.add_argument("--children", type=int, default=os.cpu_count() or 2, help="mutants that are checked at a time")
    parser.add_argument(
        "--only", nargs="+", default=["*"], help="mutants of these names alone, such as latigo.ledger.*"
    )
    parser.add_argument("--write", action="store_true", help=f"write the section of {RESULTS.name}")
    options = parser.parse_args()
    print(f"mutants are drawn with --seed {options.seed}", flush=True)
    began = time.monotonic()
    deadline = began + options.minutes * 60
    run([_FEWEST], deadline, options.children)
    names = [name for name in results() if any(fnmatch(name, pattern) for pattern in options.only)]
    checked = check(spread(names, Random(options.seed)), deadline, options.children)
    scores = table(by_module(results(), set(checked)))
    print(scores)
    if options.write:
        took = (time.monotonic() - began) / 60
        head = f"{datetime.now(UTC):%Y-%m-%d}, on {machine()}; {took:.0f} minutes, seed {options.seed}."
        write_section(TITLE, f"{head}\n\n{scores}\n{_HOW_TO_READ}")


if __name__ == "__main__":
    main()
