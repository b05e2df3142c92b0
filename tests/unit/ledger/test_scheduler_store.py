"""What the statements of the scheduler's store return, as the roles read it."""

import asyncpg

from latigo.domain.model import ModelRef
from latigo.domain.task import Lane
from latigo.domain.windows import Window
from latigo.ledger.protocol import Need
from latigo.ledger.scheduler_store import needs_of
from tests.support.build import at, window


def a_range(of: Window) -> asyncpg.Range:
    return asyncpg.Range(of.start, of.end)


def test_every_lane_with_a_column_has_its_window():
    windows = {lane: window(f"{hour}:00", f"{hour + 1}:00") for hour, lane in enumerate(Lane, start=8)}
    row = {"model_id": 7, "project": "plant", "name": "pump", "epoch": 2, "covered_end": at("07:00"), "request_id": 5}

    [need] = needs_of([{**row, **{lane.value: a_range(span) for lane, span in windows.items()}}])

    assert need == Need(7, ModelRef("plant", "pump"), 2, windows, at("07:00"), 5)


def test_a_lane_without_a_column_or_a_window_is_not_needed():
    row = {"model_id": 7, "project": "plant", "name": "pump", "epoch": 2, "covered_end": None, "request_id": None}

    [need] = needs_of([{**row, "live": None, "repair": a_range(window("08:00", "09:00"))}])

    assert need.windows == {Lane.REPAIR: window("08:00", "09:00")}
