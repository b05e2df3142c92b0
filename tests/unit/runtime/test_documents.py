"""JSON from others: what is long is read so that other threads get their turns, and what is too long not at all."""

import gc
import json
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.runtime import documents
from latigo.runtime.documents import LARGEST, MOST_VALUES, DocumentTooLarge, read_json
from latigo.runtime.off_loop import LARGE_DOCUMENT

METADATA = Path(__file__).parents[2] / "data/gordo_recorded/responses/metadata-wide-keras.json"
ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
IN_PIECES = {
    "texts": (lambda: [f"model-{number}" for number in range(100_000)]),
    "numbers": (lambda: [number / 2 for number in range(100_000)]),
    "keys": (lambda: {f"tag-{number}": number for number in range(100_000)}),
    "arrays": (lambda: [[] for _ in range(100_000)]),
    "objects": (lambda: [{"a": {}} for _ in range(20_000)]),
    "bytes": (lambda: ["x" * 100_000 for _ in range(30)]),
}


@contextmanager
def parsers_in_c() -> Iterator[list[bytes]]:
    """Record what is given to them."""
    given: list[bytes] = []

    def recorded(loads: Callable[..., Any]) -> Callable[..., Any]:
        def load(body: bytes, **options: Any) -> Any:
            given.append(body)
            return loads(body, **options)

        return load

    with (
        patch.object(orjson, "loads", recorded(orjson.loads)),
        patch.object(json, "loads", recorded(json.loads)),
    ):
        yield given


@contextmanager
def everything_in_pieces() -> Iterator[None]:
    with patch.multiple(documents, LARGE_DOCUMENT=0, _FEW_VALUES=-1), parsers_in_c() as given:
        yield
    assert not given


@given(ANY)
def test_a_document_reads_the_same_in_pieces(value: Any) -> None:
    with everything_in_pieces():
        assert read_json(json.dumps(value).encode()) == value
        assert read_json(json.dumps(value, ensure_ascii=False, indent=1).encode(errors="surrogatepass")) == value


@given(st.binary(max_size=40) | st.text(' {}[]":,\\tfn019.-e', max_size=12).map(str.encode))
def test_what_is_no_json_is_refused_in_pieces_as_well(body: bytes) -> None:
    def outcome() -> str:
        try:
            return repr(read_json(body, minus_zero=True))
        except ValueError:
            return "refused"

    at_once = outcome()
    with everything_in_pieces():
        assert outcome() == at_once


@pytest.mark.parametrize("pieces", [False, True])
@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("-Infinity", -math.inf),
        ("18446744073709551615", 2**64 - 1),
        ("-9223372036854775808", -(2**63)),
        ("18446744073709551616", 2.0**64),
        ("-9223372036854775809", -(2.0**63)),
        ("1" * 5000, math.inf),
    ],
)
def test_numbers_beyond_those_of_json_and_of_64_bits(written: str, value: float, pieces: bool) -> None:
    body = f"[{written}, NaN]".encode()  # which orjson refuses
    if pieces:
        with everything_in_pieces():
            read, nan = read_json(body)
    else:
        read, nan = read_json(body)

    assert (type(read), read) == (type(value), value)
    assert math.isnan(nan)


@pytest.mark.parametrize("body", [b"[[1,-0]]", b"[[1,-0]" + b",[2,3]" * 20_000 + b"]"])
def test_the_sign_of_zero_is_kept_where_it_is_wanted(body: bytes) -> None:
    assert math.copysign(1, read_json(body, minus_zero=True)[0][1]) == -1


@pytest.mark.parametrize("value", [make() for make in IN_PIECES.values()], ids=list(IN_PIECES))
def test_no_parser_in_c_is_given_many_values_or_bytes(value: Any) -> None:
    body = orjson.dumps(value)
    with parsers_in_c() as given:
        assert read_json(body) == value

    assert not given


def test_documents_of_usual_size_are_read_by_orjson_alone() -> None:
    body = METADATA.read_bytes()
    assert len(body) > LARGE_DOCUMENT
    with parsers_in_c() as given:
        read_json(body)
        read_json(b"{}")

    assert given == [body, b"{}"]


def test_the_metadata_of_1500_tags_is_read() -> None:
    twenty = METADATA.read_bytes()
    body = b"[" + b",".join([twenty] * 70) + b"]"

    assert len(body) < LARGEST
    assert read_json(body) == [json.loads(twenty)] * 70


@pytest.mark.parametrize(
    "body",
    [
        b'"' + b"x" * LARGEST + b'"',
        b"[" + b"1," * MOST_VALUES + b"1]",
        b"[" + b"[]," * 130_000 + b"[]]",
        b"[" + b"{}," * 130_000 + b"{}]",
    ],
    ids=["bytes", "values", "arrays", "objects"],
)
def test_what_no_peer_has_reason_to_send_is_refused_before_it_is_parsed(body: bytes) -> None:
    with everything_in_pieces(), patch.object(documents, "_Decoder") as decoder, pytest.raises(DocumentTooLarge):
        read_json(body)

    assert not decoder.called


def test_an_object_of_very_many_keys_is_refused() -> None:
    assert len(read_json(orjson.dumps(dict.fromkeys(map(str, range(100_000)))))) == 100_000
    with pytest.raises(DocumentTooLarge, match="100000 keys"):
        read_json(orjson.dumps(dict.fromkeys(map(str, range(100_001)))))


def test_what_is_nested_too_deep_is_refused() -> None:
    with pytest.raises(RecursionError):
        read_json(b"[" * 100_000)


@pytest.mark.parametrize("end", [b"]", b"}"], ids=["read", "refused"])
def test_the_collector_rests_meanwhile_and_works_afterwards(end: bytes) -> None:
    body = b"[" + b"1," * 100_000 + b"1" + end
    resting = []

    class Decoder(documents._Decoder):
        def decode(self, *arguments: Any) -> Any:
            resting.append(not gc.isenabled())
            return super().decode(*arguments)

    with patch.object(documents, "_Decoder", Decoder):
        if end == b"]":
            assert read_json(body) == [1] * 100_001
        else:
            with pytest.raises(ValueError, match="delimiter"):
                read_json(body)

    assert resting == [True]
    assert gc.isenabled()


def turns_of_another_thread(work: Callable[[], Any]) -> int:
    """Return how often a thread that does nothing else gets its turn while the work is done."""
    turns, working, started = 0, True, threading.Event()

    def take_turns() -> None:
        nonlocal turns
        started.set()
        while working:
            turns += 1
            time.sleep(0)  # lets the other thread run

    other = threading.Thread(target=take_turns)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    other.start()
    try:
        started.wait()
        work()
    finally:
        working = False
        other.join()
        sys.setswitchinterval(interval)
    return turns


@pytest.mark.parametrize("value", [IN_PIECES[kind]() for kind in ("numbers", "keys", "objects")])
def test_other_threads_get_their_turns(value: Any) -> None:
    body = orjson.dumps(value)

    in_pieces = turns_of_another_thread(partial(read_json, body))
    at_once = min(turns_of_another_thread(partial(orjson.loads, body)) for _ in range(4))

    assert in_pieces > 3 * at_once
