"""What goes out next."""

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.domain.lane_share import LaneShare
from latigo.domain.limits import most_outstanding
from latigo.domain.model import ModelRef
from latigo.domain.task import Lane
from latigo.domain.windows import Window
from latigo.ledger.protocol import Need, Planned
from latigo.scheduler.groups import Group
from latigo.scheduler.plan import Agenda, Blockade, blockade_of
from tests.support.build import HALF_HOUR, at, window
from tests.support.build import a_need as build_need

LIVE, BACK = window("11:30", "12:00"), window("09:00", "10:00")


def a_need(
    model_id: int,
    project: str = "plant",
    *,
    live: Window | None = LIVE,
    back: Window | None = None,
    windows: dict[Lane, Window] | None = None,
    covered_end: str | None = "11:30",
) -> Need:
    if windows is None:
        windows = {lane: span for lane, span in ((Lane.LIVE, live), (Lane.BACKFILL, back)) if span}
    ref = ModelRef(project, f"model-{model_id:03}")
    return build_need(
        model_id, ref, windows, epoch=model_id + 100, covered_end=at(covered_end) if covered_end else None
    )


def taken(agenda: Agenda, room: int, room_in_background: int | None = None, share: float = 0.05) -> list[Planned]:
    return agenda.take(room, room if room_in_background is None else room_in_background, LaneShare(share))


def ids(planned: Iterable[Planned]) -> list[int]:
    return [each.model_id for each in planned]


def hole(number: int) -> Window:
    return Window(BACK.start + number * HALF_HOUR, BACK.end + number * HALF_HOUR)


@st.composite
def needs(draw: st.DrawFn) -> list[Need]:
    """Needs of some models in some projects."""
    drawn = st.tuples(
        st.sampled_from(["a", "b", "c"]), st.sets(st.sampled_from(Lane), min_size=1), st.none() | st.integers(0, 20)
    )
    return [
        build_need(
            number,
            ModelRef(project, f"model-{number}"),
            {lane: LIVE if lane.is_live else hole(number) for lane in needed},
            covered_end=None if behind is None else at("12:00") - behind * HALF_HOUR,
        )
        for number, (project, needed, behind) in enumerate(draw(st.lists(drawn, max_size=40)), 1)
    ]


# --- order ------------------------------------------------------------------------------------------------------------


def test_the_model_that_is_furthest_behind_goes_first_and_one_that_was_never_covered_before_it():
    agenda = Agenda.of([a_need(1, covered_end="11:30"), a_need(2, covered_end="09:00"), a_need(3, covered_end=None)])

    assert ids(taken(agenda, 3)) == [3, 2, 1]


def test_waves_that_follow_each_other_are_in_opposite_orders():
    waves = [window("11:30", "12:00"), window("12:00", "12:30"), window("12:30", "13:00")]

    orders = [ids(taken(Agenda.of([a_need(n, live=wave) for n in (2, 3, 1)]), 3)) for wave in waves]

    assert orders[0] == orders[2]
    assert orders[1] == list(reversed(orders[0]))
    assert sorted(orders[0]) == [1, 2, 3]


def test_the_newest_holes_of_history_are_filled_first():
    older, newer = window("01:00", "02:00"), window("03:00", "04:00")

    agenda = Agenda.of([a_need(1, live=None, back=older), a_need(2, live=None, back=newer)])

    assert ids(taken(agenda, 2)) == [2, 1]


def test_projects_take_turns_however_many_models_one_has():
    crowd = [a_need(number, "big", covered_end="08:00") for number in range(1, 6)]
    few = [a_need(number, "small", covered_end="11:00") for number in (8, 9)]

    agenda = Agenda.of([*crowd, *few])

    assert ids(taken(agenda, 7)) == [1, 8, 2, 9, 3, 4, 5]


