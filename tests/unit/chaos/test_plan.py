"""The steps of a campaign follow from its seed."""

import pytest

from chaos.network import SOUND, Link
from chaos.plan import Action, Shape, Step, plan

SYSTEMS = ("postgres", "hub", "gordo")
SHAPE = Shape(
    schedulers=("scheduler-1", "scheduler-2"),
    executors=("executor-1", "executor-2"),
    systems=SYSTEMS,
    links=[Link(client, system) for client in ("scheduler-1", "executor-1") for system in SYSTEMS],
    lease=4.0,
)
SECONDS = 1200.0


def test_the_same_seed_draws_the_same_steps_and_another_one_others():
    assert plan(7, SECONDS, SHAPE) == plan(7, SECONDS, SHAPE)
    assert plan(7, SECONDS, SHAPE) != plan(8, SECONDS, SHAPE)


@pytest.mark.parametrize("seed", range(5))
def test_every_step_is_over_at_the_end_and_steps_are_in_order(seed: int):
    steps = plan(seed, SECONDS, SHAPE)

    assert [step.at for step in steps] == sorted(step.at for step in steps)
    assert all(step.at + step.lasting <= SECONDS for step in steps if step.action is not Action.DEPLOY)


@pytest.mark.parametrize("seed", range(5))
def test_a_party_or_link_suffers_one_thing_at_a_time(seed: int):
    until: dict[object, float] = {}
    for step in plan(seed, SECONDS, SHAPE):
        about = about_what(step)
        assert until.get(about, 0.0) <= step.at, step
        until[about] = step.at + step.lasting


def test_everything_happens_to_every_party_and_link():
    steps = plan(1, 10 * SECONDS, SHAPE)

    assert {step.action for step in steps} == set(Action)
    for action in (Action.KILL, Action.STOP, Action.FREEZE):
        assert {step.target for step in steps if step.action is action} == set(SHAPE.parties)
    assert {step.link for step in steps if step.link} == set(SHAPE.links)
    assert all(step.condition != SOUND for step in steps if step.link)


def test_executors_and_schedulers_are_frozen_for_longer_than_a_lease():
    frozen = [step for step in plan(2, 10 * SECONDS, SHAPE) if step.action is Action.FREEZE]

    assert frozen
    assert all(step.lasting > SHAPE.lease for step in frozen if step.target not in SYSTEMS)


def test_an_executor_that_wakes_up_may_write_to_influxdb_before_it_can_ask_the_ledger():
    systems = (*SYSTEMS, "influx")
    links = [*SHAPE.links, Link("executor-1", "influx")]
    steps = plan(3, 10 * SECONDS, Shape(SHAPE.schedulers, SHAPE.executors, systems, links, SHAPE.lease))
    frozen = {step.at: step for step in steps if step.action is Action.FREEZE and step.target == "executor-1"}
    ledger = Link("executor-1", "postgres")

    cut = [step for step in steps if step.link == ledger and step.at in frozen]

    assert cut
    assert all(step.action is Action.CUT and step.lasting > frozen[step.at].lasting for step in cut)
    assert not [step for step in plan(3, 10 * SECONDS, SHAPE) if step.link == ledger and step.at in frozen]


@pytest.mark.parametrize("seed", range(3))
def test_with_influxdb_as_well_a_party_or_link_suffers_one_thing_at_a_time(seed: int):
    links = [*SHAPE.links, Link("executor-1", "influx")]
    shape = Shape(SHAPE.schedulers, SHAPE.executors, (*SYSTEMS, "influx"), links, SHAPE.lease)
    until: dict[object, float] = {}

    for step in plan(seed, SECONDS, shape):
        about = about_what(step)
        assert until.get(about, 0.0) <= step.at, step
        until[about] = step.at + step.lasting
        assert step.action is Action.DEPLOY or step.at + step.lasting <= SECONDS


def test_a_campaign_without_links_leaves_them_alone():
    shape = Shape(SHAPE.schedulers, SHAPE.executors, SYSTEMS, (), SHAPE.lease)

    assert plan(1, SECONDS, shape)
    assert not [step for step in plan(1, SECONDS, shape) if step.link]


def about_what(step: Step) -> object:
    return step.link or (step.target, step.action is Action.TROUBLE) if step.action is not Action.DEPLOY else step
