"""How long to wait, and what is tried again."""

from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.domain.errors import Unavailable
from latigo.runtime.retry import backoff, short_outage

FIRST, LONGEST = timedelta(seconds=30), timedelta(hours=1)


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 30), (2, 60), (3, 120), (7, 1920), (8, 3600), (10_000, 3600)])
def test_the_wait_doubles_up_to_the_longest(attempt: int, seconds: int) -> None:
    assert backoff(attempt, FIRST, LONGEST, lambda: 0.0) == timedelta(seconds=seconds) / 2
    assert backoff(attempt, FIRST, LONGEST, lambda: 0.5) == timedelta(seconds=seconds) * 0.75


@given(st.integers(1, 10**6), st.timedeltas(timedelta(0), LONGEST), st.integers())
def test_jitter_keeps_the_wait_between_half_and_all(attempt: int, first: timedelta, seed: int) -> None:
    full = min(first.total_seconds() * 2.0 ** min(attempt - 1, 100), LONGEST.total_seconds())

    wait = backoff(attempt, first, LONGEST, Random(seed).random).total_seconds()

    assert full / 2 - 1e-6 <= wait <= full + 1e-6


def test_attempts_are_counted_from_one() -> None:
    with pytest.raises(ValueError, match="counted from 1"):
        backoff(0, FIRST, LONGEST, lambda: 0.0)


class Flaky:
    """A function that fails with the given errors, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0
        self.slept: list[float] = []

    async def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def unavailable(retry_after: timedelta | None = None) -> Unavailable:
    return Unavailable("unavailable", downstream="x", retry_after=retry_after)


def is_unavailable(error: BaseException) -> bool:
    return isinstance(error, Unavailable)


async def test_a_call_that_succeeds_at_once_needs_no_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenacity.AsyncRetrying", None)

    assert await short_outage(is_unavailable)(Flaky()) == "answer"


async def test_a_short_outage_is_sat_out() -> None:
    system = Flaky(unavailable(), unavailable())

    answer: str = await short_outage(is_unavailable, sleep=system.sleep, random=lambda: 0.0)(system)

    assert answer == "answer"
    assert system.slept == [0.1, 0.2]


async def test_after_the_last_attempt_the_error_is_raised_as_it_is() -> None:
    last = unavailable()
    system = Flaky(unavailable(), last)

    with pytest.raises(Unavailable) as raised:
        await short_outage(is_unavailable, attempts=2, sleep=system.sleep)(system)

    assert raised.value is last
    assert system.calls == 2


async def test_what_is_not_worth_another_attempt_is_raised_at_once() -> None:
    system = Flaky(ValueError("no"))

    with pytest.raises(ValueError, match="no"):
        await short_outage(is_unavailable, sleep=system.sleep)(system)

    assert system.calls == 1


async def test_a_short_retry_after_is_waited_for() -> None:
    system = Flaky(unavailable(timedelta(seconds=1.5)))

    await short_outage(is_unavailable, sleep=system.sleep)(system)

    assert system.slept == [1.5]


async def test_a_long_retry_after_is_left_to_others() -> None:
    system = Flaky(unavailable(timedelta(seconds=60)))

    with pytest.raises(Unavailable):
        await short_outage(is_unavailable, sleep=system.sleep)(system)

    assert system.slept == []
