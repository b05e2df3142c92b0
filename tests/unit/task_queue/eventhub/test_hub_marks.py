"""Up to when a partition is drained: what was published to it before is done with or lost."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from latigo.task_queue.eventhub.lag import Mark, next_mark
from latigo.task_queue.eventhub.partitions import Partition

START = datetime(2026, 3, 1, tzinfo=UTC)


def at(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


def a_partition(last: int, begin: int = 0) -> Partition:
    return Partition("0", begin, last, is_empty=begin > last)


def test_the_first_reading_is_a_mark_and_says_nothing_yet():
    assert next_mark(None, None, a_partition(7), 3, at(1)) == (Mark(7, at(1)), None)


def test_a_mark_is_kept_until_the_checkpoint_has_passed_it():
    mark = Mark(7, at(1))

    assert next_mark(mark, None, a_partition(20), 6, at(2)) == (mark, None)
    assert next_mark(mark, None, a_partition(20), None, at(2)) == (mark, None)


def test_when_it_has_passed_the_partition_is_drained_to_the_time_of_the_mark():
    assert next_mark(Mark(7, at(1)), None, a_partition(20), 7, at(9)) == (Mark(20, at(9)), at(1))


def test_a_partition_in_which_nothing_ever_was_is_drained():
    assert next_mark(Mark(-1, at(1)), None, a_partition(-1), None, at(2)) == (Mark(-1, at(2)), at(1))


def test_events_that_the_hub_has_dropped_by_age_have_passed():
    assert next_mark(Mark(7, at(1)), None, a_partition(20, begin=8), 3, at(2)) == (Mark(20, at(2)), at(1))
    assert next_mark(Mark(7, at(1)), None, a_partition(20, begin=21), 3, at(2)) == (Mark(20, at(2)), at(1))


def test_nothing_follows_from_the_checkpoints_of_a_hub_that_is_gone():
    assert next_mark(Mark(7, at(1)), at(0), a_partition(4), 7, at(2)) == (None, at(0))


def test_a_mark_of_a_hub_that_is_gone_is_taken_anew():
    assert next_mark(Mark(7, at(1)), at(0), a_partition(4), None, at(2)) == (Mark(4, at(2)), at(0))


@given(st.lists(st.tuples(st.sampled_from(["publish", "work", "look"]), st.integers(1, 5)), max_size=60))
def test_nothing_that_was_published_before_the_drained_time_is_still_to_come(steps: list[tuple[str, int]]):
    published: list[datetime] = []
    worked, now = 0, 0
    mark, drained_to = None, None

    for step, number in steps:
        now += 1
        if step == "publish":
            published += [at(now)] * number
        elif step == "work":
            worked = min(worked + number, len(published))
        else:
            checkpoint = worked - 1 if worked else None
            known_at, now = at(now), now + 1
            published.append(at(now))  # something arrives between the time and the reading
            partition = a_partition(len(published) - 1)
            mark, drained_to = next_mark(mark, drained_to, partition, checkpoint, known_at)

        if drained_to is not None:
            assert all(each >= drained_to for each in published[worked:])
