"""AMQP 1.0 values as bytes, and back: the standard's part 1, *Types*. Pure."""

import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any
from uuid import UUID

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

_DEEPEST = 16

# -- reading ---------------------------------------------------------------------------------------------------------

_U8, _U32 = struct.Struct(">B"), struct.Struct(">I")

#: Size by the first digit of a constructor: a number of bytes, or the form of a length and then that number of bytes.
_SIZES: Mapping[int, int] = MappingProxyType({0x4: 0, 0x5: 1, 0x6: 2, 0x7: 4, 0x8: 8, 0x9: 16})
_LENGTHS: Mapping[int, struct.Struct] = MappingProxyType(
    {
        0xA: _U8,
        0xB: _U32,
        0xC: _U8,
        0xD: _U32,
        0xE: _U8,
        0xF: _U32,
    }
)


def decode(data: bytes, at: int = 0) -> tuple[Any, int]:
    """Return the value that begins at ``at``, and where it ends.

    Raises:
        CodecError: there is none, it is cut off, nested deeper than 16 levels, or has more elements than bytes (which
            also refuses an array of many nulls: a few bytes that would fill the memory).
    """
    try:
        return _read(data, at, _DEEPEST)
    except CodecError:
        raise
    except (struct.error, IndexError, TypeError, ValueError, OverflowError) as error:
        raise CodecError(f"no value at byte {at}: {error}") from error


def skip(data: bytes, at: int) -> int:
    """Return where the value that begins at ``at`` ends, from its constructor.

    Raises:
        CodecError: there is none, or it is cut off.
    """
    try:
        if data[at] == 0:  # described: the descriptor, then the value
            return skip(data, skip(data, at + 1))
        return _end(data[at], data, at + 1)
    except (IndexError, RecursionError) as error:
        raise CodecError(f"no value at byte {at}: {error}") from error


def _end(code: int, data: bytes, at: int) -> int:
    """Return where a value without its constructor ends."""
    width = code >> 4
    if width in _SIZES:
        end = at + _SIZES[width]
    elif width in _LENGTHS and at + _LENGTHS[width].size <= len(data):
        length = _LENGTHS[width]
        end = at + length.size + length.unpack_from(data, at)[0]
    else:
        raise CodecError(f"no value at byte {at}, constructor 0x{code:02x}")
    if end > len(data):
        raise CodecError(f"the value at byte {at} is cut off")
    return end


