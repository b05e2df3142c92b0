"""Compare with an older commit: ``python -m benchmarks.pairs COMMIT [--only NAME ...] [--pairs N] [--own] [--write]``.

The two take turns in the environment of this folder: a machine that is busy with something else is so for both. Both
are measured by the benchmarks of today, so that the same work is compared; with ``--own``, the older commit by its own,
where it lacks what those of today need. Compared is each line that both have: its ratio to the same peer, or what was
measured where there is a limit; a quotient of 1.1 means that it is 10 % larger now.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.report import RESULTS, machine, write_section

HERE = Path(__file__).parents[1]
_TITLE = "Compared with commit"
_HOW_TO_READ = """
The two took turns. A figure is the ratio to the same peer as in the other sections, or what was measured where the line
is held against a limit; a quotient of 1.1 is a figure that is 10 % larger now. Lines that one side alone has are left
out. `make bench BASE=commit` compares again; with `OWN=1`, the older commit by its own benchmarks.
"""
_LIMIT = re.compile(r"<=? ([0-9.]+)")


def figures(table: str) -> dict[str, float]:
    """Return the figures of a table of results by what was measured; lines that are no result are left out.

    A figure is the ratio, times the limit where there is one: limits change, and what was measured is compared then.
    """
    result = {}
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) >= 4 and cells[3].replace(".", "", 1).isdigit():
            limit = _LIMIT.match(cells[2])
            result[cells[0]] = float(cells[3]) * (float(limit[1]) if limit else 1.0)
    return result


def compared(now: Sequence[dict[str, float]], before: Sequence[dict[str, float]]) -> str:
    """Return medians of both sides and of the quotients of each pair, as a Markdown table."""
    pairs: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for ours, theirs in zip(now, before, strict=True):
        for what in ours.keys() & theirs.keys():
            pairs[what].append((ours[what], theirs[what]))
    lines = ["| what | now | before | quotient of pairs |", "| --- | --- | --- | --- |"]
    for what in dict.fromkeys(what for each in now for what in each if what in pairs):
        ours, theirs = (statistics.median(side) for side in zip(*pairs[what], strict=True))
        quotients = [our / their for our, their in pairs[what] if their]
        middle = f"{statistics.median(quotients):.2f}" if quotients else "-"
        lines.append(f"| {what} | {ours:.2f} | {theirs:.2f} | {middle} |")
    return "\n".join(lines)


def measured(folder: Path, only: Sequence[str], *options: str) -> dict[str, float]:
    """Run the benchmarks of a folder. Return their figures."""
    command = [sys.executable, "-m", "benchmarks", *(["--only", *only] if only else []), *options]
    path = os.pathsep.join((str(folder / "src"), str(folder)))
    run = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True, check=False
    )
    if not (result := figures(run.stdout)):
        raise SystemExit(f"nothing was measured in {folder}: exit code {run.returncode}")
    return result


def main() -> None:
    """Measure in turn, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pairs", description=__doc__)
    parser.add_argument("commit", help="to compare with")
    parser.add_argument("--only", nargs="+", default=[], help="these parts alone; see python -m benchmarks --help")
    parser.add_argument("--pairs", type=int, default=3, help="turns of both sides")
    parser.add_argument("--own", action="store_true", help="measure the older commit by its own benchmarks")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}, with the comparison")
    options = parser.parse_args()
    now: list[dict[str, float]] = []
    before: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="latigo-bench-") as parent:
        older = Path(parent) / "older"
        subprocess.run(["git", "worktree", "add", "--detach", str(older), options.commit], cwd=HERE, check=True)
        try:
            if not options.own:
                shutil.rmtree(older / "benchmarks")
                shutil.copytree(HERE / "benchmarks", older / "benchmarks")
            for _ in range(options.pairs):
                before.append(measured(older, options.only))
                now.append(measured(HERE, options.only, *(["--write"] if options.write else [])))
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(older)], cwd=HERE, check=False)
    comparison = compared(now, before)
    print(comparison)
    if options.write:
        by = "those of the older commit" if options.own else "those of today"
        about = f"{datetime.now(UTC):%Y-%m-%d}, on {machine()}; turns: {options.pairs}; older side by {by}."
        write_section(f"{_TITLE} {options.commit}", f"{about}\n\n{comparison}\n\n{_HOW_TO_READ}")


if __name__ == "__main__":
    main()
