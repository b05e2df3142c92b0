"""Answers as InfluxDB 1.6 sends them; MessagePack is made by another library than the one that is tested."""

import gc
import json
import math
import struct
import weakref
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import msgpack
import numpy as np
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from latigo.domain.series import Series
from latigo.providers.influx.responses import (
    Result,
    Table,
    UnreadableError,
    column_of,
    complete_results,
    decode,
    most_bytes,
    retention_of,
)
from latigo.runtime.documents import DocumentTooLarge
from tests.support.influx_readings import PLANT, Row, answer, read_as_series, result_of, series

MSGPACK, JSON = "application/x-msgpack", "application/json"

times = st.lists(st.integers(10**10, 4 * 10**18), unique=True, max_size=60).map(sorted)
finite = st.floats(allow_nan=False, allow_infinity=False)


def as_server_packs(document: dict[str, Any]) -> bytes:
    """A time takes nine bytes always, as InfluxDB's encoder has it; this one would take no more than it needs."""
    packer = msgpack.Packer(autoreset=False)

    def put(value: Any) -> None:
        if isinstance(value, dict):
            packer.pack_map_header(len(value))
            for key, each in value.items():
                packer.pack(key)
                (put_rows if key == "values" else put)(each)
        elif isinstance(value, list):
            packer.pack_array_header(len(value))
            for each in value:
                put(each)
        else:
            packer.pack(value)

    def put_rows(rows: Sequence[Row]) -> None:
        packer.pack_array_header(len(rows))
        for time, *cells in rows:
            packer.pack_array_header(1 + len(cells))
            packer.pack(TIME)
            for cell in cells:
                packer.pack(cell)
            places.append(time)

    places: list[int] = []
    put(document)
    parts = packer.bytes().split(msgpack.packb(TIME))
    assert len(parts) == len(places) + 1
    body: bytes = parts[0]
    for time, part in zip(places, parts[1:], strict=True):
        body += b"\xd3" + struct.pack(">q", time) + part
    return body


TIME = msgpack.ExtType(7, b"the time")  # in the place of a time: no document has a value of this type


def bits(values: Iterable[float]) -> list[str]:
    return [float(value).hex() for value in values]


@given(times, st.data())
def test_every_encoding_gives_the_same_readings(times: list[int], data: st.DataObject):
    values = data.draw(st.lists(finite, min_size=len(times), max_size=len(times)))
    document = answer({"series": [series(list(zip(times, values, strict=True)))]}, {})
    as_generic = msgpack.packb(document)
    as_json = json.dumps(document, separators=(",", ":")).replace(",-0.0]", ",-0]").encode()  # as Go writes it

    result = [
        read_as_series(decode(kind, body)[0])
        for kind, body in ((MSGPACK, as_server_packs(document)), (MSGPACK, as_generic), (JSON, as_json))
    ]

    for each in result:
        assert each.times.tolist() == times
        assert bits(each.values) == bits(values)
        assert (each.times.dtype.name, each.values.dtype.name) == ("int64", "float64")


@given(times, st.data())
def test_rows_of_other_lengths_are_never_taken_for_floats(times: list[int], data: st.DataObject):
    """Integers can be as long as floats, and hold the bytes that floats begin with."""
    cell = st.one_of(finite, st.integers(-(2**63), 2**64 - 1), st.booleans(), st.none(), st.just(0xCBCBCBCBCBCBCBCB))
    rows = [[time, data.draw(cell)] for time in times]
    document = answer({"series": [series(rows)]})

    result = read_as_series(decode(MSGPACK, as_server_packs(document))[0])

    kept = [(time, float(value)) for time, value in rows if value is not None]
    assert list(zip(result.times.tolist(), bits(result.values), strict=True)) == [
        (time, float(value).hex()) for time, value in kept
    ]


