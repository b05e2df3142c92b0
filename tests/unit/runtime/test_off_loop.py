"""Work that would hold up the event loop is done in a thread, other work at once."""

import threading
from typing import Any
from unittest.mock import patch

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.domain.errors import Reason, Rejected, Unavailable
from latigo.domain.model import ModelRef
from latigo.providers.gordo.catalogue import GordoCatalogue
from latigo.providers.gordo.metadata import model_spec
from latigo.providers.gordo.responses import Response, document
from latigo.runtime.documents import MOST_VALUES
from latigo.runtime.off_loop import LARGE_DOCUMENT, in_order, off_loop, taken_out
from latigo.runtime.redaction import redact_within


@pytest.mark.parametrize(("size", "in_thread"), [(0, False), (99, False), (100, True), (10**9, True)])
async def test_only_large_work_is_done_in_a_thread(size: int, in_thread: bool) -> None:
    assert (await off_loop(size, 100, threading.current_thread) is not threading.main_thread()) == in_thread


async def test_an_error_of_the_work_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await off_loop(100, 100, lambda: 1 // 0)


@given(st.lists(st.integers()))
def test_items_are_taken_out_in_order_one_by_one(items: list[int]) -> None:
    left = items.copy()

    taken = [(item, len(left)) for item in taken_out(left)]

    assert [item for item, _ in taken] == items
    assert [still for _, still in taken] == list(reversed(range(len(items))))


@given(st.lists(st.text(max_size=2)), st.integers(1, 4))
def test_texts_are_sorted_each_once_however_few_are_sorted_at_once(texts: list[str], at_once: int) -> None:
    with patch("latigo.runtime.off_loop._SORTED_AT_ONCE", at_once):
        assert in_order(texts) == sorted(set(texts))


def test_many_texts_are_never_sorted_in_one_piece() -> None:
    sizes = []

    def recorded(texts: list[str]) -> list[str]:
        sizes.append(len(texts))
        return sorted(texts)

    with patch("latigo.runtime.off_loop.sorted", recorded, create=True):
        in_order([str(number) for number in range(25_000)])

    assert sizes == [10_000, 10_000, 5_000]


@pytest.mark.parametrize(("tags", "in_thread"), [(1, False), (100_000, True)])
async def test_metadata_with_many_tags_is_read_in_a_thread(
    monkeypatch: pytest.MonkeyPatch, tags: int, in_thread: bool
) -> None:
    threads = []

    class Client:
        async def get(self, *_: str, revision: str, **_options: str) -> Response:
            content = ",".join(f'"tag-{number}"' for number in range(tags))
            body = f'{{"metadata": {{"dataset": {{"tag_list": [{content}]}}, "metadata": {{}}}}}}'.encode()
            assert (len(body) >= LARGE_DOCUMENT) == in_thread
            return Response(200, "application/json", revision, bytearray(body))

    def recorded(work):
        def run(*arguments, **options):
            threads.append(threading.current_thread())
            return work(*arguments, **options)

        return run

    monkeypatch.setattr("latigo.providers.gordo.catalogue.document", recorded(document))
    monkeypatch.setattr("latigo.providers.gordo.catalogue.model_spec", recorded(model_spec))
    client: Any = Client()
    read = GordoCatalogue(client).get_model_spec(ModelRef("a", "b"), "1")
    if in_thread:
        with pytest.raises(Rejected, match="100000 tags, more than 20000"):
            await read
    else:
        await read

    assert [thread is not threading.main_thread() for thread in threads] == [in_thread] * 2


@pytest.mark.parametrize(("notes", "in_thread"), [(1, False), (10_000, True)])
async def test_metadata_with_many_texts_is_redacted_in_a_thread(
    monkeypatch: pytest.MonkeyPatch, notes: int, in_thread: bool
) -> None:
    threads = []
    answers = {
        "revisions": {"latest": "1"},
        "models": {"models": ["b"]},
        "metadata": {"metadata": {"dataset": {"tag_list": ["a"]}, "metadata": {}, "notes": ["a=password"] * notes}},
    }

    class Client:
        async def get(self, _: str, *path: str, revision: str | None, **_options: str) -> Response:
            return Response(200, "application/json", revision or "1", bytearray(orjson.dumps(answers[path[-1]])))

    def recorded(content: Any) -> Any:
        threads.append(threading.current_thread())
        return redact_within(content)

    monkeypatch.setattr("latigo.providers.gordo.catalogue.redact_within", recorded)
    client: Any = Client()
    status = await GordoCatalogue(client).describe(ModelRef("a", "b"))

    assert status.metadata == redact_within(answers["metadata"])
    assert [thread is not threading.main_thread() for thread in threads] == [in_thread]


async def test_metadata_with_more_values_than_are_read_parks_its_model_only() -> None:
    with pytest.raises(Rejected, match="metadata of a/b in revision 1: a document of more than") as raised:
        await GordoCatalogue(beyond_all_limits()).get_model_spec(ModelRef("a", "b"), "1")

    assert (raised.value.reason, raised.value.whole_model) == (Reason.BAD_METADATA, True)


async def test_a_list_with_more_values_than_are_read_is_an_outage_of_its_project() -> None:
    (listed,) = await GordoCatalogue(beyond_all_limits()).get_model_list(["a"])

    assert isinstance(listed.error, Unavailable)
    assert "revisions of a: a document of more than" in str(listed.error)


def beyond_all_limits() -> Any:
    class Client:
        async def get(self, *_: str, revision: str | None, **_options: str) -> Response:
            return Response(200, "application/json", revision or "1", bytearray(b"[" + b"0," * MOST_VALUES + b"0]"))

    return Client()
