"""Days in the life of a plant, also without a part of it: everything that has readings is predicted in the end.

Also how many calls that takes: a model server is asked once for what becomes possible at one moment, as far as windows
may reach, and hardly more often.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta

import pytest

from chaos.days.gordo import NEWER, definitions
from chaos.days.judge import DELAY, MOST_CALLS, SLOT, Verdict, judge, wrong_rows
from chaos.days.source import Fate
from latigo.reports.backfills import read_backfills
from latigo.sandbox.gordo.controls import Scope, unavailable
from tests.support.days import BEGIN, Plant, open_plant

HOUR = timedelta(hours=1)
TICK = timedelta(minutes=5)


async def judged(plant: Plant, moments: Sequence[datetime], works: Callable[[str, datetime], bool]) -> Verdict:
    """Require that whatever can be predicted was, and is right."""
    models = {project.name: project.revisions[project.latest].values() for project in plant.gordo.projects.values()}
    verdict = judge(models, await plant.found(), plant.sensors.fates, moments, works, lambda name: plant.known[name])
    assert verdict.wrong == []
    return verdict


async def test_a_day_in_the_life(ledger_url: str):
    """The scheduler is down for 6 h, Gordo for 2 h, a tag for 12 h, a project for 4 h; readings of two tags are late.

    There are a new revision of one project, and new models in another one.
    """
    projects = {f"plant-{number}": definitions(5 * number, 5) for number in range(4)}

    def hour(number: float) -> datetime:
        return BEGIN + number * HOUR

    def is_gordo_there(project: str, moment: datetime) -> bool:
        return not (hour(8) <= moment < hour(10) or (project == "plant-3" and hour(12) <= moment < hour(16)))

    def works(project: str, moment: datetime) -> bool:
        return is_gordo_there(project, moment) and not hour(1) <= moment < hour(7)

    async with open_plant(ledger_url, projects) as plant:
        plant.sensors.fates += [
            Fate(frozenset({"SHARED-00"}), hour(10), hour(22), None),
            Fate(frozenset({"PT-007", "TT-013"}), hour(3) - DELAY, hour(14) - DELAY, timedelta(hours=2, minutes=20)),
        ]
        moments = [BEGIN + number * TICK for number in range(26 * 12)]
        moments += [hour(26) + number * SLOT for number in range(26 * 2)]  # until late readings have been looked for
        troubles: dict[str, ExitStack] = {name: ExitStack() for name in projects}
        down: set[str] = set()
        for moment in moments:
            for name in projects:
                if is_gordo_there(name, moment) == (name in down):
                    if name in down:
                        down.remove(name)
                        troubles[name].close()
                    else:
                        down.add(name)
                        troubles[name].enter_context(plant.gordo.controls.trouble(unavailable(), Scope(project=name)))
            plant.has_scheduler = not hour(1) <= moment < hour(7)
            if moment == hour(17):
                plant.gordo.projects["plant-1"].publish(NEWER)
            if moment == hour(18):
                grown = plant.gordo.projects["plant-2"]
                grown.publish(NEWER, [*grown.revisions[grown.latest].values(), *definitions(20, 5)])
            await plant.at(moment, sync=(moment - BEGIN) % SLOT == timedelta(0))

        slots, fewest, _ = await judged(plant, moments, works)
        calls = len(plant.predictions.calls)

    assert slots == 20 * 104 + 5 * 68 - 3 * 25  # old and new models, and those whose tag was dead
    assert calls <= MOST_CALLS * fewest


@pytest.mark.parametrize("sweep", [False, True], ids=["without a sweep", "with a sweep"])
async def test_a_slot_that_only_some_readings_had_reached_is_put_right_by_a_sweep(sweep: bool, ledger_url: str):
    """Readings of two tags are late, up to the middle of a bucket: the other half of it is all that was there."""
    projects = {f"plant-{number}": definitions(5 * number, 5) for number in range(2)}
    late_until = BEGIN + 8 * HOUR
    last = late_until - DELAY  # a label with one reading that is late, and one that is not

    async with open_plant(ledger_url, projects, sweep=sweep) as plant:
        late = frozenset({"PT-003", "SHARED-02"})
        plant.sensors.fates += [Fate(late, late_until - 3 * HOUR - DELAY, late_until, timedelta(hours=2, minutes=20))]
        moments = [BEGIN + number * TICK for number in range(12 * 12)]
        moments += [BEGIN + 12 * HOUR + number * SLOT for number in range(26 * 2)]
        for moment in moments:
            if moment == BEGIN + 10 * HOUR:
                plant.gordo.projects["plant-1"].publish(NEWER)
            await plant.at(moment)

        changed = [model for each in projects.values() for model in each if late & set(model.tags)]
        rows = (await plant.found()).rows
        wrong = [text for model in changed for text in wrong_rows(model, last, rows)]
        if sweep:
            _, fewest, _ = await judged(plant, moments, lambda *_: True)
            calls = len(plant.predictions.calls)
        requests = await read_backfills(plant.database)

    assert len(changed) == 4
    if not sweep:
        assert [text.partition(": ")[0] for text in wrong] == [f"{model.name} {last}" for model in changed]
        assert list(requests) == []
        return
    assert calls <= MOST_CALLS * fewest + len(changed)
    assert {(request.kind, request.who, request.state, request.slots_left) for request in requests} == {
        ("sweep", "latigo", "done", 0)
    }


DOWN = ["scheduler", "executors", "model server", "source", "sink", "queue"]


@pytest.mark.parametrize("down", DOWN)
async def test_eight_days_without_a_part_are_made_up_for(down: str, ledger_url: str):
    begins, ends = BEGIN + 2 * HOUR, BEGIN + 2 * HOUR + timedelta(days=8)
    projects = {f"plant-{number}": definitions(3 * number, 3) for number in range(2)}

    def is_there(_project: str, moment: datetime) -> bool:
        return not begins <= moment < ends

    async with open_plant(ledger_url, projects) as plant:
        rare = [begins + number * timedelta(hours=2) for number in range(8 * 12)]
        moments = [
            *(BEGIN + number * TICK for number in range(2 * 12)),
            *rare,
            *(ends + number * TICK for number in range(4 * 12)),
        ]
        with ExitStack() as gone:
            for moment in moments:
                if moment == begins and down == "model server":
                    gone.enter_context(plant.gordo.controls.trouble(unavailable()))
                if moment == ends:
                    gone.close()
                there = is_there("", moment)
                plant.has_scheduler = there or down != "scheduler"
                plant.has_executors = there or down != "executors"
                plant.sensors.down = down == "source" and not there
                plant.sink.down = down == "sink" and not there
                plant.queue.down = down == "queue" and not there
                await plant.at(moment)

        slots, fewest, _ = await judged(plant, moments, is_there)
        calls = len(plant.predictions.calls)

    assert slots == 6 * (1 + 4 + 8 * 48 + 8 - 1)
    assert calls <= MOST_CALLS * fewest
