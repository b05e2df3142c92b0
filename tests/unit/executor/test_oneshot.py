from datetime import timedelta

import pytest

from latigo.executor.oneshot import first_label
from tests.support.build import a_spec, at

SLOT = timedelta(minutes=30)


@pytest.mark.parametrize(
    ("time", "label"),
    [("10:00", "10:00"), ("10:01", "10:10"), ("10:09", "10:10"), ("10:25", "10:30"), ("10:51", "11:00")],
)
def test_the_next_label_is_the_next_multiple_of_the_resolution(time: str, label: str) -> None:
    assert first_label(a_spec(), SLOT, at(time)) == at(label)


def test_a_label_may_be_slots_away() -> None:
    spec = a_spec(dataset={"resolution": timedelta(hours=2)})

    assert first_label(spec, timedelta(hours=2), at("10:01")) == at("12:00")


def test_labels_of_a_step_that_divides_no_day_are_counted_from_the_first_midnight_of_what_is_read() -> None:
    spec = a_spec(dataset={"resolution": timedelta(minutes=7)}, model_offset=0)

    # Five rows of context begin on the day before: 206 steps of 7 minutes from its midnight are 00:02.
    assert first_label(spec, timedelta(days=1), at("00:00", day=2)) == at("00:02", day=2)
    assert first_label(spec, timedelta(days=1), at("00:03", day=2)) == at("00:09", day=2)
    assert first_label(spec, timedelta(days=1), at("23:59", day=2)) == at("00:02", day=3)


def test_a_step_whose_labels_all_fall_between_the_days_has_none() -> None:
    spec = a_spec(dataset={"resolution": timedelta(hours=36)}, model_offset=0)

    assert first_label(spec, timedelta(days=1), at("00:00")) is None
