"""AMQP values as bytes: laws, the standard's own forms, the official client's codec, and what is refused."""

import math
import struct
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from azure.eventhub._pyamqp import _decode as client_decode
from azure.eventhub._pyamqp import _encode as client_encode
from hypothesis import given
from hypothesis import strategies as st

from latigo.sandbox.eventhub.codec import decode, encode, skip
from latigo.sandbox.eventhub.values import (
    Array,
    Byte,
    Char,
    CodecError,
    Decimal,
    Described,
    Int,
    Short,
    Single,
    Symbol,
    Timestamp,
    UByte,
    UInt,
    ULong,
    UShort,
)

INTEGERS: dict[Callable[[int], int], tuple[int, int]] = {
    UByte: (0, 2**8 - 1),
    UShort: (0, 2**16 - 1),
    UInt: (0, 2**32 - 1),
    ULong: (0, 2**64 - 1),
    Byte: (-(2**7), 2**7 - 1),
    Short: (-(2**15), 2**15 - 1),
    Int: (-(2**31), 2**31 - 1),
    int: (-(2**63), 2**63 - 1),
    Timestamp: (-(2**63), 2**63 - 1),
}

integers = st.one_of([st.integers(low, high).map(kind) for kind, (low, high) in INTEGERS.items()])
symbols = st.text(st.characters(max_codepoint=127), max_size=300).map(Symbol)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    integers,
    st.floats(allow_nan=False),
    st.floats(allow_nan=False, width=32).map(Single),
    texts,
    symbols,
    st.binary(max_size=300),
    st.uuids(),
    st.characters(exclude_categories=["Cs"]).map(Char),
    st.sampled_from([4, 8, 16]).flatmap(lambda size: st.binary(min_size=size, max_size=size)).map(Decimal),
)
arrays = st.one_of(
    [
        st.lists(each, max_size=20).map(Array)
        for each in (symbols, texts, st.booleans(), st.uuids(), st.integers(0, 2**32 - 1).map(UInt), st.binary())
    ]
)
values = st.recursive(
    scalars | arrays,
    lambda inner: st.one_of(
        st.lists(inner, max_size=8),
        st.dictionaries(texts, inner, max_size=8),
        st.dictionaries(symbols, inner, max_size=8),
        st.builds(Described, st.integers(0, 2**64 - 1).map(ULong) | symbols, inner),
    ),
    max_leaves=12,
)


def typed(value: Any) -> Any:
    """A value together with the types in it: equal numbers of other types are not the same."""
    match value:
        case Described():
            return Described, typed(value.descriptor), typed(value.value)
        case dict():
            return dict, [(typed(key), typed(each)) for key, each in value.items()]
        case list() | Array():
            return type(value), [typed(each) for each in value]
        case _:
            return type(value), value


@given(values)
def test_what_was_encoded_is_decoded_to_the_same_value_of_the_same_type(value):
    raw = encode(value)

    decoded, end = decode(raw)

    assert typed(decoded) == typed(value)
    assert end == len(raw)


@given(values, st.binary(max_size=20), st.binary(max_size=20))
def test_where_a_value_ends_is_known_without_decoding_it(value, before, after):
    raw = encode(value)

    assert skip(before + raw + after, len(before)) == len(before) + len(raw)
    assert decode(before + raw + after, len(before))[1] == len(before) + len(raw)


@given(values)
def test_a_value_that_is_cut_off_is_refused_wherever_that_is(value):
    raw = encode(value)

    for end in range(len(raw)):
        with pytest.raises(CodecError):
            decode(raw[:end])
        with pytest.raises(CodecError):
            skip(raw[:end], 0)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_refused(raw):
    try:
        _, end = decode(raw)
    except CodecError:
        return

    assert 0 < end <= len(raw)
    assert end == skip(raw, 0)


# -- the official client ---------------------------------------------------------------------------------------------


def client_reads(raw: bytes) -> Any:
    """What the client's own codec makes of it."""
    rest, value = client_decode._DECODE_BY_CONSTRUCTOR[raw[0]](memoryview(raw)[1:])
    assert len(rest) == 0, "the client would lose its place"
    return value


def as_the_client_has_it(value: Any) -> Any:
    """It has all texts as bytes, and knows nothing of types."""
    match value:
        case str():
            return value.encode()
        case list() | Array():
            return [as_the_client_has_it(each) for each in value]
        case dict():
            return {as_the_client_has_it(key): as_the_client_has_it(each) for key, each in value.items()}
        case _:
            return value


def known_to_the_client(value: Any) -> bool:
    match value:
        case Decimal() | Char() | Described():
            return False  # it reads decimals its own way, has no characters, and drops descriptors
        case list() | Array():
            return all(known_to_the_client(each) for each in value)
        case dict():
            return all(known_to_the_client(each) for each in value.values())
        case _:
            return True


