"""The simulated plant gives the values that the real models were trained on, to the last bit."""

from datetime import datetime

import pytest

from latigo.domain.windows import to_ns
from latigo.providers.simulated import Plant, synth_series
from tests.support.gordo_python import run_in_gordo
from tests.support.real_gordo import require_gordo

pytestmark = pytest.mark.real_gordo

CASES = [
    ("1902.B.TT-001.PV", "2025-10-20T00:00:00+00:00", "2025-10-22T00:00:00+00:00", 120.0),
    ("1902.F.STATUS", "2025-10-01T00:00:00+00:00", "2025-10-02T00:00:00+00:00", 20.0),
    ("ODD-ÅØ-3", "2019-06-01T10:03:07.123+00:00", "2019-06-01T11:00:00+00:00", 60.0),
    ("1902.W.TT-020.PV", "2020-01-01T00:00:00+00:00", "2020-01-01T01:00:00+00:00", 7.5),
    ("1902.W.TT-001.PV", "2031-12-31T23:00:00+00:00", "2032-01-01T05:00:00+00:00", 1.0),
    ("1902.W.TT-001.PV", "2025-10-20T00:00:00+00:00", "2025-10-20T00:00:01+00:00", 60.0),
]


async def test_every_time_and_every_bit_of_every_value_is_the_same() -> None:
    require_gordo()

    theirs = await run_in_gordo("synth_values.py", CASES)

    for (tag, start, end, period_s), (times, values) in zip(CASES, theirs, strict=True):
        edges = (to_ns(datetime.fromisoformat(start)), to_ns(datetime.fromisoformat(end)))
        for mine in (
            synth_series(tag, *edges, period_s),
            Plant().values(tag, *edges, int(period_s * 1_000_000_000)),
        ):
            assert mine.times.tolist() == times
            assert [value.hex() for value in mine.values.tolist()] == values
