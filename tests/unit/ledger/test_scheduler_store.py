"""What the statements of the scheduler's store return, as the roles read it."""

import pytest

from latigo.domain.model import ModelRef
from latigo.domain.task import Lane
from latigo.domain.windows import Window
from latigo.ledger.scheduler_store import needs_of
from tests.support.build import at, bounds_of, window


def test_every_lane_has_its_window():
    windows = {lane: window(f"{hour}:00", f"{hour + 1}:00") for hour, lane in enumerate(Lane, start=8)}
    rows = [(7, "plant", "pump", 2, at("07:00"), 5, *bounds_of(windows))]

    [need] = needs_of(rows)

    assert (need.model_id, need.ref, need.epoch) == (7, ModelRef("plant", "pump"), 2)
    assert (need.covered_end, need.request, need.windows) == (at("07:00"), 5, windows)
    assert not rows


def test_a_lane_without_a_window_is_not_needed():
    repair = window("08:00", "09:00")

    [need] = needs_of([(7, "plant", "pump", 2, None, None, *bounds_of({Lane.REPAIR: repair}))])

    assert need.windows == {Lane.REPAIR: repair}
    assert need.window(Lane.REPAIR) == repair
    with pytest.raises(KeyError):
        need.window(Lane.LIVE)


def test_needs_are_in_the_order_of_their_rows():
    bounds = bounds_of({Lane.LIVE: Window(at("08:00"), at("09:00"))})

    needs = needs_of([(number, "plant", str(number), 1, None, None, *bounds) for number in range(3)])

    assert [need.model_id for need in needs] == [0, 1, 2]
