"""Campaigns and soaks run on both task queues unless one is named, and pass when both do."""

import argparse

import pytest

from chaos.queues import add_queue_argument, run_on_each


class Runs:
    """Runs that find what they are given."""

    def __init__(self, **faults: list[str]) -> None:
        self.faults = faults
        self.queues: list[str] = []
        self.said: list[str] = []

    def __call__(self, queue: str) -> list[str]:
        self.queues.append(queue)
        return self.faults.get(queue, [])


def _queue(*arguments: str) -> str | None:
    parser = argparse.ArgumentParser()
    add_queue_argument(parser)
    queue: str | None = parser.parse_args(arguments).queue
    return queue


@pytest.mark.parametrize(
    ("arguments", "queues"),
    [
        ((), ["eventhub", "postgres"]),
        (("--queue", "postgres"), ["postgres"]),
        (("--queue", "eventhub"), ["eventhub"]),
    ],
)
def test_both_queues_have_a_run_unless_one_is_named(arguments: tuple[str, ...], queues: list[str]):
    runs = Runs()

    passed = run_on_each(_queue(*arguments), runs, runs.said.append)

    assert passed
    assert runs.queues == queues
    assert runs.said == [f"queue {queue}: passed" for queue in queues]


@pytest.mark.parametrize("failing", ["eventhub", "postgres"])
def test_a_run_that_ends_with_an_error_is_a_fault_and_the_other_queue_has_its_run(failing: str):
    queues, said = list[str](), list[str]()

    def run(queue: str) -> list[str]:
        queues.append(queue)
        if queue == failing:
            raise RuntimeError("no process started")
        return []

    passed = run_on_each(None, run, said.append)

    assert not passed
    assert queues == ["eventhub", "postgres"]
    assert f"queue {failing}: failed, 1 fault" in said
    assert any("RuntimeError: no process started" in line for line in said)


@pytest.mark.parametrize("failing", ["eventhub", "postgres"])
def test_one_queue_that_fails_is_enough_and_the_other_has_its_run_all_the_same(failing: str):
    runs = Runs(**{failing: ["lost: a slot", "wrong: a value"]})

    passed = run_on_each(None, runs, runs.said.append)

    assert not passed
    assert runs.queues == ["eventhub", "postgres"]
    assert f"queue {failing}: failed, 2 faults" in runs.said
