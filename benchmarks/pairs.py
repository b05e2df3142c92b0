"""Compare with an older commit: ``python -m benchmarks.pairs COMMIT [--only NAME ...] [--pairs N]``.

The two take turns, each with its own code and benchmarks, in the environment of this folder: a machine that is busy
with something else is so for both. Compared is the ratio of each line that both have, which is against the same peer or
limit; a quotient of 1.1 means that it is 10 % larger now.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parents[1]


def ratios(table: str) -> dict[str, float]:
    """Return the ratios of a table of results by what was measured; lines that are no result are left out."""
    result = {}
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) >= 4 and cells[3].replace(".", "", 1).isdigit():
            result[cells[0]] = float(cells[3])
    return result


def compared(now: Sequence[dict[str, float]], before: Sequence[dict[str, float]]) -> str:
    """Return medians of both sides and of the quotients of each pair, as a Markdown table."""
    pairs: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for ours, theirs in zip(now, before, strict=True):
        for what in ours.keys() & theirs.keys():
            pairs[what].append((ours[what], theirs[what]))
    lines = ["| what | ratio now | ratio before | quotient of pairs |", "| --- | --- | --- | --- |"]
    for what in dict.fromkeys(what for each in now for what in each if what in pairs):
        ours, theirs = (statistics.median(side) for side in zip(*pairs[what], strict=True))
        quotients = [our / their for our, their in pairs[what] if their]
        middle = f"{statistics.median(quotients):.2f}" if quotients else "-"
        lines.append(f"| {what} | {ours:.2f} | {theirs:.2f} | {middle} |")
    return "\n".join(lines)


def measured(folder: Path, only: Sequence[str]) -> dict[str, float]:
    """Run the benchmarks of a folder. Return their ratios."""
    command = [sys.executable, "-m", "benchmarks", *(["--only", *only] if only else [])]
    path = os.pathsep.join((str(folder / "src"), str(folder)))
    run = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True, check=True
    )
    return ratios(run.stdout)


def main() -> None:
    """Measure in turn, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pairs", description=__doc__)
    parser.add_argument("commit", help="to compare with")
    parser.add_argument("--only", nargs="+", default=[], help="these parts alone; see python -m benchmarks --help")
    parser.add_argument("--pairs", type=int, default=3, help="turns of both sides")
    options = parser.parse_args()
    now: list[dict[str, float]] = []
    before: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="latigo-bench-") as parent:
        older = Path(parent) / "older"
        subprocess.run(["git", "worktree", "add", "--detach", str(older), options.commit], cwd=HERE, check=True)
        try:
            for _ in range(options.pairs):
                before.append(measured(older, options.only))
                now.append(measured(HERE, options.only))
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(older)], cwd=HERE, check=False)
    print(compared(now, before))


if __name__ == "__main__":
    main()
