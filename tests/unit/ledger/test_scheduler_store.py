"""What the statements of the scheduler's store return, as the roles read it."""

from datetime import datetime

from latigo.domain.model import ModelRef
from latigo.domain.task import Lane
from latigo.domain.windows import Window
from latigo.ledger.protocol import Need
from latigo.ledger.scheduler_store import needs_of
from tests.support.build import at, window


def columns_of(windows: dict[Lane, Window]) -> dict[str, datetime | None]:
    bounds = {lane: (windows[lane].start, windows[lane].end) if lane in windows else (None, None) for lane in Lane}
    return {
        f"{lane}_{name}": time
        for lane, times in bounds.items()
        for name, time in zip(("start", "end"), times, strict=True)
    }


def test_every_lane_has_its_window():
    windows = {lane: window(f"{hour}:00", f"{hour + 1}:00") for hour, lane in enumerate(Lane, start=8)}
    row = {"model_id": 7, "project": "plant", "name": "pump", "epoch": 2, "covered_end": at("07:00"), "request_id": 5}

    [need] = needs_of([tuple({**row, **columns_of(windows)}.values())])

    assert need == Need(7, ModelRef("plant", "pump"), 2, windows, at("07:00"), 5)


def test_a_lane_without_a_window_is_not_needed():
    row = {"model_id": 7, "project": "plant", "name": "pump", "epoch": 2, "covered_end": None, "request_id": None}

    [need] = needs_of([tuple({**row, **columns_of({Lane.REPAIR: window("08:00", "09:00")})}.values())])

    assert need.windows == {Lane.REPAIR: window("08:00", "09:00")}
