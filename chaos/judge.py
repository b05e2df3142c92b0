"""The judge of a campaign: what was lost, doubled or wrong, seen from outside.

It reads the public views, the table of settled tasks and what the sink holds (`chaos.sinks`), and computes every
prediction again from `chaos.formulas`. It knows nothing of how Latigo works.

Lost
: a due slot since the model's beginning that is neither covered nor an exception for a reason that is right (the only
  one here: its row filter leaves none of its rows), a slot that is parked, and a row of a covered slot that the sink
  does not hold. The beginning is what it was at first, or the horizon before the model was seen: a ledger that lets it
  move on has lost what is before.

Doubled
: a slot that more than one settled task has covered, and a value that the sink holds twice. A prediction may run twice,
  since delivery is at least once; that it counts twice is what claims prevent. A repair is to settle its slots again.

Wrong
: a stored value that is not the formula's for the revision under which its slot was settled (so also a row of an older
  revision over one of a newer), a row that no covered slot accounts for, and a covered slot that was never settled, or
  has no rows to be covered by. Where the sink keeps no revisions, the values alone show whose they are.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from chaos.formulas import PROJECT, Cells, Model, labels, prediction
from chaos.sinks import Sink, Stored
from latigo.domain.windows import floor_to_slot

FILTERED = "row filter"
_TOLERANCE = 1e-9

Span = tuple[int, int]  #: seconds since the epoch, the end excluded


@dataclass(frozen=True)
class Settled:
    """A task that ended as stored, as the history has it."""

    task: int
    span: Span
    revision: str
    epoch: int
    repair: bool = False


@dataclass
class Facts:
    """What is known of one model."""

    since: int
    slot: int
    state: str = "active"
    covered: Sequence[Span] = ()
    excepted: Mapping[int, str] = field(default_factory=dict)  #: state and reason, by start of the slot
    parked: Mapping[str, Sequence[Span]] = field(default_factory=dict)  #: by reason
    settled: Sequence[Settled] = ()  #: in the order of settling
    rows: Mapping[int, tuple[str | None, Cells]] = field(default_factory=dict)  #: revision and values, by label
    repeated: Sequence[int] = ()  #: labels of rows that the sink holds twice


@dataclass
class Verdict:
    """What was found, a sentence each, and how much was looked at."""

    slots: int = 0
    repaired: int = 0  #: slots that were predicted again since an overtaken executor may have written over them
    rows: int = 0
    values: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Return whether nothing was found."""
        return not (self.lost or self.doubled or self.wrong)


def judge(models: Sequence[Model], facts: Mapping[str, Facts], until: int, verdict: Verdict | None = None) -> Verdict:
    """Judge all slots that were due by ``until``; what is found is added to ``verdict``."""
    verdict = verdict or Verdict()
    for model in models:
        if model.name not in facts:
            verdict.lost.append(f"{model.name}: the ledger does not know it")
        else:
            _judge_model(model, facts[model.name], until, verdict)
    return verdict


def _judge_model(model: Model, facts: Facts, until: int, verdict: Verdict) -> None:
    if facts.state != "active":
        verdict.lost.append(f"{model.name} is {facts.state}")
    accounted: set[int] = set()
    for start in range(facts.since, until, facts.slot):
        verdict.slots += 1
        wanted, what = labels(model, start, start + facts.slot), f"{model.name} {_text(start)}"
        by = [settled for settled in facts.settled if _within(start, facts.slot, settled.span)]
        if not any(_within(start, facts.slot, span) for span in facts.covered):
            _judge_uncovered(facts, start, what, wanted, verdict)
            continue
        accounted.update(wanted)
        if not wanted:
            verdict.wrong.append(f"{what}: covered, and its row filter leaves no rows")
        elif not by:
            verdict.wrong.append(f"{what}: covered by no settled task")
        else:
            _judge_rows(model, facts, by[-1], wanted, verdict)
        once = [settled for settled in by if not settled.repair]
        verdict.repaired += len(once) < len(by)
        if len(once) > 1:
            tasks = ", ".join(f"{one.task} (epoch {one.epoch}, revision {one.revision})" for one in once)
            verdict.doubled.append(f"{what}: settled by tasks {tasks}")
    # Tasks of slots that became due since may have stored theirs.
    for label in sorted(label for label in facts.rows if label < until and label not in accounted):
        verdict.wrong.append(f"{model.name} {_text(label)}: a row that no covered slot accounts for")
    verdict.doubled += [f"{model.name} {_text(label)}: the sink holds it twice" for label in facts.repeated]


def _judge_uncovered(facts: Facts, start: int, what: str, wanted: Sequence[int], verdict: Verdict) -> None:
    parked = [reason for reason, spans in facts.parked.items() if any(_within(start, facts.slot, s) for s in spans)]
    if parked:
        verdict.lost.append(f"{what}: parked as {parked[0]}")
    elif start not in facts.excepted:
        verdict.lost.append(f"{what}: neither covered nor excepted")
    elif wanted or FILTERED not in facts.excepted[start]:
        verdict.lost.append(f"{what}: {facts.excepted[start]}, and it has {len(wanted)} rows")


