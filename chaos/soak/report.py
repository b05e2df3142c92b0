"""What came of a soak, for people and for the page of results."""

from collections.abc import Sequence
from datetime import UTC, datetime

from benchmarks.report import machine
from chaos.report import seconds, table
from chaos.soak.run import Soak
from chaos.soak.usage import Sample, thirds, typical
from chaos.world import Size

_SHOWN = 40
_FEWEST_SAMPLES = 3
_QUEUE_TABLES = ("queued_task", "queue_receiver", "task")
_HOW_TO_READ = """
`make soak` runs it again (`QUEUE`, `TASKS`, `KILLS`, `SEED`), and `python -m chaos.soak --write` writes this section.
A past of slots of 10 s is filled, a task for each slot, while every party but one executor is killed again and again.
Memory and descriptors are those of the longest life of a process, at the begin of its second third and at its end.
Afterwards every value is computed again, as after the chaos campaign, and the rows of every table are counted.
"""


def title(size: Size) -> str:
    """Return the title of the section: one for each queue."""
    return f"Soak, {size.queue} as the queue"


def summary(soak: Soak, size: Size) -> str:
    """Return the figures, and the first of the faults."""
    faults = [*soak.faults(), *soak.unjudged]
    lines = [f"{what}: {figure}".replace("**", "") for what, figure in _rows(soak, size)]
    rows = ", ".join(f"{table} {count}" for table, count in sorted(soak.rows.items()) if count)
    more = [f"and {len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else []
    return "\n".join([*lines, f"rows: {rows}", *faults[:_SHOWN], *more])


def section(soak: Soak, size: Size) -> str:
    """Return the section of the page of results."""
    head = (
        f"{datetime.now(UTC):%Y-%m-%d}, on {machine()}; seed {soak.outcome.seed}; {size.schedulers} schedulers, "
        f"{size.executors} executors, {size.models} models."
    )
    return f"{head}\n\n{table(_rows(soak, size))}\n{_HOW_TO_READ}"


def _rows(soak: Soak, size: Size) -> Sequence[tuple[str, object]]:
    verdict, rows = soak.outcome.verdict, soak.rows
    kills = ", ".join(f"{party} {count}" for party, count in sorted(soak.kills.items()))
    lives = {party: soak.usage.longest(party) for party in (f"executor-{n + 1}" for n in range(size.executors))}
    lives |= {party: soak.usage.longest(party) for party in (f"scheduler-{n + 1}" for n in range(size.schedulers))}
    return [
        ("tasks", f"{soak.tasks}; {soak.rate:.0f}/s while {soak.seconds:.0f} s of kills lasted"),
        ("tasks by outcome", ", ".join(f"{count} {outcome}" for outcome, count in soak.ended.items())),
        ("kills", f"{soak.kills.total()} ({kills})"),
        ("rows, each value computed again", f"{verdict.rows} ({verdict.values} values)"),
        ("time to catch up", seconds(soak.outcome.recovered_after)),
        *((f"memory and descriptors of {party}", _used(life)) for party, life in sorted(lives.items())),
        ("rows in queued_task, queue_receiver, task", ", ".join(str(rows.get(t, 0)) for t in _QUEUE_TABLES)),
        ("rows of history for each due slot", f"{rows.get('task_history', 0) / max(verdict.slots, 1):.2f}"),
        ("lost", f"**{len(verdict.lost)}**"),
        ("doubled", f"**{len(verdict.doubled)}**"),
        ("wrong", f"**{len(verdict.wrong)}**"),
    ]


def _used(life: Sequence[Sample]) -> str:
    if len(life) < _FEWEST_SAMPLES:
        return "not seen for long"
    first, last = map(typical, thirds(life)[1:])
    return f"{first.memory / 1e6:.0f} MB, then {last.memory / 1e6:.0f} MB; {first.descriptors}, then {last.descriptors}"
