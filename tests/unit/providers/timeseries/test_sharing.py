"""Requests that tasks share: when they are sent, what they hold, and how what is refused in them is isolated."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.domain.errors import TooLarge, Unavailable
from latigo.providers.timeseries import sharing
from latigo.providers.timeseries.client import ApiRefused, ForbiddenError
from latigo.providers.timeseries.sharing import PROBES, Bounds, Refusal, Savings, Sharing
from latigo.runtime.in_progress import InProgress

BOUNDS = Bounds(items=10, weight=100.0, requests=2)
FORBIDDEN = ForbiddenError("status 403", downstream="api", alarm=True)
UNKNOWN = ApiRefused(404, "status 404")


@pytest.fixture(autouse=True)
def only_for_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a request wait for tasks in progress alone, not for time to pass."""
    monkeypatch.setattr(sharing, "JOIN", timedelta(hours=1))


class Api:
    """Takes requests, and lets through what nothing forbids."""

    def __init__(
        self,
        refused: Mapping[int, Refusal] | None = None,
        *,
        largest: int = 10**6,
        tasks: InProgress | None = None,
        others_pass: bool = False,
        bounds: Bounds = BOUNDS,
    ) -> None:
        self.refused = dict(refused or {})
        self.largest = largest
        self.requests: list[Sequence[int]] = []
        self.savings = Savings()
        self.others_pass = others_pass
        self.asked_of_others = 0
        self.sharing: Sharing[int, str] = Sharing(
            self.send,
            lambda _: 1.0,
            bounds,
            "api",
            tasks=tasks,
            others_pass=self.see_others,
            savings=self.savings,
        )

    async def send(self, items: Sequence[int]) -> Mapping[int, str]:
        self.requests.append(list(items))
        await asyncio.sleep(0)
        if len(items) > self.largest:
            raise TooLarge("the answer is too large")
        for item in items:
            if item in self.refused:
                raise self.refused[item]
        return {item: f"result of {item}" for item in items}

    async def see_others(self) -> bool:
        self.asked_of_others += 1
        return self.others_pass


async def test_a_caller_without_others_waits_for_nothing() -> None:
    api = Api()

    async with asyncio.timeout(30):
        assert await api.sharing.ask([1, 2, 1]) == {1: "result of 1", 2: "result of 2"}

    assert api.requests == [[1, 2]]


async def test_a_request_is_sent_as_soon_as_every_task_in_progress_waits() -> None:
    tasks = InProgress()
    for _ in range(3):
        tasks.begin()
    api = Api(tasks=tasks)
    first = asyncio.create_task(api.sharing.ask([1]))
    second = asyncio.create_task(api.sharing.ask([2]))
    for _ in range(10):
        await asyncio.sleep(0)
    assert api.requests == []

    third = asyncio.create_task(api.sharing.ask([2, 3]))
    await asyncio.gather(first, second, third)

    assert api.requests == [[1, 2, 3]]
    assert (api.savings.saved_requests(), api.savings.saved_reads()) == (2, 1)


async def test_a_request_is_sent_when_the_last_task_that_could_join_has_ended() -> None:
    tasks = InProgress()
    tasks.begin()
    tasks.begin()
    api = Api(tasks=tasks)
    waiting = asyncio.create_task(api.sharing.ask([1]))
    for _ in range(10):
        await asyncio.sleep(0)
    assert api.requests == []

    tasks.end()

    async with asyncio.timeout(30):
        assert await waiting == {1: "result of 1"}


async def test_a_request_that_no_task_joins_is_sent_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "JOIN", timedelta(milliseconds=1))
    tasks = InProgress()
    tasks.begin()
    tasks.begin()
    api = Api(tasks=tasks)

    async with asyncio.timeout(30):
        assert await api.sharing.ask([1]) == {1: "result of 1"}


async def test_what_a_request_cannot_hold_goes_with_the_next_one() -> None:
    api = Api()

    answers = await asyncio.gather(*(api.sharing.ask(range(first, first + 4)) for first in range(0, 24, 4)))

    assert [len(request) for request in api.requests] == [10, 10, 4]
    assert {item for answer in answers for item in answer} == set(range(24))


async def test_a_caller_that_is_cancelled_takes_its_items_with_it_and_no_others() -> None:
    tasks = InProgress()
    for _ in range(3):
        tasks.begin()
    api = Api(tasks=tasks)
    leaves = asyncio.create_task(api.sharing.ask([1, 2]))
    stays = asyncio.create_task(api.sharing.ask([2, 3]))
    await asyncio.sleep(0)

    leaves.cancel()
    await asyncio.gather(leaves, return_exceptions=True)
    tasks.end()
    tasks.end()

    assert await stays == {2: "result of 2", 3: "result of 3"}
    assert api.requests == [[2, 3]]


@given(st.integers(1, 40), st.sets(st.integers(0, 39)))
def test_each_item_that_is_refused_is_known_and_no_other(count: int, refused: set[int]) -> None:
    async def run() -> None:
        api = Api(dict.fromkeys(refused, UNKNOWN), bounds=Bounds(40, 100.0, 2))
        answers = await api.sharing.ask(range(count))
        assert {item for item, answer in answers.items() if answer is UNKNOWN} == refused & set(range(count))
        assert len(api.requests) < 2 * count

    asyncio.run(run())


@given(st.integers(1, 40), st.sets(st.integers(0, 39), max_size=8))
def test_items_that_are_forbidden_fail_no_other_that_can_be_read(count: int, refused: set[int]) -> None:
    async def run() -> None:
        api = Api(dict.fromkeys(refused, FORBIDDEN), others_pass=True, bounds=Bounds(40, 100.0, 2))
        answers = await api.sharing.ask(range(count))
        assert {item for item, answer in answers.items() if answer is FORBIDDEN} == refused & set(range(count))

    asyncio.run(run())


async def test_a_few_forbidden_items_among_many_fail_no_other_although_nothing_is_known_of_others() -> None:
    api = Api({3: FORBIDDEN, 33: FORBIDDEN}, bounds=Bounds(40, 100.0, 2))  # in both halves

    answers = await api.sharing.ask(range(40))

    assert [item for item, answer in answers.items() if answer is FORBIDDEN] == [3, 33]


@pytest.mark.parametrize("count", [1, 2, PROBES, PROBES + 1, 100])
async def test_an_identity_without_any_right_is_known_after_few_requests(count: int) -> None:
    api = Api(dict.fromkeys(range(count), FORBIDDEN), bounds=Bounds(100, 1000.0, 2))

    with pytest.raises(Unavailable, match="403") as raised:
        await api.sharing.ask(range(count))

    assert raised.value.alarm
    assert len(api.requests) <= 3 + max(PROBES, 2 * PROBES - 2)


async def test_many_forbidden_items_are_each_known_while_others_can_be_read() -> None:
    api = Api(dict.fromkeys(range(20), FORBIDDEN), others_pass=True, bounds=Bounds(100, 1000.0, 2))

    assert await api.sharing.ask(range(20)) == dict.fromkeys(range(20), FORBIDDEN)


async def test_an_answer_that_is_too_large_comes_in_parts() -> None:
    api = Api(largest=3)

    assert len(await api.sharing.ask(range(8))) == 8
    assert [len(request) for request in api.requests] == [8, 4, 4, 2, 2, 2, 2]


async def test_an_item_that_is_too_large_by_itself_is_the_callers() -> None:
    api = Api(largest=0)

    with pytest.raises(TooLarge):
        await api.sharing.ask([1, 2])
