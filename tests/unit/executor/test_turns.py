"""The order of calls: model by model, and no model waits too long."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.domain.model import ModelRef
from latigo.executor.turns import RUN, Turn, Turns

A, B, C = (ModelRef("plant", name) for name in "abc")
MODELS = [ModelRef("plant", str(number)) for number in range(12)]


@pytest.fixture(autouse=True)
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Futures need a loop, which need not run."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop
    asyncio.set_event_loop(None)
    loop.close()


def turn(model: ModelRef | None, *, live: bool = False) -> Turn:
    return Turn(model, asyncio.get_event_loop_policy().get_event_loop().create_future(), live)


def waiting(turns: Turns, *models: ModelRef | None, live: bool = False) -> list[Turn]:
    added = [turn(model, live=live) for model in models]
    for each in added:
        turns.add(each)
    return added


def called(turns: Turns, at_once: int = 1) -> list[ModelRef | None]:
    """The models in the order of their calls, so many at once; the oldest call ends first."""
    order: list[ModelRef | None] = []
    in_flight: list[ModelRef | None] = []
    while True:
        while len(in_flight) < at_once and (taken := turns.take()):
            order.append(taken.model)
            in_flight.append(taken.model)
        if not in_flight:
            return order
        turns.ended(in_flight.pop(0))


def loads(order: Sequence[ModelRef | None], kept: int) -> int:
    """How often a server that keeps so many models, the last used ones, has to load one."""
    memory: list[ModelRef | None] = []
    count = 0
    for model in order:
        count += model not in memory
        memory = [*(each for each in memory if each != model), model][-kept:]
    return count


def test_calls_of_different_models_keep_their_order() -> None:
    turns = Turns(2)
    waiting(turns, C, A, None, B)

    assert called(turns) == [C, A, None, B]


def test_a_model_goes_on_while_it_has_calls() -> None:
    turns = Turns(1)
    waiting(turns, A, B, A, C, A, B)

    assert called(turns) == [A, A, A, B, B, C]


def test_as_many_models_go_on_as_the_server_keeps() -> None:
    turns = Turns(2)
    waiting(turns, *[A, B, C] * 4)

    assert called(turns, at_once=2) == [A, B] * 4 + [C] * 4


def test_after_a_run_the_others_have_their_turn() -> None:
    turns = Turns(1)
    waiting(turns, A, B, *[A] * (RUN + 2))

    assert called(turns) == [*[A] * RUN, B, *[A] * 3]


def test_live_calls_wait_for_no_run() -> None:
    turns = Turns(1)
    waiting(turns, A, A, A)
    first = turns.take()
    waiting(turns, B, C, live=True)

    assert first is not None
    turns.ended(first.model)
    assert called(turns) == [B, C, A, A]


def test_a_model_has_one_call_at_a_time() -> None:
    turns = Turns(2)
    waiting(turns, A, A)

    first = turns.take()
    assert first is not None
    assert turns.take() is None
    turns.ended(first.model)
    assert turns.take() is not None


def test_a_call_that_was_cancelled_has_no_turn() -> None:
    turns = Turns(2)
    gone, stays = waiting(turns, A, B)
    gone.begins.cancel()

    assert turns.take() is stays
    turns.withdraw(gone)
    assert turns.take() is None


@given(st.lists(st.sampled_from(MODELS), max_size=80), st.integers(1, 4), st.integers(1, 4))
def test_every_call_has_its_turn_once(models: list[ModelRef], kept: int, at_once: int) -> None:
    turns = Turns(kept)
    waiting(turns, *models)

    assert sorted(called(turns, at_once), key=str) == sorted(models, key=str)


@given(st.lists(st.sampled_from(MODELS), max_size=80), st.integers(1, 4))
def test_no_call_waits_for_more_than_a_run_of_every_other_model(models: list[ModelRef], kept: int) -> None:
    turns = Turns(kept)
    waiting(turns, *models)
    order = called(turns, at_once=kept)

    for model in set(models):
        places = [-1, *(place for place, each in enumerate(order) if each == model)]
        others = len(set(models)) - 1
        assert all(after - before <= others * RUN + kept for before, after in pairwise(places))


def test_runs_of_many_models_are_loaded_once_each() -> None:
    turns = Turns(2)
    waiting(turns, *MODELS * RUN)

    assert loads(called(turns, at_once=2), kept=2) == len(MODELS)
