"""The judge of a day: every slot that has readings is covered and right, and how many calls that takes at least.

It reads the public views, and computes every prediction again from `chaos.formulas`.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from chaos.days.gordo import RESOLUTION
from chaos.days.source import READ_EVERY, Fate, arrives
from chaos.formulas import output, reading
from latigo.domain.windows import DAY, Window
from latigo.sandbox.gordo import ModelDefinition

SLOT = timedelta(minutes=30)
DELAY = timedelta(minutes=5)
MAX_WINDOW = DAY
#: Of the calls that are needed at least.
MOST_CALLS = 1.1
_TOLERANCE = 1e-9


class Row(NamedTuple):
    """What the sink holds of one row of a model."""

    revision: str
    outputs: Mapping[str, float]  #: of ``model-output``, by tag


@dataclass(frozen=True)
class Found:
    """What the ledger and the sink hold, by model."""

    covered: Mapping[str, Sequence[Window]]
    since: Mapping[str, datetime]
    rows: Mapping[tuple[str, datetime], Row]


class Verdict(NamedTuple):
    """What was judged, and what is wrong with it, a sentence each."""

    slots: int  #: that have all readings
    fewest: int  #: calls that they take at least
    wrong: Sequence[str]


async def read_found(connection: Any) -> Found:
    """Read what there is by now."""
    covered: defaultdict[str, list[Window]] = defaultdict(list)
    for row in await connection.fetch("SELECT model, unnest(covered) AS span FROM v_coverage"):
        covered[row["model"]].append(Window(row["span"].lower, row["span"].upper))
    since = {row["model"]: row["since"] for row in await connection.fetch("SELECT model, since FROM v_models")}
    rows: dict[tuple[str, datetime], Row] = {}
    stored = await connection.fetch(
        "SELECT model, revision, tag, time, value FROM v_predictions WHERE column_group = 'model-output'"
    )
    for row in stored:
        key = (row["model"], row["time"])
        outputs = dict(rows[key].outputs) if key in rows else {}
        rows[key] = Row(row["revision"], outputs | {row["tag"]: row["value"]})
    return Found(covered, since, rows)


def judge(
    models: Mapping[str, Iterable[ModelDefinition]],
    found: Found,
    fates: Sequence[Fate],
    moments: Sequence[datetime],
    works: Callable[[str, datetime], bool],
    known: Callable[[str], datetime],
    until: datetime | None = None,
    revision: Callable[[str, datetime], str] = lambda _project, _moment: "0",
) -> Verdict:
    """Judge every slot that was due at a time; later ones only if they are covered.

    Args:
        models: by project, as they are served in the end.
        found: afterwards.
        fates: of the readings.
        moments: at which things can be done.
        works: whether a project can be predicted at a moment.
        known: when a model was first listed.
        until: that time; the last of the moments unless it is given.
        revision: the oldest one that may predict a project at a moment.
    """
    count, fewest, wrong = 0, 0, []
    for project, served in models.items():
        working = [moment for moment in moments if works(project, moment)]
        for model in served:
            if model.name not in found.since:
                wrong.append(f"{model.name}: the ledger does not know it")
                continue
            possible: defaultdict[datetime, list[datetime]] = defaultdict(list)
            for slot in _slots(found.since[model.name], moments[-1]):
                due = slot + SLOT + DELAY
                is_covered = any(span.start <= slot and slot + SLOT <= span.end for span in found.covered[model.name])
                complete = complete_at(fates, model, slot)
                if complete is None or not (is_covered or due <= (until or moments[-1])):
                    continue
                earliest = max(complete, due, known(model.name))
                moment = next((each for each in working if each >= earliest), None)
                if moment is None:
                    raise ValueError("the day ends before everything can be there")
                possible[moment].append(slot)
                count += 1
                if not is_covered:
                    wrong.append(f"{model.name} {slot}: has readings and is not covered")
                wrong += wrong_rows(model, slot, found.rows, revision(project, moment))
            fewest += fewest_calls(possible)
    return Verdict(count, fewest, wrong)


def beginning_at(found: Found, begins: Mapping[str, datetime]) -> Found:
    """Return the same, where no model begins later than it did: what it began with is not to be lost."""
    return replace(found, since={name: min(since, begins.get(name, since)) for name, since in found.since.items()})


def _slots(since: datetime, until: datetime) -> Iterator[datetime]:
    """Return the starts of the slots that are due at a time."""
    while since + SLOT + DELAY <= until:
        yield since
        since += SLOT


def labels_of(slot: datetime) -> Sequence[datetime]:
    """Return the labels of the rows of a slot."""
    return [slot + number * RESOLUTION for number in range(SLOT // RESOLUTION)]


def complete_at(fates: Iterable[Fate], model: ModelDefinition, slot: datetime) -> datetime | None:
    """Return when the last reading of a slot has arrived; None if one never does."""
    latest = slot
    for label in labels_of(slot):
        for number in range(RESOLUTION // READ_EVERY):
            for tag in model.tags:
                arrival = arrives(fates, tag, label + number * READ_EVERY)
                if arrival is None:
                    return None
                latest = max(latest, arrival)
    return latest


def fewest_calls(becoming_possible: Mapping[datetime, Sequence[datetime]]) -> int:
    """Return how many calls slots need at least that become possible at these moments."""
    calls = 0
    for slots in becoming_possible.values():
        run = 1
        ordered = sorted(slots)
        for before, after in pairwise(ordered):
            if after - before == SLOT:
                run += 1
            else:
                calls, run = calls + math.ceil(run / (MAX_WINDOW // SLOT)), 1
        calls += math.ceil(run / (MAX_WINDOW // SLOT))
    return calls


def wrong_rows(
    model: ModelDefinition, slot: datetime, rows: Mapping[tuple[str, datetime], Row], oldest: str = "0"
) -> Iterator[str]:
    """Describe the rows of a slot that are not as they have to be; no revision may be older than ``oldest``."""
    for label in labels_of(slot):
        row = rows.get((model.name, label))
        if row is None:
            yield f"{model.name} {label}: no row"
        elif row.outputs.keys() != set(model.tags):
            yield f"{model.name} {label}: {sorted(row.outputs)}"
        elif int(row.revision) < int(oldest):
            yield f"{model.name} {label}: of revision {row.revision}, long after {oldest} was released"
        else:
            wanted = expected(model.tags, row.revision, label)
            if any(not math.isclose(row.outputs[tag], wanted[tag], rel_tol=_TOLERANCE) for tag in model.tags):
                yield f"{model.name} {label}: {dict(row.outputs)} and not {dict(wanted)}"


def expected(tags: Collection[str], revision: str, label: datetime) -> Mapping[str, float]:
    """Return what a row has to be, all readings of which there are."""
    second, step = int(label.timestamp()), int(READ_EVERY.total_seconds())
    seconds = range(second, second + int(RESOLUTION.total_seconds()), step)
    return {tag: output(revision, sum(reading(tag, each) for each in seconds) / len(seconds), second) for tag in tags}
