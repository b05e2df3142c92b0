"""What the client library does not notice by itself."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from latigo.task_queue.eventhub.partitions import Partition
from latigo.task_queue.eventhub.watchdog import Observation, Verdict, Watchdog


def a_watchdog() -> Watchdog:
    return Watchdog(
        unreachable_after=timedelta(seconds=180),
        stuck_after=timedelta(seconds=120),
        unbalanced_after=timedelta(seconds=150),
        now=0,
    )


def looks(watchdog: Watchdog, seen: list[Observation], now: float) -> Verdict:
    """Return its verdict while the client balances its partitions."""
    return watchdog.answered(seen, now, now)


def seen(last: int, received: int, *, name: str = "0", is_blocked: bool = False, begin: int = 0) -> Observation:
    return Observation(Partition(name, begin, last, is_empty=begin > last), received, is_blocked)


def test_a_hub_is_unavailable_once_it_has_not_answered_for_long():
    watchdog = a_watchdog()

    assert [watchdog.unanswered(now) for now in (30, 170, 181)] == [Verdict.FINE, Verdict.FINE, Verdict.UNREACHABLE]


def test_every_answer_counts_anew():
    watchdog = a_watchdog()

    watchdog.unanswered(170)
    looks(watchdog, [], 175)

    assert watchdog.unanswered(350) is Verdict.FINE
    assert watchdog.unanswered(355) is Verdict.UNREACHABLE


def test_a_partition_is_stuck_when_events_have_waited_for_long_and_nothing_came():
    watchdog = a_watchdog()

    verdicts = [looks(watchdog, [seen(last, 5)], now) for last, now in ((9, 1000), (12, 1060), (12, 1120))]

    assert verdicts == [Verdict.FINE, Verdict.FINE, Verdict.STUCK]
    assert watchdog.stuck(1120) == ["0"]


def test_a_quiet_partition_is_not_stuck_the_moment_its_next_event_arrives():
    watchdog = a_watchdog()

    looks(watchdog, [seen(5, 5)], 0)

    assert looks(watchdog, [seen(6, 5)], 5000) is Verdict.FINE


def test_a_partition_that_moves_is_not_stuck_however_far_behind_it_is():
    watchdog = a_watchdog()

    assert {looks(watchdog, [seen(10_000, now)], now) for now in range(0, 2000, 60)} == {Verdict.FINE}


def test_a_partition_whose_event_waits_for_us_is_not_stuck():
    watchdog = a_watchdog()

    assert {looks(watchdog, [seen(9, 5, is_blocked=True)], now) for now in range(0, 2000, 60)} == {Verdict.FINE}


def test_events_that_the_hub_has_dropped_by_age_are_not_waited_for():
    watchdog = a_watchdog()

    assert {looks(watchdog, [seen(9, -1, begin=10)], now) for now in range(0, 2000, 60)} == {Verdict.FINE}


def test_a_client_that_does_not_list_ownership_is_stuck_even_if_the_hub_has_nothing_for_it():
    watchdog = a_watchdog()

    verdicts = [watchdog.answered([], 60, now) for now in (60, 200, 209, 210)]

    assert verdicts == [Verdict.FINE, Verdict.FINE, Verdict.FINE, Verdict.STUCK]


def test_while_the_hub_is_unavailable_a_client_that_cannot_list_ownership_is_not_stuck():
    watchdog = a_watchdog()

    assert [watchdog.unanswered(now) for now in (160, 180)] == [Verdict.FINE, Verdict.UNREACHABLE]


def test_another_hub_is_noticed_at_once():
    assert looks(a_watchdog(), [seen(4, 4, name="0"), seen(3, 4, name="1")], 1) is Verdict.RECREATED


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 3), st.booleans()), max_size=40))
def test_only_a_partition_that_was_behind_without_a_reason_all_the_time_is_stuck(steps: list[tuple[int, int, bool]]):
    watchdog = a_watchdog()
    now, received, since = 0, 0, None

    for passed, step, is_blocked in steps:
        now, received = now + passed, received + step
        verdict = looks(watchdog, [seen(1000, received, is_blocked=is_blocked)], now)

        since = now if step and not is_blocked else None if is_blocked else since if since is not None else now
        assert (verdict is Verdict.STUCK) == (since is not None and now - since >= 120)
        if verdict is Verdict.STUCK:
            break
