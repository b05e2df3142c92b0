"""The sample of mutation testing, and its score."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from random import Random

import pytest

from benchmarks import mutation
from benchmarks.mutation import by_module, check, spread, states, table

RESULTS = """
    latigo.ledger.settling.x_decide__mutmut_1: killed
    latigo.ledger.settling.x_decide__mutmut_2: timeout
    latigo.ledger.settling.x_revise__mutmut_1: survived
    latigo.domain.coverage.xǁCoverageǁof__mutmut_1: not checked
    latigo.domain.coverage.xǁCoverageǁof__mutmut_2: no tests
    latigo.domain.coverage.xǁCoverageǁof__mutmut_3: killed
"""
NAMES = [f"latigo.{module}.x_f__mutmut_{number}" for module, size in (("a", 30), ("b", 6)) for number in range(size)]


def test_mutants_are_counted_by_module_and_those_that_hang_are_noticed():
    found = states(RESULTS.splitlines())
    modules = by_module(found, found.keys() - {"latigo.domain.coverage.xǁCoverageǁof__mutmut_1"})

    assert list(modules) == ["latigo.domain.coverage", "latigo.ledger.settling"]
    assert table(modules).splitlines()[2:] == [
        "| latigo.domain.coverage | 2 of 3 | 1 | 0 | 1 | 50 % |",
        "| latigo.ledger.settling | 3 of 3 | 2 | 1 | 0 | 67 % |",
        "| **all** | 5 of 6 | 3 | 1 | 1 | 60 % |",
    ]


def test_mutants_that_an_earlier_run_checked_are_not_counted():
    found = states(RESULTS.splitlines())
    modules = by_module(found, {"latigo.ledger.settling.x_revise__mutmut_1"})

    assert table(modules).splitlines()[2:] == [
        "| latigo.domain.coverage | 0 of 3 | 0 | 0 | 0 | - |",
        "| latigo.ledger.settling | 1 of 3 | 0 | 1 | 0 | 0 % |",
        "| **all** | 1 of 6 | 0 | 1 | 0 | 0 % |",
    ]


@pytest.mark.parametrize("seed", range(20))
def test_any_first_part_of_the_order_has_its_share_of_every_module(seed: int):
    order = spread(NAMES, Random(seed))

    assert sorted(order) == sorted(NAMES)
    for end in range(len(order) + 1):
        taken = Counter(name.split(".")[1] for name in order[:end])
        assert abs(taken["b"] - end / 6) <= 1


def test_a_seed_draws_the_same_mutants_again_and_another_one_others():
    assert spread(NAMES, Random(1)) == spread(reversed(NAMES), Random(1))
    assert spread(NAMES, Random(1))[:9] != spread(NAMES, Random(2))[:9]


class Mutmut:
    """Checks a mutant in a second, and takes a minute before the first one of a batch."""

    def __init__(self) -> None:
        self.now = 0.0
        self.batches: list[int] = []

    def monotonic(self) -> float:
        return self.now

    def run(self, names: Iterable[str], deadline: float, _: int) -> bool:
        self.batches.append(len(list(names)))
        self.now = min(self.now + 60 + self.batches[-1], deadline)
        return self.now < deadline


@pytest.fixture
def mutmut(monkeypatch: pytest.MonkeyPatch) -> Mutmut:
    mutmut = Mutmut()
    monkeypatch.setattr(mutation, "run", mutmut.run)
    monkeypatch.setattr(time, "monotonic", mutmut.monotonic)
    return mutmut


def numbered(count: int) -> Sequence[str]:
    return [f"latigo.a.x_f__mutmut_{number}" for number in range(count)]


def test_batches_grow_until_the_time_is_used(mutmut: Mutmut):
    order = numbered(9000)

    checked = check(order, 3600, children=2)

    assert checked == order[: len(checked)]
    assert len(checked) > 0.8 * 3600
    assert len(mutmut.batches) < 10


def test_a_batch_that_the_deadline_ends_is_not_counted(mutmut: Mutmut):
    assert check(numbered(9000), 99, children=2) == []
    assert mutmut.batches == [40]


def test_all_are_checked_where_there_is_time(mutmut: Mutmut):
    assert check(numbered(50), 3600, children=2) == numbered(50)
    assert mutmut.batches == [40, 10]