def _judge_rows(model: Model, facts: Facts, settled: Settled, wanted: Sequence[int], verdict: Verdict) -> None:
    for label in wanted:
        what = f"{model.name} {_text(label)}"
        if label not in facts.rows:
            verdict.lost.append(f"{what}: its slot is covered by task {settled.task}, and the sink has no row")
            continue
        revision, cells = facts.rows[label]
        expected = prediction(model, settled.revision, label)
        verdict.rows += 1
        verdict.values += len(expected)
        if revision not in {None, settled.revision}:
            verdict.wrong.append(f"{what}: settled under revision {settled.revision}, and stored is {revision}")
        elif differing := [name for name in {*expected, *cells} if not _same(expected.get(name), cells.get(name))]:
            verdict.wrong.append(f"{what}: {len(differing)} values are not those of revision {settled.revision}")


def _within(start: int, slot: int, span: Span) -> bool:
    return span[0] <= start and start + slot <= span[1]


def _same(expected: float | None, actual: float | None) -> bool:
    return (
        expected is not None and actual is not None and math.isclose(expected, actual, rel_tol=_TOLERANCE, abs_tol=1e-9)
    )


def _text(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%H:%M:%S}"


# -- reading ---------------------------------------------------------------------------------------------------------

_THESE = f"project = '{PROJECT}' AND ($1::text[] IS NULL OR model = ANY ($1))"
_STATES = (
    f"SELECT model, state, since, slot FROM v_models WHERE {_THESE}",
    f"SELECT model, covered FROM v_coverage WHERE {_THESE}",
    f"SELECT model, slot, state, reason FROM v_exceptions WHERE {_THESE}",
    f"SELECT model, reason, windows FROM v_parked WHERE {_THESE}",
)
_SETTLED = f"""
SELECT model, h.id, h.span, h.revision, h.epoch, h.lane = 'repair' AS repair
FROM task_history h JOIN (SELECT id AS model_id, project, name AS model FROM model) m USING (model_id)
WHERE h.outcome = 'stored' AND {_THESE} ORDER BY h.settled_at, h.id
"""


async def read_facts(url: str, names: Sequence[str] | None = None, sink: Sink | None = None) -> Mapping[str, Facts]:
    """Read what the ledger holds, by model: all, or these; with a sink, settled tasks and what it holds as well."""
    connection = await asyncpg.connect(url, timeout=30)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            statements = (*_STATES, _SETTLED) if sink else _STATES
            read = [await connection.fetch(sql, names) for sql in statements]
    finally:
        await connection.close()
    models, covered, excepted, parked, settled = read if sink else (*read, [])
    rows, repeated = _rows(await sink(names) if sink else ())
    facts = {
        row["model"]: Facts(_second(row["since"]), int(row["slot"].total_seconds()), row["state"]) for row in models
    }
    for row in covered:
        facts[row["model"]].covered = [_span(each) for each in row["covered"]]
    slots: dict[str, dict[int, str]] = defaultdict(dict)
    for row in excepted:
        slots[row["model"]][_second(row["slot"].lower)] = f"{row['state']}: {row['reason']}"
    windows: dict[str, dict[str, list[Span]]] = defaultdict(dict)
    for row in parked:
        windows[row["model"]][row["reason"]] = [_span(each) for each in row["windows"]]
    tasks: dict[str, list[Settled]] = defaultdict(list)
    for row in settled:
        one = Settled(row["id"], _span(row["span"]), row["revision"], row["epoch"], row["repair"])
        tasks[row["model"]].append(one)
    for name, each in facts.items():
        each.excepted, each.parked, each.settled = slots[name], windows[name], tasks[name]
        each.rows, each.repeated = rows[name], sorted(repeated[name])
    return facts


def _rows(
    stored: Iterable[Stored],
) -> tuple[Mapping[str, Mapping[int, tuple[str | None, Cells]]], Mapping[str, set[int]]]:
    """Return the rows of each model by label, and the labels of those that are there twice."""
    rows: dict[str, dict[int, tuple[str | None, dict[tuple[str, str], float]]]] = defaultdict(dict)
    repeated: dict[str, set[int]] = defaultdict(set)
    for value in stored:
        _, cells = rows[value.model].setdefault(value.label, (value.revision, {}))
        if value.column in cells:
            repeated[value.model].add(value.label)
        cells[value.column] = value.value
    return rows, repeated


def beginning_at(facts: Mapping[str, Facts], begins: Mapping[str, int]) -> Mapping[str, Facts]:
    """Return facts of models that begin when they should, even if the ledger has them begin later by now."""
    return {name: replace(each, since=min(each.since, begins.get(name, each.since))) for name, each in facts.items()}


async def read_beginnings(url: str, horizon: timedelta, slot: timedelta) -> Mapping[str, int]:
    """Return when the models begin that the ledger knows: no later than the horizon before now, in whole slots."""
    connection = await asyncpg.connect(url, timeout=30)
    try:
        known = await connection.fetch(f"SELECT model, since FROM v_models WHERE {_THESE}", None)
    finally:
        await connection.close()
    latest = floor_to_slot(datetime.now(UTC) - horizon, slot)
    return {row["model"]: _second(min(row["since"], latest)) for row in known}


def missing(facts: Mapping[str, Facts], until: int) -> int:
    """Return how many due slots are neither covered, excepted nor parked yet."""
    return sum(
        not any(_within(start, each.slot, span) for span in each.covered)
        and start not in each.excepted
        and not any(_within(start, each.slot, span) for spans in each.parked.values() for span in spans)
        for each in facts.values()
        for start in range(each.since, until, each.slot)
    )


def _second(time: datetime) -> int:
    return int(time.timestamp())


def _span(result: Any) -> Span:
    """Return a range; one without bounds is all of time."""
    low = -math.inf if result.lower is None else _second(result.lower)
    high = math.inf if result.upper is None else _second(result.upper)
    return low, high  # type: ignore[return-value]  # infinity compares with every second
