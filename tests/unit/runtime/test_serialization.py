"""Answers as JSON."""

import json
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import NamedTuple

import pytest

from latigo.runtime.serialization import to_json


class Named(NamedTuple):
    name: str


def test_times_are_in_utc_durations_in_seconds_and_what_is_not_finite_is_null() -> None:
    there = datetime(2024, 5, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    answer = {
        "at": datetime(2024, 5, 1, tzinfo=UTC),
        "there": there,
        "lag": timedelta(minutes=1.5),
        "share": float("nan"),
        "tags": ("b", "a"),
        "names": frozenset({"a"}),
        "named": Named("x"),
        "by_number": MappingProxyType({1: None}),
    }

    for indent in (False, True):
        assert json.loads(to_json(answer, indent=indent)) == {
            "at": "2024-05-01T00:00:00Z",
            "there": "2024-05-01T02:00:00+02:00",
            "lag": 90.0,
            "share": None,
            "tags": ["b", "a"],
            "names": ["a"],
            "named": ["x"],
            "by_number": {"1": None},
        }


def test_people_get_a_line_for_each_value_and_programs_one_for_all() -> None:
    assert to_json({"a": 1, "b": [2]}) == b'{"a":1,"b":[2]}'
    assert to_json({"a": 1, "b": [2]}, indent=True).splitlines()[:2] == [b"{", b'  "a": 1,']


def test_what_has_no_form_in_json_is_refused_and_named() -> None:
    with pytest.raises(TypeError, match="not JSON serializable: object"):
        to_json({"what": object()})
