"""Gauges that are read from the ledger."""

import asyncio

from structlog.testing import capture_logs

from latigo.domain.errors import Unavailable
from latigo.runtime.metrics import new_registry
from latigo.telemetry.gauges import INTERVAL, LedgerGauges, ProjectGauges, keep_gauges
from latigo.telemetry.metrics import Metrics
from tests.support.clock import ManualClock

VALUES = LedgerGauges(
    {"0": 4}, {"plant": ProjectGauges(9, 2, 1, 12.0, 1800.0), "new": ProjectGauges(0, 0, 0, 0, None)}, {"plant": 3}
)


async def test_gauges_hold_what_was_read_last_while_the_ledger_is_unavailable() -> None:
    registry, stop, clock = new_registry(), asyncio.Event(), ManualClock()
    answers: list[LedgerGauges | Unavailable] = [VALUES, Unavailable("no route", downstream="ledger")]

    async def read() -> LedgerGauges:
        answer = answers.pop(0)
        if isinstance(answer, Unavailable):
            stop.set()
            raise answer
        return answer

    with capture_logs() as log:
        kept = asyncio.create_task(keep_gauges(read, Metrics(registry, clock), clock, stop))
        await clock.advance(INTERVAL)
        await kept

    assert answers == []
    assert [line["event"] for line in log] == ["gauges.not_read"]
    assert registry.get_sample_value("latigo_queue_lag_tasks", {"partition": "0"}) == 4
    assert registry.get_sample_value("latigo_stale_models", {"project": "plant"}) == 2
    assert registry.get_sample_value("latigo_unstored_models", {"project": "plant"}) == 3
    assert registry.get_sample_value("latigo_oldest_coverage_seconds", {"project": "plant"}) == 1800
    assert registry.get_sample_value("latigo_oldest_coverage_seconds", {"project": "new"}) is None