def test_rows_of_floats_are_never_python_objects():
    body = as_server_packs(answer({"series": [series([[10**18, 1.5], [2 * 10**18, math.pi]])]}))

    (result,) = decode(MSGPACK, body)

    assert isinstance(result.tables[0].rows, Series)
    assert result.rows == 2


@given(
    st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**64 - 1) | finite), min_size=1),
    st.booleans(),
)
def test_rows_of_numbers_are_never_python_objects(rows: list[tuple[int, float]], more: bool):
    parts = [series([list(row) for row in rows]), *([series([[1, 2]])] if more else [])]

    (result,) = decode(MSGPACK, as_server_packs(answer({"series": parts})))

    read = result.tables[0].rows
    assert isinstance(read, Series)
    assert list(zip(read.times.tolist(), bits(read.values), strict=True)) == [
        (time, float(value).hex()) for time, value in rows
    ]


def test_bytes_of_a_number_that_look_like_the_begin_of_a_row_are_none():
    looks = int.from_bytes(b"\x92\xd3\x92\xd3\x92\xd3\x92\xd3", "big")
    rows = [[looks - 2**64, 2**63 + number] for number in range(2)] + [[looks - 2**64, looks], [7, looks], [8, 1]]

    (result,) = decode(MSGPACK, as_server_packs(answer({"series": [series(rows)]})))

    read = result.tables[0].rows
    assert isinstance(read, Series)
    assert list(zip(read.times.tolist(), read.values.tolist(), strict=True)) == [
        (time, float(value)) for time, value in rows
    ]


@pytest.mark.parametrize("kind", [MSGPACK, JSON])
def test_several_statements_and_what_is_around_their_rows(kind: str):
    document = answer(
        {"series": [series([[1, 2.5]], tag="A", partial=True)], "partial": True, "messages": [{"level": "info"}]},
        {},
        {"series": [series([], tag="B")]},
        {"error": "not executed"},
    )
    body = msgpack.packb(document) if kind == MSGPACK else json.dumps(document).encode()

    first, none, empty, refused = decode(kind, body)

    assert first.partial
    assert (first.tables[0].partial, first.tables[0].tags, first.rows) == (True, {"tag": "A"}, 1)
    assert (none.tables, none.error) == ((), "")
    assert empty.rows == 0
    assert refused.error == "not executed"


@pytest.mark.parametrize("pack", [msgpack.packb, lambda document: json.dumps(document).encode()])
def test_an_error_of_the_whole_answer_is_one_of_its_first_statement(pack):
    kind = MSGPACK if pack is msgpack.packb else JSON

    (result,) = decode(kind, pack({"error": "engine is closed"}))

    assert result.error == "engine is closed"


def test_an_error_without_the_number_of_its_statement_keeps_its_place():
    """As MessagePack has it."""
    first, second = decode(MSGPACK, msgpack.packb({"results": [{"statement_id": 0}, {"error": "not executed"}]}))

    assert (first.error, second.error, second.number) == ("", "not executed", 1)


GOOD = as_server_packs(answer({"series": [series([[10**18, 1.5], [2 * 10**18, 2.5]])]}, {}))


@given(st.integers(0, len(GOOD) - 1))
def test_an_answer_that_breaks_off_is_not_read(length: int):
    with pytest.raises(UnreadableError):
        decode(MSGPACK, GOOD[:length])


def read(kind: str, body: bytes) -> str:
    try:
        for result in decode(kind, body):
            read_as_series(result)
    except UnreadableError:
        return "refused"
    return "read"


