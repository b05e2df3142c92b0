"""Values of AMQP 1.0, each of a type of its own, so that a decoded value can be encoded again.

=======================  =======================================================================================
``None``, ``bool``       null, boolean
``int``                  long; `UByte`, `UShort`, `UInt`, `ULong`, `Byte`, `Short`, `Int` and `Timestamp` the others
``float``                double; `Single` float
``str``, ``bytes``       string, binary; `Symbol` and `Char` the other texts
``UUID``                 uuid
``list``, ``dict``       list, map; `Array` for elements of one type
`Described`              a value with a descriptor in front
`Decimal`                decimal32, decimal64 and decimal128, as the bytes that they are
=======================  =======================================================================================

A symbol equals the string with the same text, so one lookup finds a key of either type.
"""

from dataclasses import dataclass
from typing import Any


class CodecError(ValueError):
    """Bytes that are no AMQP value, or one beyond our limits; or a value that cannot be encoded."""


class UByte(int):
    """8 bits without a sign."""


class UShort(int):
    """16 bits without a sign."""


class UInt(int):
    """32 bits without a sign."""


class ULong(int):
    """64 bits without a sign."""


class Byte(int):
    """8 bits with a sign."""


class Short(int):
    """16 bits with a sign."""


class Int(int):
    """32 bits with a sign."""


class Timestamp(int):
    """Milliseconds since 1970, UTC."""


class Single(float):
    """A float of 32 bits."""


class Symbol(str):
    """A name in ASCII."""

    __slots__ = ()


class Char(str):
    """One Unicode character."""

    __slots__ = ()


class Decimal(bytes):
    """A decimal of 4, 8 or 16 bytes, kept as bytes."""


class Array(tuple[Any, ...]):
    """Elements of one type."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Described:
    """A value with a descriptor of its type."""

    descriptor: Any
    value: Any
