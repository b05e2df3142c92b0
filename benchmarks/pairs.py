"""Compare with an older commit: ``python -m benchmarks.pairs COMMIT [--only NAME ...] [--pairs N] [--own] [--write]``.

The two take turns, part by part, in the environment of this folder: a machine that is busy with something else is so
for both. Both are measured by the benchmarks of today and their stubs, so that the same work is compared; with
``--own``, the older commit by its own, where it lacks what those of today need. Compared is each line that both have:
its ratio to the same peer, or what was measured where there is a limit; a quotient of 1.1 means that it is 10 % larger
now.

``--write`` puts the lines into the section of that commit on the page of results, in place of those of the same parts,
each with a note of what was run. Lines of other parts stay, with the notes of theirs.
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
from typing import NamedTuple

from benchmarks.parts import MISSED, PARTS
from benchmarks.report import RESULTS, machine, read_section, write_section

HERE = Path(__file__).parents[1]
_PAGE = RESULTS.relative_to(HERE)
_HEAD = "| part | what | now | before | quotient of pairs | run |\n| --- | --- | --- | --- | --- | --- |"
_HOW_TO_READ = """
The two take turns, part by part. A figure is the ratio to the same peer as in the other sections, or what was measured
where the line is held against a limit; a quotient of 1.1 is a figure that is 10 % larger now. Lines that one side alone
has are left out. `make bench BASE=commit` compares again; with `OWN=1`, the older commit by its own benchmarks, whose
stubs and peers may be others than those of today. `python -m benchmarks.pairs --write` writes this section, also some
parts of it alone.
"""
_LIMIT = re.compile(r"<=? ([0-9.]+)")
_RUN = re.compile(r"^([0-9]+)\. (.+)$", re.MULTILINE)


class GitFailed(Exception):
    """Git cannot do what it was asked for."""


class Line(NamedTuple):
    """A line of the comparison."""

    part: str  #: see ``python -m benchmarks --help``
    what: str
    now: str
    before: str
    quotient: str
    run: str  #: what was measured, when and where, by which benchmarks


def figures(table: str) -> dict[str, float]:
    """Return the figures of a table of results by what was measured; lines that are no result are left out.

    A figure is the ratio, times the limit where there is one: limits change, and what was measured is compared then.
    """
    result = {}
    for line in table.splitlines():
        cells = _cells(line)
        if len(cells) >= 4 and cells[3].replace(".", "", 1).isdigit():
            limit = _LIMIT.match(cells[2])
            result[cells[0]] = float(cells[3]) * (float(limit[1]) if limit else 1.0)
    return result


def compared(
    part: str, now: Sequence[dict[str, float]], before: Sequence[dict[str, float]], run: str = ""
) -> list[Line]:
    """Return medians of both sides, and of the quotients of each pair."""
    pairs: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for ours, theirs in zip(now, before, strict=True):
        for what in ours.keys() & theirs.keys():
            pairs[what].append((ours[what], theirs[what]))
    lines = []
    for what in dict.fromkeys(what for each in now for what in each if what in pairs):
        our, their = (statistics.median(side) for side in zip(*pairs[what], strict=True))
        quotients = [ours / theirs for ours, theirs in pairs[what] if theirs]
        middle = f"{statistics.median(quotients):.2f}" if quotients else "-"
        lines.append(Line(part, what, f"{our:.2f}", f"{their:.2f}", middle, run))
    return lines


def section_of(lines: Sequence[Line]) -> str:
    """Return the section of the page of results: the lines, and a list of the runs that they are of."""
    runs = list(dict.fromkeys(line.run for line in lines))
    rows = (f"| {' | '.join(line[:-1])} | {runs.index(line.run) + 1} |" for line in lines)
    notes = (f"{number}. {run}" for number, run in enumerate(runs, 1))
    return "\n".join([_HEAD, *rows, "", *notes, _HOW_TO_READ])


def lines_of(section: str) -> list[Line]:
    """Return the lines of a section; those of another form, of which nothing says how they were measured, are lost."""
    runs = dict(_RUN.findall(section))
    cells = (_cells(line) for line in section.splitlines() if line.startswith("|"))
    return [
        Line._make([*row[:-1], runs[row[-1]]]) for row in cells if len(row) == len(Line._fields) and row[-1] in runs
    ]


def replaced(lines: Sequence[Line], part: str, by: Sequence[Line]) -> list[Line]:
    """Return the lines with those of a part in place of what there was of it, and all in the order of the parts."""
    order = list(PARTS)
    every = [*(line for line in lines if line.part != part), *by]
    return sorted(every, key=lambda line: order.index(line.part) if line.part in order else len(order))


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def measured(folder: Path, part: str, *options: str) -> dict[str, float]:
    """Measure a part by the benchmarks of a folder. Return the figures, as far as it could be measured.

    If it ended otherwise than with a goal that was missed, that is said.
    """
    command = [sys.executable, "-m", "benchmarks", "--only", part, *options]
    path = os.pathsep.join((str(folder / "src"), str(folder)))
    run = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True, check=False
    )
    found = figures(run.stdout)
    if run.returncode not in {0, MISSED} or (run.returncode == MISSED and not found):  # it is Python's own as well
        print(f"{part} in {folder}: exit code {run.returncode}", file=sys.stderr, flush=True)
    return found


def described(commit: str, *, with_tree: bool = False) -> str:
    """Return a commit with its date; ``with_tree``: and whether the working tree differs from it."""
    name = _git("show", "-s", "--format=%h of %cs", commit)
    changed = with_tree and _git("status", "--porcelain", "--untracked-files=no", "--", ".", f":!{_PAGE}")
    return f"{name}, with changes that are not committed" if changed else name


def _git(*arguments: str) -> str:
    """Return what git answers.

    Raises:
        GitFailed: with what it said.
    """
    run = subprocess.run(("git", *arguments), cwd=HERE, capture_output=True, text=True, check=False)
    if run.returncode:
        raise GitFailed(f"git {arguments[0]}: {run.stderr.strip() or f'exit code {run.returncode}'}")
    return run.stdout.strip()


def main() -> None:
    """Measure in turn, and print; exit code 1 where a part could not be measured on both sides."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pairs", description=__doc__)
    parser.add_argument("commit", help="to compare with")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="these parts alone")
    parser.add_argument("--pairs", type=int, default=3, help="turns of both sides")
    parser.add_argument("--own", action="store_true", help="measure the older commit by its own benchmarks")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}, with the comparison")
    options = parser.parse_args()
    try:
        failed = _compare(options)
    except GitFailed as error:
        parser.error(str(error))
    if failed:
        sys.exit(f"not compared (no common line): {' '.join(failed)}")