@example(b"", 99, 186)  # a number where a row belongs
@given(st.binary(max_size=60), st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_noise_is_refused_and_nothing_worse(noise: bytes, place: int, byte: int):
    spoiled = GOOD[:place] + bytes([byte]) + GOOD[place + 1 :]

    assert read(JSON, noise) == read(MSGPACK, noise) == "refused"
    assert read(MSGPACK, spoiled) in {"read", "refused"}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html", b"<html>sign in</html>"),
        ("", b""),
        ("application/csv", b"name,tags,time,Value\n"),
        (JSON, b"[]"),
        (JSON, b"{}"),
        (JSON, b'{"results":[]}'),
        (JSON, b'{"results":[{"statement_id":1}]}'),
        (JSON, b'{"results":[{"statement_id":0,"series":[{"name":"sensors"}]}]}'),
        (JSON, b'{"results":[{"statement_id":0}'),
        (MSGPACK, msgpack.packb({"results": {}})),
        (MSGPACK, b"\x81\xa7results\xdd\xff\xff\xff\xff"),
        (MSGPACK, b"\x81\xa7results\x91\x81\xa6series\x91\x81\xa6values\xdd\xff\xff\xff\xff"),
    ],
)
def test_what_influxdb_would_not_say_is_not_read(kind: str, body: bytes):
    with pytest.raises(UnreadableError):
        decode(kind, body)


@pytest.mark.parametrize(
    "content",
    [
        answer({"series": [series([[number, 1] for number in range(140_000)])]}),
        {"results": [], "more": [[None] * 9_999] * 41},
        {"results": [], "more": [{str(number): None for number in range(9_999)}] * 41},
        answer({"series": [{**series([]), "values": [None] * 400_001}]}),
    ],
    ids=["rows of integers", "arrays", "maps", "no rows"],
)
def test_more_values_than_are_read_one_by_one_are_too_large(content: dict[str, Any]):
    with pytest.raises(DocumentTooLarge):
        decode(MSGPACK, msgpack.packb(content))


def test_too_many_values_in_json_are_too_large():
    with pytest.raises(DocumentTooLarge):
        decode(JSON, orjson.dumps(answer({"series": [series([[number, 1] for number in range(140_000)])]})))


def test_a_response_is_released_when_it_is_read():
    unpackers = []

    class Unpacker(msgpack.Unpacker):  # type: ignore[misc] # it has no types; of this one weak references can be made
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            unpackers.append(weakref.ref(self))

    gc.disable()
    try:
        with patch.object(msgpack, "Unpacker", Unpacker):
            decode(MSGPACK, msgpack.packb(answer({"series": [series([[1, 2]])]})))
        assert [unpacker() for unpacker in unpackers] == [None]
    finally:
        gc.enable()


@pytest.mark.parametrize("values", [list, dict.fromkeys], ids=["array", "map"])
def test_no_array_and_no_map_is_long_that_is_read_in_one_go(values: Callable[[Sequence[str]], Any]):
    def body(count: int) -> bytes:
        return bytes(msgpack.packb({"results": [{}], "more": values([str(number) for number in range(count)])}))

    assert decode(MSGPACK, body(10_000)) == [Result(0)]
    with pytest.raises(UnreadableError, match="exceeds max_"):
        decode(MSGPACK, body(10_001))


@pytest.mark.parametrize("error", ["no", ["no"], {"a": "no"}, 7])
@pytest.mark.parametrize("pack", [(JSON, orjson.dumps), (MSGPACK, msgpack.packb)])
def test_an_error_is_a_text_or_is_named_by_its_type(error: Any, pack: tuple[str, Callable[[Any], bytes]]):
    kind, dumps = pack
    shown = {"list": "list", "dict": "dict", "int": "7", "str": "no"}[type(error).__name__]

    assert decode(kind, dumps({"error": error})) == [Result(0, error=shown)]
    assert decode(kind, dumps(answer({"error": error}))) == [Result(0, error=shown)]


def results(*rows: int, last: Result | None = None) -> list[Result]:
    """Results of so many rows each."""
    result = [Result(number, tables=(rows_of(count),) if count else ()) for number, count in enumerate(rows)]
    return [*result, last] if last else result


def rows_of(count: int, *, partial: bool = False) -> Table:
    none = np.zeros(count)
    return Table("sensors", {"tag": "GRA"}, ("time", "Value"), Series(none.astype(np.int64), none), partial)


