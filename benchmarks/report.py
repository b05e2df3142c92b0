"""Results of a benchmark, and their table."""

import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

#: The page of results: the benchmarks, and a section for everything else that is measured.
RESULTS = Path(__file__).with_name("RESULTS.md")
_SECTION = "\n## "


@dataclass(frozen=True)
class Row:
    """One row of the table: a measurement, its reference, and the ratio of the two."""

    what: str
    measured: str
    against: str
    ratio: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def reached(self) -> bool:
        """Return whether the goal is reached."""
        return (self.at_least is None or self.ratio >= self.at_least) and (
            self.at_most is None or self.ratio <= self.at_most
        )

    @property
    def verdict(self) -> str:
        """The same in words; nothing where there is no goal."""
        if not self.goal:
            return ""
        return "reached" if self.reached else "**not reached**"

    @property
    def goal(self) -> str:
        """The goal for the ratio."""
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return f"<= {self.at_most:g}" if self.at_most is not None else ""


def table(rows: Iterable[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| what | measured | against | ratio | goal | |", "| --- | --- | --- | --- | --- | --- |"]
    lines += [
        f"| {row.what} | {row.measured} | {row.against} | {row.ratio:.2f} | {row.goal} | {row.verdict} |"
        for row in rows
    ]
    return "\n".join(lines)


def machine() -> str:
    """Return a line that describes the machine."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = f"{len(names)} x {names[0]}" if names else cpu
    return f"{cpu}, {platform.system()} {platform.release()}, Python {platform.python_version()}"


def write_head(text: str, page: Path = RESULTS) -> None:
    """Write what stands before the first section of a page; the sections stay."""
    _, *sections = _split(page)
    page.write_text(_SECTION.join([f"{text.rstrip()}\n", *sections]), encoding="utf-8")


def write_section(title: str, text: str, page: Path = RESULTS) -> None:
    """Write a section of a page, in the place of the one of this title or at the end; all else stays."""
    head, *sections = _split(page)
    written = f"{title}\n\n{text.strip()}\n"
    places = [number for number, section in enumerate(sections) if section.partition("\n")[0] == title]
    sections[slice(places[0], places[0] + 1) if places else slice(len(sections), None)] = [written]
    page.write_text(_SECTION.join([head, *sections]), encoding="utf-8")


def read_section(title: str, page: Path = RESULTS) -> str:
    """Return the text of the section of this title; empty where there is none."""
    return next((text for head, _, text in (each.partition("\n") for each in _split(page)[1:]) if head == title), "")


def _split(page: Path) -> list[str]:
    """Return the head of a page and its sections, each without the mark of a section."""
    return page.read_text(encoding="utf-8").split(_SECTION) if page.exists() else [""]