def _compare(options: argparse.Namespace) -> list[str]:
    """Measure in turn, and print. Return the parts of which there is no common line."""
    title = f"Compared with commit {_git('rev-parse', '--short', options.commit)}"
    by = "now by the benchmarks of now, before by those of before" if options.own else "both by the benchmarks of now"
    sides = f"now: {described('HEAD', with_tree=True)}; before: {described(options.commit)}"
    run = f"{datetime.now(UTC):%Y-%m-%d}, on {machine()}; turns: {options.pairs}; {sides}; {by}."
    failed = []
    with tempfile.TemporaryDirectory(prefix="latigo-bench-") as parent:
        older = Path(parent) / "older"
        _git("worktree", "add", "--detach", str(older), options.commit)
        try:
            if not options.own:
                shutil.rmtree(older / "benchmarks")
                shutil.copytree(HERE / "benchmarks", older / "benchmarks")
            for part in options.only:
                lines = _in_turn(older, part, run, options)
                if not lines:
                    failed.append(part)
                    continue
                print(section_of(lines).removesuffix(_HOW_TO_READ), flush=True)
                if options.write:
                    write_section(title, section_of(replaced(lines_of(read_section(title)), part, lines)))
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(older)], cwd=HERE, check=False)
    return failed


def _in_turn(older: Path, part: str, run: str, options: argparse.Namespace) -> list[Line]:
    now: list[dict[str, float]] = []
    before: list[dict[str, float]] = []
    for _ in range(options.pairs):
        before.append(measured(older, part))
        if not before[-1]:
            return []
        now.append(measured(HERE, part, *(["--write"] if options.write else [])))
    return compared(part, now, before, run)


if __name__ == "__main__":
    main()