@given(values.filter(known_to_the_client))
def test_the_official_client_reads_what_is_written_here(value):
    assert client_reads(encode(value)) == as_the_client_has_it(value)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**31), 2**31 - 1)
        | st.floats(allow_nan=False)
        | texts
        | st.binary(max_size=300)
        | st.uuids(),
        lambda inner: st.lists(inner, max_size=8) | st.dictionaries(texts, inner, max_size=8),
        max_leaves=12,
    )
)
def test_what_the_official_client_writes_is_read_here(value):
    written = bytearray()
    client_encode.encode_value(written, value)

    assert decode(bytes(written)) == (value, len(written))


# -- forms of the standard -------------------------------------------------------------------------------------------

UUID_BYTES = bytes(range(16))


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("40", None),
        ("41", True),
        ("42", False),
        ("5600", False),
        ("5601", True),
        ("43", UInt(0)),
        ("5205", UInt(5)),
        ("7000000005", UInt(5)),
        ("44", ULong(0)),
        ("5305", ULong(5)),
        ("800000000000000005", ULong(5)),
        ("54ff", Int(-1)),
        ("71ffffffff", Int(-1)),
        ("55ff", -1),
        ("81ffffffffffffffff", -1),
        ("50ff", UByte(255)),
        ("51ff", Byte(-1)),
        ("60ffff", UShort(65535)),
        ("61ffff", Short(-1)),
        ("723fc00000", Single(1.5)),
        ("823ff8000000000000", 1.5),
        ("7300000041", Char("A")),
        ("830000000000000001", Timestamp(1)),
        ("98" + UUID_BYTES.hex(), UUID(bytes=UUID_BYTES)),
        ("a003010203", b"\x01\x02\x03"),
        ("b000000003010203", b"\x01\x02\x03"),
        ("a102c3a9", "é"),
        ("b100000002c3a9", "é"),
        ("a3024142", Symbol("AB")),
        ("b3000000024142", Symbol("AB")),
        ("45", []),
        ("c0050255015502", [1, 2]),
        ("d0000000080000000255015502", [1, 2]),
        ("c10602a1016b5501", {"k": 1}),
        ("d10000000900000002a1016b5501", {"k": 1}),
        ("e00402520102", Array([UInt(1), UInt(2)])),
        ("f00000000700000002520102", Array([UInt(1), UInt(2)])),
        ("e0020052", Array()),  # the standard has a constructor even where there are no elements
        ("e00100", Array()),  # the client leaves it out
        ("00531040", Described(ULong(0x10), None)),
        ("e00702005324520102", Array([Described(ULong(0x24), UInt(1)), Described(ULong(0x24), UInt(2))])),
    ],
)
def test_every_form_of_the_standard_is_read(raw, value):
    decoded, end = decode(bytes.fromhex(raw))

    assert typed(decoded) == typed(value)
    assert end == len(raw) // 2


def test_a_number_that_is_none_survives():
    assert math.isnan(decode(encode(math.nan))[0])


def test_a_symbol_is_found_under_the_text_that_it_is():
    annotations, _ = decode(encode({Symbol("x-opt-offset"): "7"}))

    assert annotations["x-opt-offset"] == "7"


# -- refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x01",  # no type has this constructor
        b"\xa1\x01\xff",  # not UTF-8
        b"\xa3\x01\xc3",  # not ASCII
        b"\x73\x00\x11\x00\x00",  # beyond Unicode
        b"\xc1\x03\x01\x40",  # a map that ends before its size
        b"\xc1\x02\x01\x40",  # a key without a value
        b"\xc1\x03\x02\x45\x40",  # a list as a key
        b"\xc0\x02\x05\x40",  # five elements in one byte
        b"\xc0\x04\x01\x40\x40\x40",  # elements that end before the list does
        b"\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x40",  # four billion nulls in a byte
        b"\xd0\xff\xff\xff\xff\x00\x00\x00\x01\x40",  # a size beyond everything
    ],
)
def test_what_is_no_value_is_refused(raw):
    with pytest.raises(CodecError):
        decode(raw)


def test_a_value_may_be_nested_but_not_without_end():
    def nested(levels: int) -> bytes:
        raw = b"\x40"
        for _ in range(levels):
            raw = b"\xd0" + struct.pack(">II", len(raw) + 4, 1) + raw
        return raw

    assert decode(nested(16))[1] == len(nested(16))
    with pytest.raises(CodecError, match="deeper"):
        decode(nested(17))
    with pytest.raises(CodecError, match="deeper"):
        decode(b"\x00" * 5000 + b"\x40" * 5000)
    with pytest.raises(CodecError):
        skip(b"\x00" * 5000 + b"\x40" * 5000, 0)


@pytest.mark.parametrize("value", [UByte(256), UInt(-1), ULong(2**64), 2**63, Single(1e300), Symbol("é"), "\ud800"])
def test_what_does_not_fit_its_type_is_not_written(value):
    with pytest.raises(CodecError):
        encode(value)


@pytest.mark.parametrize("value", [object(), (1, 2), Array([UInt(1), "a"]), {1, 2}, Decimal(b"12345")])
def test_what_has_no_type_is_not_written(value):
    with pytest.raises(TypeError):
        encode(value)
