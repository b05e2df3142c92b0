"""The events that CHANGELOG.md names as new exist, with the fields that it names."""

import re
from pathlib import Path

from latigo.telemetry.events import EVENTS

PAGE = (Path(__file__).parents[2] / "CHANGELOG.md").read_text(encoding="utf-8")
RENAMED = re.findall(r"^\| `(\w+\.\w+)` \| (?:`(\w+\.\w+)`|the same) \| (.+) \|$", PAGE, re.MULTILINE)


def test_renamed_events_exist_with_their_fields() -> None:
    assert RENAMED
    for before, now, fields in RENAMED:
        assert (now or before) in EVENTS, before
        for field in re.findall(r"(?:→|new:) `(\w+)`", fields):
            assert re.search(rf"\b{field}\b", EVENTS[now or before].rpartition(":")[2]), (now or before, field)


def test_a_name_that_is_no_longer_used_is_renamed_once() -> None:
    before = [old for old, now, _ in RENAMED if now]

    assert sorted(set(before)) == before
    assert [old for old in before if old in EVENTS] == []