@given(needs())
def test_taking_turns_loses_nothing_and_keeps_the_order_within_a_project(result):
    lanes = Agenda.of(result).lanes

    for lane in Lane:
        ordered = list(lanes.get(lane, ()))
        assert sorted(each.model_id for each in ordered) == sorted(n.model_id for n in result if lane in n.windows)
        for project in "abc":
            alone = Agenda.of([n for n in result if n.ref.project == project]).lanes.get(lane, ())
            assert [n for n in ordered if n.ref.project == project] == list(alone)


@given(needs(), st.sampled_from(Lane))
def test_no_project_waits_for_more_than_one_turn_of_each_other(result, lane):
    ordered = [each.ref.project for each in Agenda.of(result).lanes.get(lane, ())]

    for project in set(ordered):
        turns = [place for place, each in enumerate(ordered) if each == project]
        assert all(later - earlier <= 3 for earlier, later in pairwise(turns))


# --- taking -----------------------------------------------------------------------------------------------------------


@given(needs(), st.integers(0, 100), st.integers(0, 50), st.floats(0, 0.9))
def test_never_more_is_taken_than_there_is_room_for_and_nothing_twice(result, room, room_in_background, share):
    agenda = Agenda.of(result)

    planned = [*taken(agenda, room, room_in_background, share), *taken(agenda, room, room_in_background, share)]

    assert len(planned) <= 2 * room
    assert sum(not each.lane.is_live for each in planned) <= 2 * max(room_in_background, 0)
    assert len({(each.model_id, each.lane) for each in planned}) == len(planned)


@given(needs())
def test_with_room_enough_every_need_becomes_a_task_of_its_model_and_epoch(result):
    agenda = Agenda.of(result)

    planned = {(p.model_id, p.epoch, p.window, p.lane) for p in taken(agenda, 1000)}

    assert planned == {(n.model_id, n.epoch, span, lane) for n in result for lane, span in n.windows.items()}
    assert not agenda
    assert not any(p.probe for p in taken(Agenda.of(result), 1000))


def test_live_goes_first_yet_backfill_has_its_share():
    agenda = Agenda.of([a_need(number, back=BACK) for number in range(1, 101)])

    order = [each.lane for each in taken(agenda, 60)]

    assert [place for place, lane in enumerate(order, 1) if lane is Lane.BACKFILL] == [20, 40, 60]


def test_the_share_goes_on_from_one_round_to_the_next():
    agenda, share = Agenda.of([a_need(number, back=BACK) for number in range(1, 101)]), LaneShare(0.05)

    order = [each.lane for _ in range(40) for each in agenda.take(1, 1, share)]

    assert [place for place, lane in enumerate(order, 1) if lane is Lane.BACKFILL] == [20, 40]


def test_without_room_for_backfill_only_live_work_goes_out():
    agenda = Agenda.of([a_need(1, back=BACK), a_need(2, live=None, back=BACK)])

    assert [(each.model_id, each.lane) for each in taken(agenda, 10, 0)] == [(1, Lane.LIVE)]
    assert agenda


OTHERS = [Lane.BACKFILL, Lane.REPAIR, Lane.MANUAL]


@pytest.mark.parametrize("lane", OTHERS)
def test_every_other_lane_has_the_share_and_the_room_of_backfill(lane: Lane):
    requested = [a_need(number, windows={Lane.LIVE: LIVE, lane: BACK}) for number in range(1, 101)]

    order = [each.lane for each in taken(Agenda.of(requested), 60)]

    assert [place for place, each in enumerate(order, 1) if each is lane] == [20, 40, 60]
    assert {each.lane for each in taken(Agenda.of(requested), 200, 0)} == {Lane.LIVE}
    assert sum(each.lane is lane for each in taken(Agenda.of(requested), 200, 7)) == 7


