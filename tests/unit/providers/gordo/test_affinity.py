"""Laws of the choice of a server for each model."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.providers.gordo.affinity import LARGEST_SHARE, assign, ranked

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
MODELS = st.sets(NAMES, max_size=60)
SERVERS = st.lists(NAMES, min_size=1, max_size=8, unique=True)
#: Enough for shares to be even by chance, within some percent.
MANY = [f"plant/model-{number}" for number in range(3000)]
FEW = [f"10.0.0.{number}:5555" for number in range(10)]


@given(NAMES, SERVERS)
def test_every_server_has_one_place_in_the_order_of_a_model(model: str, servers: list[str]) -> None:
    assert sorted(ranked(model, servers)) == sorted(servers)


@given(NAMES, SERVERS, st.randoms())
def test_the_order_does_not_depend_on_that_of_the_servers(model: str, servers: list[str], random: object) -> None:
    shuffled = list(servers)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    assert ranked(model, shuffled) == ranked(model, servers)


@given(NAMES, SERVERS)
def test_without_a_server_the_others_keep_their_order(model: str, servers: list[str]) -> None:
    first, *others = ranked(model, servers)

    assert ranked(model, [server for server in servers if server != first]) == others


@given(MODELS, SERVERS)
def test_every_model_has_a_server_and_no_share_is_too_large(models: set[str], servers: list[str]) -> None:
    assigned = assign(models, servers)

    mean = len(models) / len(servers)
    assert assigned.keys() == models
    assert set(assigned.values()) <= set(servers)
    assert max(Counter(assigned.values()).values(), default=0) <= max(math.ceil(mean), LARGEST_SHARE * mean)


@given(MODELS, SERVERS)
def test_every_process_comes_to_the_same_result(models: set[str], servers: list[str]) -> None:
    assert assign(sorted(models), servers) == assign(sorted(models, reverse=True), servers[::-1])


@given(MODELS)
def test_without_servers_nothing_is_assigned(models: set[str]) -> None:
    assert assign(models, []) == {}


def test_most_models_have_the_first_server_in_their_order() -> None:
    assigned = assign(MANY, FEW)

    assert sum(server == ranked(model, FEW)[0] for model, server in assigned.items()) > 0.95 * len(MANY)


@pytest.mark.parametrize("gone", [FEW[0], FEW[5], FEW[-1]])
def test_when_a_server_goes_or_comes_few_models_move_but_its_own(gone: str) -> None:
    before, after = assign(MANY, FEW), assign(MANY, [server for server in FEW if server != gone])

    moved = [model for model in MANY if before[model] not in {gone, after[model]}]
    assert len(moved) < 0.02 * len(MANY)
