"""Which slots are predicted again after a comparison."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import numpy as np

from latigo.dataset.build import Buckets
from latigo.domain.coverage import Coverage
from latigo.domain.series import Series
from latigo.domain.windows import Window, to_ns
from latigo.executor.comparing import Comparison
from tests.support.build import a_spec, a_task, at, window

HOURS = window("10:00", "12:00")
STEP = timedelta(minutes=5)
TASK = a_task(a_spec(dataset={"interpolation_limit": timedelta(minutes=10)}), HOURS)
ALL = Comparison(timedelta(hours=24))


def buckets(*without: Window, **values: float) -> Buckets:
    """A reading of a and b every five minutes, but in some windows; a is 1 unless from a time on it is another."""
    times = np.arange(to_ns(HOURS.start), to_ns(HOURS.end), int(STEP.total_seconds()) * 1_000_000_000, dtype=np.int64)
    for gap in without:
        times = times[(times < to_ns(gap.start)) | (times >= to_ns(gap.end))]
    a = np.ones(len(times))
    if "a" in values:
        a[times >= to_ns(at("11:05"))] = values["a"]
    readings = {"a": Series(times, a), "b": Series(times, np.ones(len(times)))}
    return Buckets.of(TASK.model.dataset, readings, HOURS)


def moved(now: Buckets, recorded: Mapping[datetime, bytes], comparison: Comparison = ALL) -> Coverage:
    return comparison.moved(TASK, now.dataset({}), recorded, comparison.fingerprints(TASK, now))


RECORDED = ALL.fingerprints(TASK, buckets())


def test_every_slot_has_a_fingerprint():
    assert list(RECORDED) == [at("10:00"), at("10:30"), at("11:00"), at("11:30")]


def test_only_slots_that_have_moved_are_predicted_again():
    assert moved(buckets(), RECORDED) == Coverage()
    assert moved(buckets(a=2), RECORDED) == Coverage((window("11:00", "12:00"),))


def test_within_the_tolerance_they_are_not():
    assert moved(buckets(a=1.05), RECORDED, Comparison(tolerance=0.1)) == Coverage()


def test_readings_that_are_gone_are_no_reason_to_predict_again():
    assert moved(buckets(window("10:30", "11:00")), RECORDED) == Coverage()


def test_nor_is_it_when_nothing_is_recorded():
    recorded = {start: cells for start, cells in RECORDED.items() if start != at("11:30")}

    assert moved(buckets(a=2), recorded) == Coverage((window("11:00", "11:30"),))


def test_they_are_kept_while_a_sweep_may_read_them_again():
    assert ALL.keeps(HOURS, HOURS.end + timedelta(hours=23))
    assert not ALL.keeps(HOURS, HOURS.end + timedelta(hours=24))
    assert not Comparison().keeps(HOURS, HOURS.end)
