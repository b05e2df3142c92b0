"""JSON from others, read so that the event loop keeps its turns.

A parser in C lets no other thread run until it has read everything, so that a thread of its own does not help. How long
that takes depends on the number of values more than on bytes: of 32 MiB, numbers take ten times as long as one text,
and empty lists fifty times. What is large is therefore counted before it is parsed. With few values
it is read by C all the same; with many by the decoder of the standard library in Python, where threads take turns
between any two values; with more than any peer has reason to send it is refused, since arrays, texts and keys are also
released in one go.
"""

import json
import json.scanner
from typing import Any, Final

import orjson

from latigo.runtime.collector import collector_paused
from latigo.runtime.off_loop import LARGE_DOCUMENT

LARGEST: Final = 6 << 20  #: bytes of a document; metadata takes 4 kB a tag, a list of 100 000 models about 4 MB
MOST_VALUES: Final = 400_000  #: of a document; metadata holds 240 a tag
_MOST_CONTAINERS: Final = 120_000  #: arrays and objects, which the collector walks as well; metadata holds 12 a tag
_MOST_KEYS: Final = 100_000  #: of one object, which is copied in one go when it grows
_AT_ONCE: Final = 1 << 20  #: bytes that are read by C
_FEW_VALUES: Final = 30_000  #: that are read by C
_SLICE: Final = 1 << 20  #: bytes that are counted in one call
_LONGEST_INTEGER: Final = 20  #: digits and sign of one of 64 bits


class DocumentTooLarge(Exception):
    """The document has more bytes or values than are read."""


def read_json(body: bytes | bytearray, *, minus_zero: bool = False) -> Any:
    """Return the value of a JSON text.

    Numbers that are not finite may be bare words, as Python writes them; integers beyond 64 bits become floats. Call
    it in a thread for `LARGE_DOCUMENT` and more.

    Args:
        body: in UTF-8.
        minus_zero: read ``-0`` as the float that it was, which takes longer.

    Raises:
        DocumentTooLarge: it is larger than any peer has reason to send.
        ValueError, RecursionError: it is not JSON, or nested too deep.
    """
    if len(body) >= LARGE_DOCUMENT and not is_short(body):
        _check_size(body)
        with collector_paused():
            return _Decoder().decode(_text(body))
    if not minus_zero:
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            pass
    return json.loads(_text(body), parse_int=_integer)


def _text(body: bytes | bytearray) -> str:
    return body.decode(errors="surrogatepass")


def is_short(body: bytes | bytearray) -> bool:
    """Return whether a parser in C is done with a document in some milliseconds."""
    return len(body) <= _AT_ONCE and sum(_counted(body)) <= _FEW_VALUES


def _check_size(body: bytes | bytearray) -> None:
    if len(body) > LARGEST:
        raise DocumentTooLarge(f"a document of more than {LARGEST} bytes")
    separators, containers = _counted(body)
    if containers > _MOST_CONTAINERS or separators + containers > MOST_VALUES:
        raise DocumentTooLarge(
            f"a document of more than {MOST_VALUES} values, or {_MOST_CONTAINERS} arrays and objects"
        )


def _counted(body: bytes | bytearray) -> tuple[int, int]:
    """Return how many commas a document has, and how many brackets open, be it in a text; no values are more."""
    separators = containers = 0
    for start in range(0, len(body), _SLICE):
        separators += body.count(b",", start, start + _SLICE)
        containers += sum(body.count(bracket, start, start + _SLICE) for bracket in (b"[", b"{"))
    return separators, containers


class _Decoder(json.JSONDecoder):
    """The decoder of the standard library, with its scanner in Python."""

    def __init__(self) -> None:
        super().__init__(object_pairs_hook=_object, parse_int=_integer)
        self.scan_once = json.scanner.py_make_scanner(self)  # type: ignore[attr-defined] # in no stub, as old as json


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > _MOST_KEYS:
        raise DocumentTooLarge(f"an object of more than {_MOST_KEYS} keys")
    return {key: value for key, value in pairs}  # noqa: C416 - dict() would let no other thread run


def _integer(digits: str) -> int | float:
    if digits == "-0":
        return -0.0
    if len(digits) <= _LONGEST_INTEGER and -(1 << 63) <= (number := int(digits)) < 1 << 64:
        return number
    return float(digits)