@pytest.mark.parametrize(
    ("came", "sure"),
    [
        (results(5, 5, 5, 0), 3),
        (results(5, 5, 5), 2),  # a limit of 15 rows: nothing shows that the third was cut
        (results(5, 5), 1),
        (results(5), 0),
        (results(5, 5, 0, last=Result(3, error="not executed")), 3),
        (results(5, last=Result(1, error="not executed")), 1),
        ([Result(0, error="not executed")], 0),
        ([Result(0, tables=(rows_of(20_000, partial=True),)), *results(0, 0, 0)[1:], Result(3)], 3),
    ],
)
def test_a_result_is_whole_when_another_one_follows(came: Sequence[Result], sure: int):
    assert complete_results(came, 3, marked=True) == came[:sure]


@pytest.mark.parametrize(
    ("came", "sure"),
    [
        (Result(0, tables=(rows_of(5),)), 1),
        (Result(0), 1),
        (Result(0, tables=(rows_of(5, partial=True),)), 0),
        (Result(0, tables=(rows_of(5),), partial=True), 0),
        (Result(0, error="query-timeout limit exceeded"), 0),
    ],
)
def test_a_single_result_is_whole_unless_it_says_otherwise(came: Result, sure: int):
    assert len(complete_results([came], 1, marked=False)) == sure


def test_more_results_than_statements_are_not_the_servers_response():
    with pytest.raises(UnreadableError, match="5 results to 3"):
        complete_results(results(1, 1, 1, 0, 0), 3, marked=True)


def test_names_stand_in_the_column_that_was_asked_for():
    result = {"name": "sensors", "columns": ["key", "value"], "values": [["tag", "A"], ["tag", "B"]]}

    assert column_of(result_of(answer({"series": [result]})), "value") == ["A", "B"]
    assert column_of(Result(0), "value") == []
    for wrong in (result | {"columns": ["key", "name"]}, result | {"values": [["tag", 1]]}):
        with pytest.raises(UnreadableError):
            column_of(result_of(answer({"series": [wrong]})), "value")


@given(times, st.data())
def test_no_answer_is_larger_than_its_readings_may_take(times: list[int], data: st.DataObject):
    values = data.draw(st.lists(finite, min_size=len(times), max_size=len(times)))
    tag = data.draw(st.text(min_size=1))
    document = answer({"series": [series(list(zip(times, values, strict=True)), tag=tag, partial=True)]}, {})

    assert len(as_server_packs(document)) <= most_bytes("msgpack", len(times), PLANT, [tag])
    assert len(json.dumps(document, separators=(",", ":")).encode()) <= most_bytes("json", len(times), PLANT, [tag])


# How long readings are kept

POLICIES = (("autogen", "0s", False), ("year", "8760h30m15s", True), ("week", "168h0m0s", False))


def policies(*rows: tuple[object, ...]) -> Result:
    columns = ("name", "duration", "shardGroupDuration", "replicaN", "default")
    return Result(
        0, (Table("", {}, columns, [[name, duration, "1h0m0s", 1, default] for name, duration, default in rows]),)
    )


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        (None, timedelta(hours=8760, minutes=30, seconds=15)),
        ("week", timedelta(days=7)),
        ("autogen", None),
    ],
)
def test_the_policy_in_use_says_how_long_readings_are_kept(policy: str | None, kept: timedelta | None):
    assert retention_of(policies(*POLICIES), policy) == kept


@pytest.mark.parametrize(
    ("rows", "policy"),
    [
        (POLICIES, "month"),
        ((), None),
        ((("year", "8760h0m0s", False),), None),
        ((("year", "for ever", True),), None),
        ((("year", 17, True),), None),
        ((("year", "999999999h0m0s", True),), None),
    ],
)
def test_a_policy_that_is_not_there_or_has_no_duration_is_no_answer(
    rows: Sequence[tuple[object, ...]], policy: str | None
):
    with pytest.raises(UnreadableError):
        retention_of(policies(*rows), policy)