def test_the_other_lanes_take_turns():
    requested = [a_need(number, windows=dict.fromkeys(OTHERS, BACK)) for number in range(1, 5)]

    planned = taken(Agenda.of(requested), 7)

    assert [each.lane for each in planned] == [*OTHERS, *OTHERS, Lane.BACKFILL]
    assert {each.window for each in planned} == {BACK}


@pytest.mark.parametrize("lane", OTHERS)
def test_the_newest_windows_that_were_asked_for_go_first_and_projects_take_turns(lane: Lane):
    ends = {1: ("big", "03:00"), 2: ("big", "05:00"), 3: ("big", "04:00"), 4: ("small", "01:00")}
    requested = [a_need(n, project, windows={lane: window("00:00", end)}) for n, (project, end) in ends.items()]

    assert ids(taken(Agenda.of(requested), 4)) == [2, 4, 3, 1]


@pytest.mark.parametrize("room", [0, -3])
def test_without_room_nothing_goes_out(room: int):
    assert taken(Agenda.of([a_need(1)]), room) == []


@given(needs())
def test_what_is_dropped_does_not_go_out(result):
    agenda = Agenda.of(result)

    agenda.drop(lambda need: need.ref.project == "a")

    assert set(ids(taken(agenda, 1000))) == {each.model_id for each in result if each.ref.project != "a"}


# --- probes -----------------------------------------------------------------------------------------------------------


def test_a_probe_is_the_first_live_task_of_its_project_and_goes_out_once():
    agenda = Agenda.of([a_need(1, "a"), a_need(2, "b", covered_end="10:00"), a_need(3, "b", covered_end="09:00")])

    probe = agenda.take_probe(lambda need: need.ref.project == "b")

    assert probe is not None
    assert (probe.model_id, probe.lane, probe.probe, probe.epoch) == (3, Lane.LIVE, True, 103)
    assert sorted(ids(taken(agenda, 10))) == [1, 2]


def test_where_nothing_is_live_backfill_is_the_probe():
    probe = Agenda.of([a_need(1, live=None, back=BACK)]).take_probe(lambda need: need.ref.project == "plant")

    assert probe is not None
    assert (probe.lane, probe.window, probe.probe) == (Lane.BACKFILL, BACK, True)


@pytest.mark.parametrize("lane", [Lane.REPAIR, Lane.MANUAL])
def test_what_was_asked_for_is_a_probe_where_there_is_nothing_else(lane: Lane):
    agenda = Agenda.of([a_need(1, windows={lane: BACK})])

    probe = agenda.take_probe(lambda need: need.ref.project == "plant")

    assert probe is not None
    assert (probe.lane, probe.window, probe.probe) == (lane, BACK, True)
    assert not agenda


def test_the_other_lane_of_a_model_that_probes_stays_on_the_agenda():
    agenda = Agenda.of([a_need(1, back=BACK)])

    agenda.take_probe(lambda need: need.ref.project == "plant")

    assert [each.lane for each in taken(agenda, 10)] == [Lane.BACKFILL]


def test_a_project_without_work_has_no_probe():
    assert Agenda.of([a_need(1, "a")]).take_probe(lambda need: need.ref.project == "b") is None


def downstreams(project: str) -> list[str]:
    return [f"gordo/{project}", "sink/postgres"]


def a_group(project: str, *sources: str) -> Group:
    return Group(project, sources or ("sensors/influx",))


def groups(*projects: str) -> list[Group]:
    return [a_group(project) for project in projects]


A, B = groups("a", "b")


def test_nothing_waits_while_everything_works():
    assert blockade_of([A, B], {}, downstreams, frozenset()) == Blockade()


def test_a_project_waits_for_its_own_downstream_and_the_others_do_not():
    blockade = blockade_of([A, B], {"gordo/a": True, "gordo/elsewhere": True}, downstreams, frozenset())

    assert blockade == Blockade(frozenset({A}), {A: ("gordo/a",)})


