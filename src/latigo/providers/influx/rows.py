"""Rows of a MessagePack response as arrays, without an object for each: a time and a number, however long it is."""

from typing import Any, Final, NamedTuple

import numpy as np

from latigo.domain.series import Series, Times, Values

Body = bytes | bytearray

_PAIR, _INT64, _FLOAT64 = 0x92, 0xD3, 0xCB
_ROW = np.dtype([("pair", "u1"), ("int64", "u1"), ("time", ">i8"), ("float64", "u1"), ("value", ">f8")])
#: Bytes before the first byte of a value: those of the pair and of its time.
_BEFORE: Final = 10
#: Type and size of a number after its first byte, by that byte; the small ones are in it.
_NUMBERS: Final = {
    _FLOAT64: ">f8",
    0xCA: ">f4",
    0xCC: ">u1",
    0xCD: ">u2",
    0xCE: ">u4",
    0xCF: ">u8",
    0xD0: ">i1",
    0xD1: ">i2",
    0xD2: ">i4",
    _INT64: ">i8",
}
_NO_NUMBER: Final = 255
_SIZES: Final = np.full(256, _NO_NUMBER, np.uint8)
_SIZES[:0x80] = _SIZES[0xE0:] = 0
for _first, _type in _NUMBERS.items():
    _SIZES[_first] = np.dtype(_type).itemsize
#: Bytes that look like the begin of a row and are none, of which a response can have some by chance.
_ROUNDS: Final = 4

_Places = np.ndarray[Any, np.dtype[np.int64]]


class Rows(NamedTuple):
    """Rows, and the place after the last of them."""

    series: Series
    end: int


def read_rows(body: Body, begin: int, count: int) -> Rows | None:
    """Return the rows that begin at a place if each is a time and a number; None otherwise."""
    return _floats(body, begin, count) or _numbers(body, begin, count)


def _floats(body: Body, begin: int, count: int) -> Rows | None:
    """Return rows of floats, which take 19 bytes each.

    The size does not show that, since integers are of any length: every row has to have the three type bytes where a
    row of floats has them.
    """
    end = begin + count * _ROW.itemsize
    if not count or end > len(body):
        return None
    marks = ((0, _PAIR), (1, _INT64), (10, _FLOAT64))
    if any(body[begin + place : end : _ROW.itemsize].count(mark) != count for place, mark in marks):
        return None
    rows = np.frombuffer(body, _ROW, count, begin)
    times: Times = rows["time"].astype(np.int64)
    values: Values = rows["value"].astype(np.float64)
    return Rows(Series(times, values), end)


def _numbers(body: Body, begin: int, count: int) -> Rows | None:
    """Return rows of numbers of any length."""
    octets = np.frombuffer(body, np.uint8)
    places = _row_places(octets, begin, count)
    if places is None:
        return None
    firsts = octets[places + _BEFORE]
    times: Times = _gathered(octets, places + 2, ">i8").astype(np.int64)
    values: Values = firsts.astype(np.int8).astype(np.float64)  # the small ones, negative from 0xE0 on
    for first, kind in _NUMBERS.items():
        of_kind = firsts == first
        if of_kind.any():
            values[of_kind] = _gathered(octets, places[of_kind] + _BEFORE + 1, kind)
    return Rows(Series(times, values), int(places[-1]) + _BEFORE + 1 + int(_SIZES[firsts[-1]]))


def _row_places(octets: np.ndarray[Any, np.dtype[np.uint8]], begin: int, count: int) -> _Places | None:
    """Return where each row begins; None if one is not a time and a number.

    Rows are as long as their numbers, so each place follows from the one before. All bytes that may begin a row are
    found at once, and those left out that no other one leads to.
    """
    if not count or len(octets) - begin < count * (_BEFORE + 1):
        return None
    part = octets[begin : begin + count * _ROW.itemsize]
    places: _Places = np.flatnonzero((part[:-_BEFORE] == _PAIR) & (part[1 : 1 - _BEFORE] == _INT64)).astype(np.int64)
    for _ in range(_ROUNDS):
        sizes = _SIZES[part[places + _BEFORE]]
        following = places + _BEFORE + 1 + sizes
        if len(places) >= count and (following[: count - 1] == places[1:count]).all():
            rows = places[:count]
            whole = following[count - 1] <= len(octets) - begin and not (sizes[:count] == _NO_NUMBER).any()
            return rows + begin if whole and rows[0] == 0 else None
        led_to = np.zeros(len(part) + _ROW.itemsize, np.bool_)
        led_to[following[sizes != _NO_NUMBER]] = True
        kept = led_to[places]
        kept[:1] = True
        if kept.all():
            return None
        places = places[kept]
    return None


def _gathered(octets: np.ndarray[Any, np.dtype[np.uint8]], places: _Places, kind: str) -> np.ndarray[Any, Any]:
    """Return the numbers of a type at some places."""
    size = np.dtype(kind).itemsize
    gathered = np.ascontiguousarray(octets[places[:, None] + np.arange(size)])
    return gathered.view(kind)[:, 0]
