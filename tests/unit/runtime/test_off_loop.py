"""Work that would hold up the event loop is done in a thread, other work at once."""

import threading
from typing import Any

import pytest

from latigo.domain.errors import Rejected
from latigo.domain.model import ModelRef
from latigo.providers.gordo.catalogue import GordoCatalogue
from latigo.providers.gordo.metadata import model_spec
from latigo.providers.gordo.responses import Response, document
from latigo.runtime.off_loop import LARGE_DOCUMENT, off_loop


@pytest.mark.parametrize(("size", "in_thread"), [(0, False), (99, False), (100, True), (10**9, True)])
async def test_only_large_work_is_done_in_a_thread(size: int, in_thread: bool) -> None:
    assert (await off_loop(size, 100, threading.current_thread) is not threading.main_thread()) == in_thread


async def test_an_error_of_the_work_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await off_loop(100, 100, lambda: 1 // 0)


@pytest.mark.parametrize(("tags", "in_thread"), [(1, False), (100_000, True)])
async def test_metadata_with_many_tags_is_read_in_a_thread(
    monkeypatch: pytest.MonkeyPatch, tags: int, in_thread: bool
) -> None:
    threads = []

    class Client:
        async def get(self, *_: str, revision: str) -> Response:
            content = ",".join(f'"tag-{number}"' for number in range(tags))
            body = f'{{"metadata": {{"dataset": {{"tag_list": [{content}]}}, "metadata": {{}}}}}}'.encode()
            assert (len(body) >= LARGE_DOCUMENT) == in_thread
            return Response(200, "application/json", revision, body)

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