def _read(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    code = data[at]
    if code == 0:
        descriptor, at = _read(data, at + 1, _deeper(depth))
        value, at = _read(data, at, _deeper(depth))
        return Described(descriptor, value), at
    return _read_body(code, data, at + 1, depth)


def _deeper(depth: int) -> int:
    if depth == 0:
        raise CodecError(f"nested deeper than {_DEEPEST} levels")
    return depth - 1


def _read_body(code: int, data: bytes, at: int, depth: int) -> tuple[Any, int]:
    """Read a value without its constructor, which an array has once for all elements."""
    if code in _CONSTANTS:
        return _CONSTANTS[code], at
    if code in _FIXED:
        packing, make = _FIXED[code]
        return make(packing.unpack_from(data, at)[0]), at + packing.size
    if code in _VARIABLE:
        end = _end(code, data, at)
        return _VARIABLE[code](data[at + _LENGTHS[code >> 4].size : end]), end
    if code == 0x45:
        return [], at
    if code in _COMPOUND:
        return _read_compound(code, data, at, _deeper(depth))
    raise CodecError(f"no type has the constructor 0x{code:02x}")


def _read_compound(code: int, data: bytes, at: int, depth: int) -> tuple[Any, int]:
    length = _LENGTHS[code >> 4]
    end = _end(code, data, at)
    (count,) = length.unpack_from(data, at + length.size)
    at += 2 * length.size
    if count > end - at:
        raise CodecError(f"{count} elements in {end - at} bytes")
    values: list[Any] = []
    if code not in _ARRAYS:
        for _ in range(count):
            value, at = _read(data, at, depth)
            values.append(value)
    elif count:
        values, at = _read_elements(data, at, count, depth)
    else:
        at = end  # with or without a constructor for elements that are not there
    if at != end:
        raise CodecError(f"{count} elements end at byte {at}, not at {end}")
    return _COMPOUND[code](values), end


def _read_elements(data: bytes, at: int, count: int, depth: int) -> tuple[list[Any], int]:
    """Read the elements of an array: one constructor, which may be described, then the values."""
    if data[at] == 0:
        descriptor, at = _read(data, at + 1, _deeper(depth))
        values, at = _read_elements(data, at, count, _deeper(depth))
        return [Described(descriptor, value) for value in values], at
    code, values = data[at], []
    at += 1
    for _ in range(count):
        value, at = _read_body(code, data, at, depth)
        values.append(value)
    return values, at


def _map(values: list[Any]) -> dict[Any, Any]:
    if len(values) % 2:
        raise CodecError("a map with a key that has no value")
    return dict(zip(values[::2], values[1::2], strict=True))


_CONSTANTS: Mapping[int, Any] = MappingProxyType({0x40: None, 0x41: True, 0x42: False, 0x43: UInt(0), 0x44: ULong(0)})
_FIXED: Mapping[int, tuple[struct.Struct, Callable[[Any], Any]]] = MappingProxyType(
    {
        0x50: (_U8, UByte),
        0x51: (struct.Struct(">b"), Byte),
        0x52: (_U8, UInt),
        0x53: (_U8, ULong),
        0x54: (struct.Struct(">b"), Int),
        0x55: (struct.Struct(">b"), int),
        0x56: (struct.Struct(">?"), bool),
        0x60: (struct.Struct(">H"), UShort),
        0x61: (struct.Struct(">h"), Short),
        0x70: (_U32, UInt),
        0x71: (struct.Struct(">i"), Int),
        0x72: (struct.Struct(">f"), Single),
        0x73: (_U32, lambda number: Char(chr(number))),
        0x74: (struct.Struct("4s"), Decimal),
        0x80: (struct.Struct(">Q"), ULong),
        0x81: (struct.Struct(">q"), int),
        0x82: (struct.Struct(">d"), float),
        0x83: (struct.Struct(">q"), Timestamp),
        0x84: (struct.Struct("8s"), Decimal),
        0x94: (struct.Struct("16s"), Decimal),
        0x98: (struct.Struct("16s"), lambda raw: UUID(bytes=raw)),
    }
)


def _symbol(raw: bytes) -> Symbol:
    return Symbol(raw.decode("ascii"))


_VARIABLE: Mapping[int, Callable[[bytes], Any]] = MappingProxyType(
    {
        0xA0: bytes,
        0xA1: bytes.decode,
        0xA3: _symbol,
        0xB0: bytes,
        0xB1: bytes.decode,
        0xB3: _symbol,
    }
)
_COMPOUND: Mapping[int, Callable[[list[Any]], Any]] = MappingProxyType(
    {
        0xC0: list,
        0xC1: _map,
        0xD0: list,
        0xD1: _map,
        0xE0: Array,
        0xF0: Array,
    }
)
_ARRAYS = frozenset({0xE0, 0xF0})


# -- writing ---------------------------------------------------------------------------------------------------------


def encode(value: Any) -> bytes:
    """Return a value as bytes, in a short form.

    Raises:
        TypeError: AMQP has no type for it, or an array has elements of several.
        CodecError: the number does not fit its type, or the text is none.
    """
    out = bytearray()
    encode_into(out, value)
    return bytes(out)


def encode_into(out: bytearray, value: Any) -> None:
    """Append a value; raises as `encode` does."""
    kind = type(value)
    if kind in _SMALL_INTEGERS:
        code, low, high = _SMALL_INTEGERS[kind]
        if low <= value <= high:
            out += bytes((code, value & 0xFF))
            return
    elif kind in _WITH_LENGTH:
        code, to_bytes = _WITH_LENGTH[kind]
        raw = to_bytes(value)
        out += bytes((code, len(raw))) if len(raw) < 256 else bytes((code + 0x10, *_U32.pack(len(raw))))
        out += raw
        return
    elif kind in _WITH_ELEMENTS:
        count, body = _elements(value)
        if count < 256 and len(body) < 255:
            out += bytes((_WITH_ELEMENTS[kind], len(body) + 1, count))
        else:
            out += bytes((_WITH_ELEMENTS[kind] + 0x10, *_U32.pack(len(body) + 4), *_U32.pack(count)))
        out += body
        return
    elif value is None or kind is bool:
        out.append({None: 0x40, True: 0x41, False: 0x42}[value])
        return
    elif kind is Described:
        out.append(0)
        encode_into(out, value.descriptor)
        encode_into(out, value.value)
        return
    code, to_bytes = _long_form(value)
    out.append(code)
    out += to_bytes(value)


def _long_form(value: Any) -> tuple[int, Callable[[Any], bytes]]:
    """Return the constructor for any value of a type, as in arrays, and the function for the bytes after it."""
    if isinstance(value, Decimal) and len(value) in _DECIMALS:
        return _DECIMALS[len(value)], bytes
    if type(value) not in _LONG:
        raise TypeError(f"AMQP has no type for {type(value).__name__}")
    return _LONG[type(value)]


def _elements(value: list[Any] | dict[Any, Any] | Array) -> tuple[int, bytearray]:
    """Return the number of elements, and their bytes."""
    body = bytearray()
    if isinstance(value, Array):
        for number, element in enumerate(value):
            code, to_bytes = _long_form(element)
            if number == 0:
                body.append(code)
            elif code != body[0]:
                raise TypeError(f"an array of {type(value[0]).__name__} and {type(element).__name__}")
            body += to_bytes(element)
        return len(value), body
    flat = value if isinstance(value, list) else [part for item in value.items() for part in item]
    for element in flat:
        encode_into(body, element)
    return len(flat), body


def _packed(form: str) -> Callable[[Any], bytes]:
    packing = struct.Struct(form)

    def pack(value: Any) -> bytes:
        try:
            return packing.pack(value)
        except (struct.error, OverflowError) as error:
            raise CodecError(f"{value!r} does not fit: {error}") from error

    return pack


def _text(value: str) -> bytes:
    try:
        return value.encode("ascii" if isinstance(value, Symbol) else "utf-8")
    except UnicodeEncodeError as error:
        raise CodecError(f"{value!r} cannot be written: {error}") from error


def _long_bytes(raw: bytes) -> bytes:
    return _U32.pack(len(raw)) + raw


def _long_text(value: str) -> bytes:
    return _long_bytes(_text(value))


def _long_elements(value: Any) -> bytes:
    count, body = _elements(value)
    return _U32.pack(len(body) + 4) + _U32.pack(count) + body


#: Constructors of the short forms; those of the long ones of the last two are 0x10 higher.
_SMALL_INTEGERS: Mapping[type, tuple[int, int, int]] = MappingProxyType(
    {
        UInt: (0x52, 0, 255),
        ULong: (0x53, 0, 255),
        Int: (0x54, -128, 127),
        int: (0x55, -128, 127),
    }
)
_WITH_LENGTH: Mapping[type, tuple[int, Callable[[Any], bytes]]] = MappingProxyType(
    {
        bytes: (0xA0, bytes),
        str: (0xA1, _text),
        Symbol: (0xA3, _text),
    }
)
_WITH_ELEMENTS: Mapping[type, int] = MappingProxyType({list: 0xC0, dict: 0xC1, Array: 0xE0})
_LONG: Mapping[type, tuple[int, Callable[[Any], bytes]]] = MappingProxyType(
    {
        UByte: (0x50, _packed(">B")),
        Byte: (0x51, _packed(">b")),
        bool: (0x56, _packed(">?")),
        UShort: (0x60, _packed(">H")),
        Short: (0x61, _packed(">h")),
        UInt: (0x70, _packed(">I")),
        Int: (0x71, _packed(">i")),
        Single: (0x72, _packed(">f")),
        Char: (0x73, lambda value: _U32.pack(ord(value))),
        ULong: (0x80, _packed(">Q")),
        int: (0x81, _packed(">q")),
        float: (0x82, _packed(">d")),
        Timestamp: (0x83, _packed(">q")),
        UUID: (0x98, lambda value: value.bytes),
        bytes: (0xB0, _long_bytes),
        str: (0xB1, _long_text),
        Symbol: (0xB3, _long_text),
        list: (0xD0, _long_elements),
        dict: (0xD1, _long_elements),
        Array: (0xF0, _long_elements),
    }
)
_DECIMALS: Mapping[int, int] = MappingProxyType({4: 0x74, 8: 0x84, 16: 0x94})
