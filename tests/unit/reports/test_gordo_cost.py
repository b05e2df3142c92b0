"""Gordo cores by the rule of docs/sizing.md. Expected values are computed by hand from that page's figures."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from latigo.domain.windows import DAY
from latigo.reports.gordo_cost import (
    FEWEST_CALLS,
    Backlog,
    Capacity,
    GordoCost,
    Group,
    ModelCalls,
    Sample,
    Times,
    estimate,
)
from tests.support.build import HALF_HOUR, NOW

NOTHING = Backlog()
LOADED, IN_MEMORY, PLAIN = 197.0, 65.0, 44.0  # ms of CPU a call, as measured


def calls(name: str = "m-1", live: float = LOADED, **changes: Any) -> ModelCalls:
    """A Keras model with five live calls of one length, unless ``changes`` say otherwise."""
    return ModelCalls(
        project="plant",
        model=name,
        keras=changes.pop("keras", True),
        slot=changes.pop("slot", HALF_HOUR),
        live=changes.pop("times", Times(5, live)),
        fast_ms=changes.pop("fast", live),
        in_a_row=changes.pop("in_a_row", Times()),
        backfill=changes.pop("backfill", Times()),
    )


def cost(models: Sequence[ModelCalls], *groups: Group, backlog: Backlog = NOTHING, **changes: Any) -> GordoCost:
    capacity = Capacity(
        interval=changes.pop("interval", HALF_HOUR),
        max_window=changes.pop("max_window", DAY),
        servers=changes.pop("servers", 1),
        cached=changes.pop("cached", 2),
    )
    sample = Sample(changes.pop("calls", 100), NOW - DAY, models, in_use=0.5)
    return estimate(sample, groups, backlog, capacity, changes.pop("within", DAY), NOW)


def keras(models: int, slot: timedelta = HALF_HOUR) -> Group:
    return Group("plant", True, slot, models)


def plain(models: int, slot: timedelta = HALF_HOUR) -> Group:
    return Group("plant", False, slot, models)


@pytest.mark.parametrize(("ms", "cores"), [(LOADED, 0.985), (IN_MEMORY, 0.325)])
def test_live_cores_are_models_times_seconds_a_call_over_seconds_of_a_slot(ms: float, cores: float):
    report = cost([calls(live=ms)], keras(9000))

    assert report.cores_live == pytest.approx(cores)
    assert (report.live_calls_per_hour, report.models, report.keras_models) == (18_000, 9000, 9000)
    assert (report.cores_backlog, report.cores_in_use) == (0, 0.5)


def test_groups_count_with_calls_of_their_own_and_else_with_those_of_their_kind_or_of_all():
    sampled = [calls("a", 200), calls("b", 100), calls("c", 40, keras=False)]

    # 1800 * 150 ms / 1800 s, 3600 * 150 ms / 3600 s of a slot without calls, 180 * 40 ms / 1800 s
    assert cost(sampled, keras(1800), keras(3600, 2 * HALF_HOUR), plain(180)).cores_live == pytest.approx(0.304)
    # without one of its kind: 1800 * 150 ms / 1800 s
    assert cost(sampled[:2], plain(1800)).cores_live == pytest.approx(0.15)


def test_the_backlog_is_divided_by_the_time_it_may_take():
    sampled = [calls("a", backfill=Times(3, 80)), calls("b", backfill=Times(1, 120))]  # 90 ms a call

    report = cost(sampled, keras(2), backlog=Backlog(500, 48_000, 48_000), within=12 * 2 * HALF_HOUR)

    assert report.cores_backlog == pytest.approx(48_000 * 0.09 / 43_200)
    # no call of backfill yet: live ones, a fifth more
    none_yet = cost([calls(live=100)], keras(2), backlog=Backlog(10, 8640, 8640))
    assert none_yet.cores_backlog == pytest.approx(0.012)


def test_with_too_few_calls_nothing_is_estimated():
    few = cost([calls()], keras(9000), calls=FEWEST_CALLS - 1)

    assert (few.enough, few.cores_live, few.cores_backlog, few.cores_in_use) == (False, None, None, None)
    assert (few.loaded, few.judged, few.suggestions, few.models) == ([], 0, [], 9000)
    assert cost([calls()], keras(9000), calls=FEWEST_CALLS).enough


@pytest.mark.parametrize(("live", "loaded"), [(197, True), (131, True), (129, False), (72, False)])
def test_a_model_is_loaded_if_its_live_calls_take_twice_as_long_as_its_calls_in_a_row(live: float, loaded: bool):
    report = cost([calls(live=live, in_a_row=Times(3, IN_MEMORY))], keras(1))

    assert (report.judged, report.loaded_count) == (1, int(loaded))
    if loaded:
        (model,) = report.loaded
        assert (model.model, model.live_ms, model.in_memory_ms, model.compared_with) == ("m-1", live, 65, "itself")


def test_without_calls_in_a_row_a_model_is_compared_with_other_keras_models():
    others = [calls(f"o-{ms}", 60, in_a_row=Times(8, ms)) for ms in (57, 65, 72)]

    report = cost([*others, calls("slow", 131), calls("quick", 129)], keras(5))

    assert (report.judged, [(each.model, each.compared_with) for each in report.loaded]) == (5, [("slow", "keras")])
    assert report.loaded[0].in_memory_ms == 65


def test_without_any_calls_in_a_row_a_model_is_compared_with_those_of_other_kinds():
    others = [calls(f"o-{ms}", ms, keras=False) for ms in (37, 44, 49)]  # 2.75 * 44 = 121

    report = cost([*others, calls("slow", 123), calls("quick", 120)], keras(2), plain(3))

    assert [(each.model, each.compared_with) for each in report.loaded] == [("slow", "other")]
    assert report.loaded[0].in_memory_ms == pytest.approx(41)


def test_what_cannot_be_compared_is_not_judged_and_other_kinds_are_never_loaded():
    alone = cost([calls(live=500)], keras(1))
    seldom = cost([calls(times=Times(2, 500), in_a_row=Times(8, 60))], keras(1))
    other = cost([calls(live=500, keras=False, in_a_row=Times(8, 50))], plain(1))

    assert [(each.judged, each.loaded_count) for each in (alone, seldom, other)] == [(0, 0)] * 3


def test_a_model_that_is_in_memory_now_and_then_is_not_loaded_on_every_call():
    report = cost([calls(live=197, fast=70, in_a_row=Times(8, 65))], keras(1))

    assert (report.judged, report.loaded_count) == (1, 0)


def test_ten_are_named_the_slowest_first():
    report = cost([calls(f"m-{n:02}", 200 + n, in_a_row=Times(8, 65)) for n in range(12)], keras(12))

    assert [each.model for each in report.loaded] == [f"m-{n:02}" for n in range(11, 1, -1)]
    assert report.loaded_count == 12


def in_a_row(ms: float = LOADED) -> list[ModelCalls]:
    return [calls(live=ms, in_a_row=Times(8, IN_MEMORY))]


@pytest.mark.parametrize(
    ("models", "servers", "setting", "value", "memory"),
    [
        (900, 1, "models.cached_per_worker", "1035", "2.6 GB"),
        (9000, 10, "models.cached_per_worker", "1035", "2.6 GB"),
        (9000, 3, "models.cached_per_worker", "3450", "7.5 GB"),  # largest that the page lists
        (9000, 1, "models.url", "3 servers", "7.5 GB"),
    ],
)
def test_memory_saves_what_loading_costs(models: int, servers: int, setting: str, value: str, memory: str):
    best = cost(in_a_row(), keras(models), servers=servers).suggestions[0]

    assert (best.setting, best.value) == (setting, value)
    assert best.cores_saved == pytest.approx(models * 0.132 / 1800)
    assert memory in best.text


def test_models_of_other_kinds_save_nothing_even_if_they_had_no_calls():
    seldom = calls("p", PLAIN, keras=False, times=Times(2, PLAIN))

    for sampled in (in_a_row(), [*in_a_row(), seldom]):
        best = cost(sampled, keras(90), plain(900)).suggestions
        (memory,) = [each for each in best if each.setting == "models.cached_per_worker"]
        assert memory.cores_saved == pytest.approx(90 * 0.132 / 1800)


def test_where_servers_are_found_by_name_the_rule_itself_is_suggested():
    best = cost(in_a_row(), keras(9000), servers=None).suggestions[0]

    assert (best.setting, best.value) == ("models.cached_per_worker", "1.15 * 9000 / servers")


def test_a_cache_that_is_large_enough_and_does_not_help_is_reported():
    best = cost(in_a_row(), keras(900), cached=2000).suggestions[0]

    assert (best.setting, best.value) == ("models.cached_per_worker", "2000")
    assert "is 2000, which is enough, but Gordo loads models all the same" in best.text


def test_longer_slots_halve_live_calls_and_leave_overrides_as_they_are():
    hour, quarter = 2 * HALF_HOUR, HALF_HOUR / 2
    sampled = [calls("a", 72), calls("b", 72, slot=hour), calls("c", 72, slot=quarter)]

    (best,) = cost(sampled, keras(900), keras(900, hour), keras(900, quarter)).suggestions

    assert (best.setting, best.value) == ("schedule.interval", "1h")
    assert best.cores_saved == pytest.approx(900 * 0.072 / 1800 / 2)


@pytest.mark.parametrize(("interval", "value"), [(8, "1d"), (6, "12h"), (24, None), (7, None)])
def test_a_longer_interval_divides_a_day(interval: int, value: str | None):
    slot = timedelta(hours=interval)

    found = cost([calls(live=72, slot=slot)], keras(900, slot), interval=slot).suggestions

    assert [each.value for each in found] == ([] if value is None else [value])


def test_longer_windows_save_calls_of_the_backlog():
    month = Backlog(windows=100, calls=12_000, days=3000)  # in windows of six hours
    sampled = [calls(live=72, backfill=Times(9, 90))]

    best = cost(sampled, keras(1), backlog=month, max_window=DAY / 4).suggestions[0]

    assert (best.setting, best.value) == ("schedule.max_window", "1d")
    assert best.cores_saved == pytest.approx((12_000 - 3000 * 1.2) * 0.09 / 86_400)
    many_gaps = Backlog(windows=12_000, calls=12_000, days=3000)
    for unchanged in (
        cost(sampled, keras(1), backlog=month, max_window=DAY),
        cost(sampled, keras(1), backlog=many_gaps, max_window=DAY / 4),
    ):
        assert "schedule.max_window" not in [each.setting for each in unchanged.suggestions]


def test_what_saves_most_comes_first():
    report = cost(in_a_row(), keras(900))  # memory saves 132 of 197 ms, an hour half of them

    assert [each.setting for each in report.suggestions] == ["models.cached_per_worker", "schedule.interval"]
    mostly_plain = cost(
        [*in_a_row(), calls("p", PLAIN, keras=False)],
        keras(10),
        plain(900),
    )
    assert [each.setting for each in mostly_plain.suggestions] == ["schedule.interval", "models.cached_per_worker"]


def test_a_plant_without_models_needs_nothing():
    report = cost([])

    assert (report.cores_live, report.cores_backlog, report.suggestions) == (0, 0, [])
