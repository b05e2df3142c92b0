"""Task <-> bytes."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from latigo.domain.task import LedgerIdentity, Task
from latigo.task_queue.envelope import HIGHEST, LARGEST, LOWEST, TooNew, Unreadable, decode, encode
from tests.support.build import a_spec, a_task
from tests.support.specs import tasks

json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


def read(data: bytes) -> Task | Unreadable:
    """A task, or why not; whatever else is raised fails the test."""
    try:
        return decode(data)
    except Unreadable as error:
        return error


def fields(task: Task | None = None) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads(encode(task or a_task()))
    return document


@given(tasks())
def test_a_task_survives_the_envelope(task: Task):
    assert decode(encode(task)) == task


@given(tasks())
def test_version_1_is_read_and_written_as_before_and_leaves_out_the_ledger(task: Task):
    written = orjson.loads(encode(task, 1))

    assert written["v"] == 1
    assert not {"ledger", "incarnation"} & written.keys()
    assert decode(orjson.dumps(written)) == replace(task, ledger=None)


@given(tasks(), st.sampled_from(["sink/history", ""]))
def test_a_copy_names_its_sink_and_any_other_task_names_none(task: Task, sink: str):
    copy = replace(task, copy_to=sink)

    assert read(encode(copy)) == copy
    assert ("copy_to" in fields(copy)) is bool(sink)


def test_version_2_names_the_ledger():
    task = a_task(ledger=LedgerIdentity(UUID("6f1c9a52-6b1c-4a53-8a30-0d9d3c0b8f11"), 1764547200))
    written = orjson.loads(encode(task))

    assert (written["v"], written["ledger"]) == (2, "6f1c9a52-6b1c-4a53-8a30-0d9d3c0b8f11")
    assert written["incarnation"] == 1764547200
    assert decode(encode(task)) == task


@pytest.mark.parametrize("key", ["ledger", "incarnation"])
@pytest.mark.parametrize("value", [None, "", "latigo", 0, -1, 2**63, True, [], {}, "1"])
def test_version_2_without_the_ledger_is_unreadable(key: str, value: object):
    written = fields(a_task(ledger=LedgerIdentity(UUID(int=7), 1)))

    left_out = read(orjson.dumps({name: value for name, value in written.items() if name != key}))
    assert isinstance(left_out, Unreadable)
    assert isinstance(read(orjson.dumps(written | {key: value})), Unreadable)


@given(tasks(), st.text(max_size=9).map(lambda key: f"new {key}"), json)
def test_keys_that_a_newer_writer_adds_are_passed_over(task: Task, key: str, value: Any):
    written = fields(task)
    written |= {key: value, "spec": {**written["spec"], key: value}}

    assert decode(orjson.dumps(written)) == task


@given(st.binary(max_size=400))
@example(b"")
@example(b"\xff\xfe")
@example(b"null")
@example(b"[]")
@example(b"7")
@example(b'"v"')
@example(b"{}")
@example(b'{"v": 1}')
@example(b'{"v": NaN}')
@example(b'{"v": "\\ud800"}')
def test_bytes_that_are_no_task_are_unreadable(data: bytes):
    assert isinstance(read(data), Unreadable)


@given(json)
def test_json_that_is_no_task_is_unreadable(value: Any):
    assert isinstance(read(orjson.dumps(value)), Unreadable)


@given(st.data(), json)
def test_a_task_with_anything_replaced_is_unreadable_or_another_task(data: st.DataObject, value: Any):
    written = fields()
    part = data.draw(st.sampled_from([written, written["spec"]]))
    part[data.draw(st.sampled_from(sorted(part)))] = value

    result = read(orjson.dumps(written))

    if isinstance(result, Task):
        assert decode(encode(result)) == result


@pytest.mark.parametrize("assets", [[[None, None]], [["a", "b"]], {"a": 1}, "ab", None])
def test_a_task_whose_assets_are_no_texts_by_tag_is_unreadable(assets: Any):
    written = fields()
    written["spec"]["assets"] = assets

    assert isinstance(read(orjson.dumps(written)), Unreadable)


@given(st.data())
def test_a_task_that_lacks_anything_is_unreadable(data: st.DataObject):
    written = fields()
    part = data.draw(st.sampled_from([written, written["spec"]]))
    del part[data.draw(st.sampled_from(sorted(part)))]

    result = read(orjson.dumps(written))

    assert isinstance(result, Unreadable)
    assert not isinstance(result, TooNew)


@given(st.data())
def test_a_task_that_was_cut_short_is_unreadable(data: st.DataObject):
    whole = encode(a_task())

    assert isinstance(read(whole[: data.draw(st.integers(0, len(whole) - 1))]), Unreadable)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("id", 0),
        ("id", True),
        ("id", 1.0),
        ("epoch", -1),
        ("slot", 0),
        ("project", None),
        ("trace", 7),
        ("anomaly", 1),
        ("probe", None),
        ("probe", 0),
        ("lane", "express"),
        ("lane", []),
        ("start", 1.5),
        ("start", "2026-03-01T10:00:00"),  # no offset
        ("end", "2026-03-01T09:00:00Z"),  # before the start
        ("end", "9999-12-31T23:59:59-12:00"),  # beyond the calendar
        ("spec", None),
    ],
)
def test_fields_that_cannot_be_are_refused(key: str, value: object):
    assert isinstance(read(orjson.dumps({**fields(), key: value})), Unreadable)


@pytest.mark.parametrize(
    "hostile", [b"[" * 100_000, b'{"v":' * 40_000, b'{"v":1,"spec":' + b"[" * 1000 + b"]" * 1000 + b"}"]
)
def test_deep_nesting_is_unreadable(hostile: bytes):
    assert isinstance(read(hostile), Unreadable)


@pytest.mark.parametrize("depth", [1, 200, 990, 1020, 1024, 5000])
@pytest.mark.parametrize("key", ["v", "id", "start", "lane", "anomaly", "spec", "trace"])
def test_nesting_in_the_place_of_a_value_is_unreadable(key: str, depth: int):
    hostile = orjson.dumps({**fields(), key: "HERE"}).replace(b'"HERE"', b"[" * depth + b"]" * depth)

    assert isinstance(read(hostile), Unreadable)


def test_what_is_too_large_is_not_even_parsed():
    assert "bytes" in str(read(b" " * (LARGEST + 1)))


def test_a_model_with_a_thousand_tags_is_not_too_large():
    spec = a_spec(tags=tuple(f"1234-GRA-{number:06}.PV-A-LONG-NAME" for number in range(1000)))

    assert decode(encode(a_task(spec))).model == spec


@given(st.integers(HIGHEST + 1, 2**53), json)
def test_a_newer_version_is_distinguished_from_rubbish_whatever_else_it_holds(version: int, rest: Any):
    assert isinstance(read(orjson.dumps({"v": version, "spec": rest})), TooNew)
    assert isinstance(read(orjson.dumps({**fields(), "v": version})), TooNew)


@pytest.mark.parametrize("version", [LOWEST - 1, -1, "1", 1.0, True, None, [1]])
def test_a_version_that_never_was_is_unreadable_and_not_new(version: object):
    result = read(orjson.dumps({**fields(), "v": version}))

    assert isinstance(result, Unreadable)
    assert not isinstance(result, TooNew)


@pytest.mark.parametrize(
    ("key", "largest"), [("id", 2**63 - 1), ("epoch", 2**31 - 1), ("slot", 86_400), ("incarnation", 2**63 - 1)]
)
def test_numbers_reach_from_one_to_what_their_column_holds(key: str, largest: int):
    written = fields(a_task(ledger=LedgerIdentity(UUID(int=7), 2)))

    for number in (1, largest):
        result = read(orjson.dumps(written | {key: number}))
        assert isinstance(result, Task)
        assert fields(result)[key] == number
    for number in (0, largest + 1):
        assert isinstance(read(orjson.dumps(written | {key: number})), Unreadable)


@pytest.mark.parametrize(
    ("change", "kind", "reason"),
    [
        ({"v": 0}, Unreadable, "version 0 is not read"),
        ({"v": True}, Unreadable, "version True is not read"),
        ({"v": HIGHEST + 1}, TooNew, "version 3 is newer than 2"),
        ({"trace": 7}, Unreadable, "TypeError: text expected, not int"),
        ({"slot": 86_401}, Unreadable, "TypeError: a number from 1 to 86400 expected, not 86401"),
        ({"epoch": "1"}, Unreadable, "TypeError: a number from 1 to 2147483647 expected, not str"),
        ({"probe": None}, Unreadable, "TypeError: anomaly and probe are true or false"),
    ],
)
def test_a_message_that_is_unreadable_is_reported_with_its_reason_and_its_task(
    change: dict[str, object], kind: type[Unreadable], reason: str
):
    result = read(orjson.dumps({**fields(a_task(id=7)), **change}))

    assert type(result) is kind
    assert (str(result), result.task_id) == (reason, 7)


@pytest.mark.parametrize("change", [{"id": 0}, {"id": 2**63}, {"id": True}, {"id": "7"}, {"id": 0, "v": 0}])
def test_no_task_is_named_by_a_number_that_no_task_can_have(change: dict[str, object]):
    result = read(orjson.dumps({**fields(), **change}))

    assert isinstance(result, Unreadable)
    assert result.task_id is None


def test_a_version_as_long_as_a_message_is_cut_in_its_reason():
    result = read(orjson.dumps({**fields(), "v": "9" * 1000}))

    assert str(result).startswith("version 999")
    assert len(str(result)) <= len("version  is not read") + 40


def test_what_is_exactly_as_large_as_may_be_is_read():
    written = encode(a_task())

    assert isinstance(read(written + b" " * (LARGEST - len(written))), Task)
    assert isinstance(read(written + b" " * (LARGEST - len(written) + 1)), Unreadable)


@pytest.mark.parametrize("version", [LOWEST - 1, HIGHEST + 1])
def test_only_known_versions_can_be_written(version: int):
    with pytest.raises(ValueError, match="version"):
        encode(a_task(), version)


@given(json)
def test_the_reason_why_a_message_is_unreadable_is_short(value: Any):
    result = read(orjson.dumps({**fields(), "id": value, "lane": value}))

    assert len(str(result)) <= 400


def test_a_message_of_more_values_than_a_task_has_is_not_parsed():
    assert "more values" in str(read(orjson.dumps({**fields(), "more": [[]] * 40_000})))
    assert isinstance(read(orjson.dumps({**fields(), "more": [[]] * 9_000})), Task)
