"""JSON for programs: the same in API and command line."""

from collections.abc import Mapping
from datetime import timedelta

import orjson
from pydantic import BaseModel


def to_json(answer: object, *, indent: bool = False) -> bytes:
    """Return JSON. UTC times end in ``Z``, durations are seconds, a number that is not finite becomes null.

    Raises:
        TypeError: something in it has no form in JSON.
    """
    option = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS | (orjson.OPT_INDENT_2 if indent else 0)
    return orjson.dumps(answer, default=_plain, option=option)


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple | set | frozenset):  # a tuple with names is none to orjson
        return list(value)
    raise TypeError  # orjson names the type
