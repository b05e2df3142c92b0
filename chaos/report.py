"""What came of a campaign, for people and for the page of results."""

from collections.abc import Sequence
from datetime import UTC, datetime

from benchmarks.report import machine
from chaos.campaign import Outcome
from chaos.network import Links
from chaos.world import Size

_SHOWN = 40
_HOW_TO_READ = """
`make chaos` runs it again, for `MINUTES`, from a `SEED` and with a `SINK`, and `python -m chaos --write` writes this
section. While it lasts, processes are killed, stopped and frozen for longer than their leases, new revisions are
deployed, Gordo misbehaves, and links are cut one way or both ways, slowed and made lossy. Afterwards, with everything
working again, Latigo catches up, and a judge looks at the views of the ledger and the rows in the sink from outside. It
computes every stored value again from a formula of its own (`chaos/judge.py` defines lost, doubled and wrong).
"""
#: Two executors may write at once to a sink that cannot compare them; what comes late is repaired afterwards.
_AWAITED = ", late writes awaited"


def title(size: Size) -> str:
    """Return the title of the section of the page of results."""
    sink = ", InfluxDB as the sink" if size.sink == "influx" else ""
    return f"Chaos campaign, {size.models} models, {size.queue} as the queue{sink}"


def summary(outcome: Outcome) -> str:
    """Return the figures, and the first of the faults."""
    verdict, faults = outcome.verdict, outcome.faults()
    lines = [
        ", ".join(f"{count} {action}" for action, count in sorted(outcome.steps.items())),
        f"{verdict.slots} slots, {verdict.rows} rows and {verdict.values} values in {outcome.revisions} revisions",
        f"{verdict.repaired} slots repaired",
        f"caught up after {seconds(outcome.recovered_after)}, and then {outcome.state}",
        f"{len(verdict.lost)} lost, {len(verdict.doubled)} doubled, {len(verdict.wrong)} wrong",
        *faults[:_SHOWN],
    ]
    return "\n".join(lines if len(faults) <= _SHOWN else [*lines, f"and {len(faults) - _SHOWN} more"])


def section(outcome: Outcome, size: Size, *, over: Links) -> str:
    """Return the section of the page of results."""
    verdict = outcome.verdict
    head = (
        f"{datetime.now(UTC):%Y-%m-%d}, on {machine()}; seed {outcome.seed}, {outcome.seconds / 60:g} minutes; "
        f"{size.schedulers} schedulers, {size.executors} executors, slots of {size.slot.total_seconds():g} s; "
        f"links through {over}."
    )
    rows = [
        *sorted(outcome.steps.items()),
        ("due slots", verdict.slots),
        *([("slots repaired", verdict.repaired)] if size.sink == "influx" else []),
        ("rows, each value computed again", f"{verdict.rows} ({verdict.values} values)"),
        (f"time to catch up{_AWAITED if size.sink == 'influx' else ''}", seconds(outcome.recovered_after)),
        ("lost", f"**{len(verdict.lost)}**"),
        ("doubled", f"**{len(verdict.doubled)}**"),
        ("wrong", f"**{len(verdict.wrong)}**"),
    ]
    return f"{head}\n\n{table(rows)}\n{_HOW_TO_READ}"


def table(rows: Sequence[tuple[str, object]]) -> str:
    """Return a table of two columns."""
    return "\n".join(["| what | figure |", "| --- | --- |", *(f"| {what} | {figure} |" for what, figure in rows)])


def seconds(value: float | None) -> str:
    """Return a time to catch up."""
    return "too long a time" if value is None else f"{value:.0f} s"