def test_all_wait_for_a_downstream_that_they_share_and_any_may_probe_it():
    blockade = blockade_of([B, A], {"sink/postgres": True}, downstreams, frozenset())

    assert blockade.blocked == {A, B}
    assert blockade.probes == {A: ("sink/postgres",), B: ("sink/postgres",)}


@pytest.mark.parametrize("prober", ["a", "b", "c"])
def test_while_one_probes_what_they_share_no_other_does(prober: str):
    blockade = blockade_of(groups("a", "b", "c"), {"sink/postgres": True}, downstreams, frozenset({a_group(prober)}))

    assert blockade == Blockade(frozenset(groups("a", "b", "c")), {})


def test_a_probe_elsewhere_prevents_no_probe():
    blockade = blockade_of([A, B], {"gordo/a": True, "gordo/b": True}, downstreams, frozenset({B}))

    assert blockade.probes == {A: ("gordo/a",)}


def test_a_probe_that_is_still_out_when_its_downstream_is_back_prevents_no_probe():
    blockade = blockade_of([A, B], {"gordo/a": True}, downstreams, frozenset({B, a_group("dropped")}))

    assert blockade.probes == {A: ("gordo/a",)}


def test_a_project_probes_once_all_that_it_needs_is_due():
    blockade = blockade_of([A, B], {"gordo/a": False, "sink/postgres": True}, downstreams, frozenset())

    assert blockade.blocked == {A, B}
    assert blockade.probes == {B: ("sink/postgres",)}


def test_a_source_blocks_the_models_that_are_read_from_it_and_no_others_of_their_project():
    both, one, other = a_group("a", "sensors/api", "sensors/influx"), a_group("a"), a_group("a", "sensors/api")

    blockade = blockade_of([both, one, other], {"sensors/influx": True}, downstreams, frozenset())

    assert blockade.blocked == {both, one}
    assert blockade.probes == {both: ("sensors/influx",), one: ("sensors/influx",)}


def test_what_needs_two_sources_that_are_unavailable_probes_both_at_once():
    both, one = a_group("a", "sensors/api", "sensors/influx"), a_group("a")
    unavailable = {"sensors/influx": True, "sensors/api": False}

    early = blockade_of([both, one], unavailable, downstreams, frozenset())
    later = blockade_of([both, one], unavailable | {"sensors/api": True}, downstreams, frozenset())

    assert early.probes == {one: ("sensors/influx",)}
    assert later.probes == {both: ("sensors/api", "sensors/influx"), one: ("sensors/influx",)}


# --- how many ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("configured", "settled", "most"),
    [(0, 0, 64), (0, 64, 64), (0, 700, 700), (0, 9000, 2000), (5, 9000, 5), (3000, 0, 3000)],
)
def test_two_minutes_of_throughput_may_be_out_within_bounds_unless_configured(configured: int, settled: int, most: int):
    assert most_outstanding(configured, settled) == most


# --- requests ---------------------------------------------------------------------------------------------------------


def requested(model_id: int, request: int) -> Need:
    need = a_need(model_id, windows={Lane.MANUAL: hole(model_id), Lane.LIVE: LIVE})
    return need._replace(request=request)


def test_only_what_is_planned_for_a_request_names_it():
    planned = taken(Agenda.of([requested(1, request=7)]), 10)

    assert [(each.lane, each.request) for each in planned] == [(Lane.LIVE, None), (Lane.MANUAL, 7)]


def test_no_more_is_taken_for_a_request_than_it_has_room_for_and_the_rest_stays():
    agenda = Agenda.of([requested(number, request=number % 2) for number in range(1, 7)])
    share = LaneShare(0.05)

    first = agenda.take(100, 100, share, {1: 1})
    second = agenda.take(100, 100, share, {1: 0})
    third = agenda.take(100, 100, share, {})

    counts = [Counter(each.request for each in taken if each.request is not None) for taken in (first, second, third)]
    assert counts == [{0: 3, 1: 1}, {}, {1: 2}]
    assert not agenda
