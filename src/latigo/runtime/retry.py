"""Retry policy for short outages, and back-off."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from latigo.runtime.log import get_logger

if TYPE_CHECKING:
    from tenacity import RetryCallState

_MOST_DOUBLINGS = 64  # beyond any sensible limit; 2**attempt would overflow a float
_log = get_logger(__name__)

T = TypeVar("T")


def backoff(attempt: int, first: timedelta, longest: timedelta, random: Callable[[], float]) -> timedelta:
    """Return the wait after a failed attempt: doubling from ``first`` up to ``longest``, then jitter.

    Args:
        attempt: number of failed attempts, from 1.
        first: the wait after the first failed attempt, before jitter.
        longest: no wait is longer.
        random: a number in [0, 1).

    Returns:
        Between half and all of the doubled wait, so that callers that failed together do not retry together.
    """
    if attempt < 1:
        raise ValueError(f"attempts are counted from 1, not {attempt}")
    seconds = min(first.total_seconds() * 2.0 ** min(attempt - 1, _MOST_DOUBLINGS), longest.total_seconds())
    return timedelta(seconds=seconds * (0.5 + random() / 2))


def short_outage(
    on: Callable[[BaseException], bool],
    *,
    attempts: int = 3,
    first: timedelta = timedelta(milliseconds=200),
    longest: timedelta = timedelta(seconds=2),
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    random: Callable[[], float] = random.random,
) -> Callable[[Callable[[], Awaitable[T]]], Awaitable[T]]:
    """Return a policy that retries for a moment; a longer outage is not for an adapter to wait out.

    ``await short_outage(is_connection_error)(fetch)``. The last error is raised as it is. An error that
    carries a ``retry_after`` longer than ``longest`` is raised at once, a shorter one is waited for.

    Args:
        on: whether an error is worth another attempt.
        attempts: maximum, the first one included.
        first: see `backoff`.
        longest: see `backoff`.
        sleep: takes seconds.
        random: a number in [0, 1).
    """

    def worth_it(error: BaseException) -> bool:
        return on(error) and _retry_after(error) <= longest

    def wait(state: "RetryCallState") -> float:
        requested = _retry_after(state.outcome.exception() if state.outcome else None)
        return max(backoff(state.attempt_number, first, longest, random), requested).total_seconds()

    async def call(work: Callable[[], Awaitable[T]]) -> T:
        # A policy costs more than the rest of a call that succeeds, so it is loaded and made for one that has failed.
        try:
            return await work()
        except Exception as error:
            if attempts < 2 or not worth_it(error):
                raise
            failed = [error]
        from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt  # noqa: PLC0415 - see above

        policy = AsyncRetrying(
            retry=retry_if_exception(worth_it),
            stop=stop_after_attempt(attempts),
            wait=wait,
            sleep=sleep,
            before_sleep=_log_retry,
            reraise=True,
        )

        async def again() -> T:
            if failed:
                raise failed.pop()
            return await work()

        return await policy(again)

    return call


def _retry_after(error: BaseException | None) -> timedelta:
    requested = getattr(error, "retry_after", None)
    return requested if isinstance(requested, timedelta) else timedelta(0)


def _log_retry(state: "RetryCallState") -> None:
    error = state.outcome.exception() if state.outcome else None
    _log.debug("call.failed", attempt=state.attempt_number, error=type(error).__name__, wait_s=state.upcoming_sleep)
