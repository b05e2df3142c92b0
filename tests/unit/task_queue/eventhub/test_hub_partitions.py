"""Partitions of a hub."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.domain.model import ModelRef
from latigo.task_queue.eventhub.partitions import Partition, partition_of


@given(st.text(max_size=20), st.text(max_size=20), st.integers(1, 2048))
def test_a_model_always_goes_to_the_same_partition_of_those_there_are(project: str, name: str, count: int):
    result = partition_of(ModelRef(project, name), count)

    assert 0 <= result < count
    assert partition_of(ModelRef(project, name), count) == result


def test_the_partition_of_a_model_is_no_matter_of_version_or_machine():
    # blake2b("plant-a/pump-1", 8 bytes) read as a big-endian number, by b2sum -l 64
    assert partition_of(ModelRef("plant-a", "pump-1"), 2**64) == 0x97EC372D24E3B98E


def test_models_spread_evenly():
    counts = Counter(partition_of(ModelRef("plant", f"pump-{number}"), 8) for number in range(8000))

    assert set(counts) == set(range(8))
    assert 900 < min(counts.values()) <= max(counts.values()) < 1100


@pytest.mark.parametrize(
    ("partition", "received", "expected"),
    [
        (Partition("0", begin=0, last=9, is_empty=False), None, -1),
        (Partition("0", begin=0, last=9, is_empty=False), 4, 4),
        (Partition("0", begin=7, last=9, is_empty=False), 4, 6),
        (Partition("0", begin=7, last=9, is_empty=False), None, 6),
        (Partition("0", begin=10, last=9, is_empty=True), 4, 9),
        (Partition("0", begin=-1, last=-1, is_empty=True), None, -1),
    ],
    ids=[
        "nothing yet",
        "some",
        "the hub has dropped more",
        "dropped before anything came",
        "all dropped",
        "never used",
    ],
)
def test_what_will_never_come_any_more_has_passed(partition: Partition, received: int | None, expected: int):
    assert partition.passed(received) == expected


@given(st.integers(-1, 99), st.none() | st.integers(0, 99))
def test_a_partition_is_behind_when_more_came_out_than_it_ever_held(last: int, received: int | None):
    partition = Partition("0", 0, last, is_empty=last < 0)

    assert partition.is_behind(received) == (received is not None and received > last)
