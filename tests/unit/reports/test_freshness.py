"""Share, error budget and burn rate, from counters."""

from datetime import timedelta

import pytest

from latigo.domain.freshness import FRESH, Cause, Group, StaleModel
from latigo.reports.freshness import Counted, Spent, add_uncounted, freshness_of
from latigo.settings import ObjectiveSettings
from tests.support.build import at

NOW = at("12:00")
HOUR = timedelta(hours=1)


def hours(hour: float, six_hours: float, month: float) -> Spent:
    return Spent(hour * HOUR, six_hours * HOUR, month * HOUR)


COUNTERS = {
    ("a", FRESH): hours(0, 9, 990),
    ("a", Cause.GORDO): hours(2, 3, 10),
    ("b", FRESH): hours(2, 12, 1000),
}


def freshness(counters=COUNTERS, **objective):
    stale = {"a": {"gordo": 2, "sink": 1}, "b": {"sink": 4}}
    return freshness_of(Counted(counters, NOW, stale), ObjectiveSettings(**objective), fresh=3, stale=1)


def test_the_share_is_of_the_time_of_all_models_and_the_budget_is_what_the_objective_leaves():
    result = freshness(share=0.99)

    assert result.share == pytest.approx(0.995)
    assert result.budget_left == pytest.approx(0.5)  # 10 of 20 hours
    assert result.burn_hour == pytest.approx(50)  # half of the time, where a hundredth is allowed
    assert result.burn_six_hours == pytest.approx(12.5)
    assert result.burn_month == pytest.approx(0.5)


def test_each_project_has_its_own_share_and_causes():
    by_project = {project.project: project for project in freshness(share=0.9).projects}

    assert (by_project["a"].share, by_project["b"].share) == (pytest.approx(0.99), 1)
    assert [time.cause for time in by_project["a"].causes] == [Cause.GORDO]
    assert by_project["b"].causes == []
    assert by_project["b"].budget_left == 1


def test_a_budget_that_is_exceeded_is_negative():
    assert freshness(share=0.9975).budget_left == pytest.approx(-1)


def test_nothing_is_known_before_something_was_counted():
    result = freshness({})

    assert (result.share, result.budget_left, result.burn_hour) == (None, None, None)
    assert (result.causes, result.projects) == ([], [])


def test_causes_come_in_the_order_of_their_time_that_of_the_last_hour_first():
    counters = {
        ("a", Cause.LATIGO): hours(0, 0, 50),
        ("a", Cause.SINK): hours(1, 1, 1),
        ("b", Cause.SINK): hours(1, 1, 1),
        ("b", Cause.SOURCE): hours(1, 5, 6),
        ("b", Cause.DELAY): hours(0, 1, 1),
    }

    causes = freshness(counters).causes

    assert [time.cause for time in causes] == [Cause.SINK, Cause.SOURCE, Cause.DELAY, Cause.LATIGO]
    assert (causes[0].hour, causes[0].six_hours, causes[0].month) == (120, 120, 120)


def test_time_that_no_scheduler_has_counted_is_added_as_latigos_own():
    became_stale = NOW - 2 * HOUR
    groups = [Group("a", 2), Group("a", 1, StaleModel(slot_missing=True), became_stale)]

    counters = add_uncounted(COUNTERS, groups, NOW - 8 * HOUR, NOW)

    assert counters["a", Cause.LATIGO] == hours(1, 2, 2)
    assert counters["a", FRESH] == hours(0 + 2, 9 + 2 * 6 + 4, 990 + 2 * 8 + 6)
    assert counters["b", FRESH] == COUNTERS["b", FRESH]


def test_models_that_are_stale_now_are_counted_by_cause_the_most_first():
    result = freshness()

    assert list(result.stale_by_cause.items()) == [("sink", 5), ("gordo", 2)]
    assert [project.stale_by_cause for project in result.projects] == [{"gordo": 2, "sink": 1}, {"sink": 4}]
