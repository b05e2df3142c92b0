"""Round robin, against which the affinity of models to servers is measured."""

from benchmarks.affinity import CACHED, MODELS, SERVERS
from benchmarks.executor_program import RoundRobin
from latigo.domain.model import ModelRef
from latigo.providers.gordo.affinity import assign

NAMES = [f"server-{number}" for number in range(SERVERS)]
ORDER = [ModelRef("plant-a", f"model-{number:02d}") for number in range(MODELS)]


def test_each_call_goes_to_the_next_server_and_falls_back_to_the_others():
    servers = RoundRobin(lambda: ["b", "c", "a"])

    orders = [servers(ORDER[0]) for _ in range(4)]

    assert orders == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"], ["a", "b", "c"]]


def test_a_model_has_another_server_in_each_wave():
    servers = RoundRobin(lambda: NAMES)

    waves = [{model: servers(model)[0] for model in ORDER} for _ in range(SERVERS)]

    assert all({wave[model] for wave in waves} == set(NAMES) for model in ORDER)


def test_servers_keep_their_share_of_models_with_affinity_and_not_all_models():
    assigned = assign([str(model) for model in ORDER], NAMES)

    shares = [list(assigned.values()).count(name) for name in NAMES]
    assert max(shares) <= CACHED < MODELS
