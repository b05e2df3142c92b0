"""What a soak kills, and what it finds wrong with memory, descriptors and tables."""

from itertools import islice

import pytest

from chaos.plan import Shape
from chaos.soak.run import size_of, victims
from chaos.soak.tables import Extent, too_many
from chaos.soak.usage import Sample, Usage, growth

SHAPE = Shape(("scheduler-1", "scheduler-2"), ("executor-1", "executor-2"), ("postgres", "gordo"), (), 4.0)
MB = 1_000_000
EXTENT = Extent(models=10, slots=400, rows=800, newer_rows=20, starts=5, outages=2)


def test_everything_but_the_first_executor_is_killed_as_often_and_the_same_seed_kills_the_same():
    first, again, other = (list(islice(victims(SHAPE, seed), 15)) for seed in (1, 1, 2))

    assert first == again != other
    assert {party: first.count(party) for party in SHAPE.parties} == {
        party: 0 if party == "executor-1" else 3 for party in SHAPE.parties
    }


@pytest.mark.parametrize("tasks", [100, 3000, 100_000])
def test_the_past_is_nearly_as_many_slots_as_tasks(tasks: int):
    size = size_of(tasks, "postgres")

    assert 0.9 * tasks <= size.models * (size.horizon / size.slot) <= tasks + size.models


def a_life(*memory: int, descriptors: int = 20) -> list[Sample]:
    """A life of three parts of twenty samples, with so many MB each."""
    return [Sample(each * MB, descriptors) for each in memory for _ in range(20)]


@pytest.mark.parametrize(
    ("life", "grows"),
    [
        (a_life(50, 200, 200), False),
        (a_life(200, 200, 209), False),
        (a_life(200, 200, 212), True),
        (a_life(200, 240, 200), False),
        (a_life(200, 200, 900)[:25], False),
    ],
    ids=["start", "noise", "leak", "shrinks", "too short"],
)
def test_memory_grows_when_the_end_of_a_life_has_more_than_its_middle(life: list[Sample], grows: bool):
    assert bool(growth("executor-1", life)) is grows


def test_descriptors_that_are_not_closed_are_found_and_the_party_is_named():
    life = [*a_life(200, 200), *a_life(200, descriptors=60)]

    assert growth("executor-1", life) == ["executor-1: descriptors grew from 20 to 60"]


def test_only_the_longest_life_of_a_party_is_judged():
    usage = Usage({"executor-2": {7: a_life(200, 200, 900)[:45], 8: a_life(200, 200, 200)}})

    assert usage.growing(["executor-1", "executor-2"]) == []
    assert len(usage.longest("executor-2")) == 60


def test_a_life_that_is_too_short_to_say_whether_it_grows_is_named():
    usage = Usage({"executor-1": {7: a_life(200, 900)[:29]}, "executor-2": {8: a_life(200, 200)}})

    assert usage.growing(["executor-1"]) == []
    assert usage.unjudged("executor-1") == ["executor-1: seen 29 times, and it takes 30 to say whether it grows"]
    assert usage.unjudged("executor-2") == []
    assert len(usage.unjudged("executor-3")) == 1


@pytest.mark.parametrize(
    ("table", "most"),
    [("queued_task", 0), ("queue_receiver", 0), ("prediction", 820), ("task_history", 2440), ("something_new", 125)],
)
def test_a_table_with_more_rows_than_it_may_have_is_named(table: str, most: int):
    assert too_many({table: most}, {}, EXTENT) == []
    assert too_many({table: most + 1}, {}, EXTENT) == [f"table {table}: {most + 1} rows, and {most} at most are right"]


def test_history_that_is_never_dropped_is_found():
    assert too_many({}, {"task_history": 8}, EXTENT) == []
    assert len(too_many({}, {"task_history": 9}, EXTENT)) == 1
