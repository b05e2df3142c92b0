"""What stale time is put down to: each moment of each model to exactly one outcome."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.domain.circuits import System
from latigo.domain.freshness import (
    FRESH,
    PERIOD,
    Cause,
    Group,
    Service,
    StaleModel,
    TaskPlace,
    cause_of,
    count_time,
    time_between,
)
from tests.support.build import at

NOW = at("12:00")
SECOND = timedelta(seconds=1)
WAITING = StaleModel(slot_missing=True, task=TaskPlace.QUEUED)

systems = st.none() | st.sampled_from(System)
models = st.builds(
    StaleModel,
    slot_missing=st.booleans(),
    parked=st.booleans(),
    blocked=systems,
    failed=systems,
    task=st.sampled_from(TaskPlace),
)
services = st.builds(
    Service,
    plans=st.booleans(),
    queue_reachable=st.booleans(),
    executors=st.integers(0, 2),
    saturated=st.booleans(),
)
times = st.integers(0, 3000).map(lambda seconds: NOW + seconds * SECOND)
projects = st.sampled_from(["a", "b"])
groups = st.lists(
    st.builds(Group, projects, st.integers(1, 5))
    | st.builds(Group, projects, st.integers(1, 5), models, times | st.none()),
    max_size=6,
)
stretches = st.tuples(times, times).map(sorted)


@pytest.mark.parametrize(
    ("model", "service", "cause"),
    [
        (WAITING, Service(plans=False), Cause.LATIGO),
        (replace(WAITING, slot_missing=False), Service(), Cause.DELAY),
        (replace(WAITING, parked=True), Service(), Cause.PARKED),
        (WAITING, Service(queue_reachable=False), Cause.QUEUE),
        (WAITING, Service(executors=0), Cause.CAPACITY),
        (replace(WAITING, blocked=System.SENSORS), Service(), Cause.SOURCE),
        (replace(WAITING, blocked=System.MODELS), Service(), Cause.GORDO),
        (replace(WAITING, blocked=System.SINK), Service(), Cause.SINK),
        (replace(WAITING, failed=System.SENSORS), Service(), Cause.SOURCE),
        (replace(WAITING, failed=System.MODELS), Service(saturated=True), Cause.GORDO),
        (replace(WAITING, blocked=System.SINK, failed=System.MODELS), Service(), Cause.SINK),
        (replace(WAITING, task=TaskPlace.CLAIMED), Service(), Cause.CAPACITY),
        (WAITING, Service(saturated=True), Cause.CAPACITY),
        (WAITING, Service(), Cause.QUEUE),
        (replace(WAITING, task=TaskPlace.NONE), Service(), Cause.LATIGO),
    ],
)
def test_the_first_broken_link_on_the_way_of_a_task_is_the_cause(model: StaleModel, service: Service, cause: Cause):
    assert cause_of(model, service) is cause


#: Facts in the order of the way of a task, and the cause of each alone.
LINKS = [
    (lambda _, s: (_, replace(s, plans=False)), Cause.LATIGO),
    (lambda m, _: (replace(m, slot_missing=False), _), Cause.DELAY),
    (lambda m, _: (replace(m, parked=True), _), Cause.PARKED),
    (lambda _, s: (_, replace(s, queue_reachable=False)), Cause.QUEUE),
    (lambda _, s: (_, replace(s, executors=0)), Cause.CAPACITY),
    (lambda m, _: (replace(m, blocked=System.MODELS), _), Cause.GORDO),
    (lambda _, s: (_, replace(s, saturated=True)), Cause.CAPACITY),
]


@given(st.sets(st.integers(0, len(LINKS) - 1), min_size=1))
def test_of_several_broken_links_the_first_one_counts(broken: set[int]):
    model, service = WAITING, Service()
    for number in broken:
        model, service = LINKS[number][0](model, service)

    assert cause_of(model, service) is LINKS[min(broken)][1]


@given(models, services)
def test_there_is_always_exactly_one_cause(model: StaleModel, service: Service):
    assert cause_of(model, service) in Cause


@given(groups, services, stretches)
def test_all_time_of_all_models_is_counted_once(found: list[Group], service: Service, stretch: list[datetime]):
    start, end = stretch

    spent = count_time(found, service, start, end)

    expected = {project: timedelta(0) for project in ("a", "b")}
    for group in found:
        expected[group.project] += group.models * (end - start)
    counted = {project: timedelta(0) for project in ("a", "b")}
    for (_, project, _), time in spent.items():
        counted[project] += time
    assert counted == expected
    assert all(time > timedelta(0) for time in spent.values())
    assert {outcome for _, _, outcome in spent} <= {FRESH, *Cause}


@given(groups, services, stretches)
def test_stale_time_begins_when_a_model_becomes_stale(found: list[Group], service: Service, stretch: list[datetime]):
    start, end = stretch

    spent = time_between(found, service, start, end)

    stale = timedelta(0)
    for group in found:
        if group.stale is not None:
            stale += group.models * max(end - max(group.since or start, start), timedelta(0))
    assert sum((time for (_, outcome), time in spent.items() if outcome != FRESH), timedelta(0)) == stale


@given(groups, services, stretches, st.integers(0, 3000))
def test_counting_in_two_parts_is_counting_once(
    found: list[Group], service: Service, stretch: list[datetime], seconds: int
):
    start, end = stretch
    middle = min(start + seconds * SECOND, end)

    parts = [count_time(found, service, start, middle), count_time(found, service, middle, end)]

    total: dict[tuple[datetime, str, str], timedelta] = {}
    for part in parts:
        for key, time in part.items():
            total[key] = total.get(key, timedelta(0)) + time
    assert total == count_time(found, service, start, end)


@given(groups, services, stretches)
def test_time_is_counted_in_the_period_in_which_it_passed(
    found: list[Group], service: Service, stretch: list[datetime]
):
    start, end = stretch

    for (period, project, _), time in count_time(found, service, start, end).items():
        models_of_project = sum(group.models for group in found if group.project == project)
        overlap = min(period + PERIOD, end) - max(period, start)
        assert period.timestamp() % PERIOD.total_seconds() == 0
        assert time <= models_of_project * overlap
