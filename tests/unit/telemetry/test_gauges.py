"""Gauges that are read from the ledger."""

import asyncio

from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from latigo.domain.errors import Unavailable
from latigo.domain.health import State
from latigo.runtime.metrics import new_registry
from latigo.telemetry.gauges import INTERVAL, LedgerGauges, ProjectGauges, keep_gauges, set_gauges
from latigo.telemetry.metrics import Metrics
from tests.support.clock import ManualClock

VALUES = LedgerGauges(
    State.RECOVERING,
    {"0": 4},
    {"plant": ProjectGauges(9, 2, 1, 12.0, 1800.0, 0.98, -1.0), "new": ProjectGauges(0, 0, 0, 0, None)},
    {"plant": 3},
    stale={"plant": {"sink": 2}},
    needed=5.0,
    possible=9.3,
)


def state_in(registry: CollectorRegistry) -> list[str]:
    return [state for state in State if registry.get_sample_value("latigo_service_state", {"state": state})]


def test_one_state_is_set_at_a_time() -> None:
    registry = new_registry()
    metrics = Metrics(registry, ManualClock())

    set_gauges(metrics, VALUES)
    before = state_in(registry)
    set_gauges(metrics, VALUES._replace(state=State.NEEDS_ATTENTION))

    assert (before, state_in(registry)) == (["recovering"], ["needs_attention"])


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
    assert registry.get_sample_value("latigo_fresh_share_ratio", {"project": "plant"}) == 0.98
    assert registry.get_sample_value("latigo_error_budget_left_ratio", {"project": "plant"}) == -1
    assert registry.get_sample_value("latigo_fresh_share_ratio", {"project": "new"}) is None
    by_cause = {
        cause: registry.get_sample_value("latigo_stale_by_cause_models", {"project": "plant", "cause": cause})
        for cause in ("sink", "gordo")
    }
    assert by_cause == {"sink": 2, "gordo": 0}
    assert registry.get_sample_value("latigo_needed_slots_per_second") == 5
    assert registry.get_sample_value("latigo_possible_slots_per_second") == 9.3
    assert str(registry.get_sample_value("latigo_backlog_seconds")) == "nan"
    assert state_in(registry) == ["unknown"]
