"""The fields of what programs read: `--json` and ``/api/v1/status``. Scripts depend on each of them."""

import dataclasses
import json
from datetime import timedelta
from typing import Any, get_type_hints

import asyncpg
import pytest
from pydantic import TypeAdapter

from latigo.actions.dismissing import Failing, dismiss
from latigo.actions.draining import drain
from latigo.actions.limits import set_limits
from latigo.actions.retry import retry
from latigo.domain.bad_readings import BadReadingCount, Fault
from latigo.domain.errors import Reason
from latigo.domain.limits import Limits
from latigo.domain.model import ModelRef
from latigo.domain.outcome import NO_FINITE_VALUES
from latigo.domain.receipt import Carrier, Inputs, Receipt, Score
from latigo.domain.windows import DAY, Window
from latigo.ledger.bad_readings import BadReadingReports
from latigo.ledger.freshness_store import PostgresFreshnessLedger
from latigo.ledger.protocol import ExecutorInfo
from latigo.ledger.queue_outages import QueueOutages
from latigo.postgres.ranges import to_range
from latigo.reports.circuits import read_open_circuits
from latigo.reports.cost import read_cost
from latigo.reports.explain import read_explanation
from latigo.reports.failures import read_failures
from latigo.reports.gordo_cost import FEWEST_CALLS, Capacity
from latigo.reports.limits import ConfiguredLimits, read_limits
from latigo.reports.models import SQL as MODELS_SQL
from latigo.reports.models import KnownModel, read_models
from latigo.reports.plan import SQL as PLAN_SQL
from latigo.reports.plan import MissingWindow, read_plan
from latigo.reports.status import read_status
from latigo.reports.tasks import TaskFilter, read_tasks
from latigo.runtime.serialization import to_json
from latigo.settings import ObjectiveSettings
from tests.support.build import HALF_HOUR, NOW, a_task, an_entry, at
from tests.support.ledgers import Ledgers

HALF_PAST = to_range(Window(at("10:30"), at("11:00")))
CHANNEL = "eventhub/plant.example/latigo"
TIME, TEXT, COUNT, NUMBER, FLAG = "time", "text", "count", "number", "flag"


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    """A ledger with one of everything that a report can name."""
    await ledgers.set_clock(NOW)
    await ledgers.scheduler.acquire_lease("scheduler-1", timedelta(days=1))
    await ledgers.executor.register(ExecutorInfo("executor-1", "test", 1, 1, 8))
    await ledgers.models.project_listed("plant", "1000", ["pump", "fan", "valve"], ["compressor"])
    await ledgers.models.project_outdated("plant", "999")
    await ledgers.fetch(
        "INSERT INTO lateness VALUES ('sensors/files', ledger_now()::date, '5 minutes', true, 9),"
        " ('sensors/files', ledger_now()::date, '12 minutes', false, 1)"
    )
    await ledgers.fetch("INSERT INTO sink VALUES ('sink/second', true, ledger_now(), NULL)")
    await ledgers.models.put_models([an_entry("pump"), an_entry("fan")])
    await ledgers.models.put_models([an_entry("mixer", project="second")])
    await ledgers.fetch(
        "UPDATE coverage SET covered = tstzmultirange($1) FROM model m WHERE m.id = model_id AND m.name = 'fan'",
        to_range(Window(at("10:00"), at("12:00"))),
    )
    await ledgers.fetch(
        "INSERT INTO sink_model (sink, model_id, lacks) SELECT 'sink/second', id, tstzmultirange($1) FROM model"
        " WHERE name = 'fan'",
        HALF_PAST,
    )
    await ledgers.fetch(
        "INSERT INTO slot_exception (model_id, state, reason, looks, next_look, slots)"
        " SELECT id, 'absent', 'silent', 0, 'infinity', tstzmultirange($1) FROM model WHERE name = 'pump'",
        HALF_PAST,
    )
    await ledgers.fetch(
        "INSERT INTO slot_exception (model_id, state, reason, looks, next_look, slots)"
        " SELECT id, 'absent', $2, 0, ledger_now(), tstzmultirange($1) FROM model WHERE name = 'mixer'",
        *(HALF_PAST, NO_FINITE_VALUES),
    )
    await ledgers.fetch(
        "INSERT INTO parked (model_id, revision, reason, detail, windows, since, version)"
        " SELECT id, revision, $2, 'gave up', tstzmultirange($1), ledger_now(), 'test' FROM model WHERE name = 'pump'",
        *(HALF_PAST, Reason.ATTEMPTS.value),
    )
    await ledgers.fetch(
        "INSERT INTO task (model_id, epoch, span, lane, state, planned_at, not_before, detail, attempts)"
        " SELECT id, 1, $1, 'backfill', 'waiting', ledger_now(), ledger_now(), 'in a while', 2 FROM model"
        " WHERE name = 'pump'",
        HALF_PAST,
    )
    await ledgers.fetch(
        "INSERT INTO task_history (id, model_id, revision, epoch, span, lane, outcome, attempts, starts, rows, covered,"
        " planned_at, settled_at) SELECT 7, id, revision, 1, $1, 'live', 'stored', 1, 1, 180, interval '30 minutes',"
        " ledger_now(), ledger_now() FROM model WHERE name = 'fan'",
        HALF_PAST,
    )
    await ledgers.fetch(
        "INSERT INTO queue_partition (channel, consumer_group, partition, begin_sequence, last_sequence, read_at)"
        " VALUES ($1, 'latigo', '0', 0, 7, ledger_now())",
        CHANNEL,
    )
    await ledgers.fetch(
        "INSERT INTO queue_checkpoint VALUES ($1, 'latigo', '0', 3, '300', ledger_now())",
        CHANNEL,
    )
    await ledgers.fetch(
        "INSERT INTO queue_refused (channel, partition, sequence, reason, detail, at)"
        " VALUES ($1, '0', 5, 'unreadable', 'not JSON', ledger_now())",
        CHANNEL,
    )
    await ledgers.fetch(
        "UPDATE coverage SET silent_since = $1 WHERE model_id = (SELECT id FROM model WHERE name = 'pump')", at("10:30")
    )
    await ledgers.fetch("UPDATE slot_exception SET tags = '{LT-1}'")
    bad = BadReadingCount("a.csv", "A", Fault.TEXT, 3, "line 2: 'Bad'", NOW, NOW)
    await BadReadingReports(ledgers.database, "executor-1").report([bad])
    await QueueOutages(ledgers.database, "executor-1").report({"executor": "refused"})
    await ledgers.fetch(
        "INSERT INTO repair (model_id, task_id, claim, due_at, slots)"
        " SELECT id, 1, 1, ledger_now(), tstzmultirange($1) FROM model WHERE name = 'fan'",
        HALF_PAST,
    )
    await set_limits(ledgers.database, "operator", Limits(concurrency=4), "slow server")
    await drain(ledgers.database, "operator", "executor-1", "patched")
    await ledgers.fetch("INSERT INTO pause VALUES ('plant', 'mixer', 'somebody', ledger_now(), 'repair')")
    await ledgers.fetch(
        "INSERT INTO discovery (source, error, failing_since, quarantined_since)"
        " VALUES ('metadata_api', 'no answer', ledger_now(), ledger_now())"
    )
    await ledgers.fetch(
        "INSERT INTO prediction_metadata (model_id, sink, revision, columns, stored_at, next_try, error)"
        " SELECT id, 'sink/timeseries', revision, '[]', ledger_now(), ledger_now(), '502' FROM model WHERE name = 'fan'"
    )
    await ledgers.executor.examine(a_task(id=2**40))
    await ledgers.executor.open_circuit("sink/second", "no route", alarm=False, pause=timedelta(seconds=15))
    await ledgers.executor.heartbeat("executor-1", in_flight=1, limit=8, concurrency=8)
    await ledgers.executor.register(ExecutorInfo("executor-2", "test", 1, 1, 8))
    await ledgers.executor.heartbeat("executor-2", in_flight=1, limit=8, concurrency=8)
    await ledgers.fetch("UPDATE task_history SET claimed_at = settled_at - interval '3 seconds'")
    await ledgers.fetch("UPDATE tally SET counted_until = ledger_now(), stale = $1", {"plant": {"gordo": 1}})
    await ledgers.fetch(
        "INSERT INTO freshness SELECT ledger_now(), 'plant', unnest(ARRAY['fresh', 'gordo']), interval '1 minute'"
    )
    await ledgers.fetch("INSERT INTO freshness_total SELECT project, outcome, model_time FROM freshness")
    term = await ledgers.scheduler.acquire_lease("scheduler-1", timedelta(days=1))
    assert term is not None
    await PostgresFreshnessLedger(ledgers.database).sum_slots(term, timedelta(minutes=1))
    return ledgers


def fields(answer: object) -> Any:
    """What a program sees: the keys in their order, and the kind of each value; of a list, its first entry."""
    match answer:
        case dict():
            return {key: fields(value) for key, value in answer.items()}
        case [first, *_]:
            return [fields(first)]
        case bool():
            return FLAG
        case int():
            return COUNT
        case float():
            return NUMBER
        case str():
            return TIME if answer[:4] == "2026" and answer.endswith("Z") else TEXT
    return answer


def in_json(answer: object) -> Any:
    return json.loads(to_json(answer))


ACHIEVED = {
    "share": NUMBER,
    "budget_left": NUMBER,
    "burn_hour": NUMBER,
    "burn_six_hours": NUMBER,
    "burn_month": NUMBER,
    "causes": [{"cause": TEXT, "hour": NUMBER, "six_hours": NUMBER, "month": NUMBER}],
    "stale_by_cause": {"gordo": COUNT},
}
STATUS = {
    "version": TEXT,
    "now": TIME,
    "planner": {"holder": TEXT, "term": COUNT},
    "executors": [
        {
            "id": TEXT,
            "version": TEXT,
            "envelope_low": COUNT,
            "envelope_high": COUNT,
            "concurrency": COUNT,
            "working_limit": COUNT,
            "in_flight": COUNT,
            "started_at": TIME,
            "seen_at": TIME,
            "drained_at": TIME,
            "drained_by": TEXT,
            "drain_reason": TEXT,
            "drain_stops": FLAG,
        }
    ],
    "projects": [
        {
            "project": TEXT,
            "revision": TEXT,
            "listed_at": TIME,
            "error": TEXT,
            "doubted_since": None,
            "undescribed": COUNT,
            "active": COUNT,
            "paused": COUNT,
            "unusable": COUNT,
            "missing": COUNT,
            "retired": COUNT,
            "silent": COUNT,
            "parked": COUNT,
            "stale": COUNT,
            "oldest": TIME,
            "backlog_slots": NUMBER,
            "not_built": COUNT,
            "outdated_since": TIME,
            "outdated_revision": TEXT,
            "fresh": COUNT,
            "late": COUNT,
            "state": TEXT,
            "stuck": COUNT,
            "circuit": TEXT,
            "behind_s": NUMBER,
        }
    ],
    "backlog": {"slots": COUNT, "calls": COUNT, "as_of": TIME, "seconds": None},
    "outstanding": {
        "outstanding": COUNT,
        "live": COUNT,
        "waiting": COUNT,
        "unpublished": COUNT,
        "oldest_live_at": None,
    },
    "queue": {
        "lag": COUNT,
        "partitions": [
            {
                "channel": TEXT,
                "partition": TEXT,
                "last_sequence": COUNT,
                "checkpoint": COUNT,
                "lag": COUNT,
                "read_at": TIME,
                "hub_recreated": FLAG,
            }
        ],
        "refused": [{"reason": TEXT, "messages": COUNT, "newest": TIME, "example": TEXT}],
        "mismatched": [{"kind": TEXT, "task": COUNT, "first_at": TIME, "last_at": TIME, "example": TEXT}],
    },
    "rates": {
        "needed_slots_per_second": NUMBER,
        "covered_slots_per_second": NUMBER,
        "rows_per_second": NUMBER,
        "tasks_per_second": NUMBER,
        "recent_slots_per_second": NUMBER,
        "possible_slots_per_second": NUMBER,
    },
    "circuits": [
        {"downstream": TEXT, "reason": TEXT, "alarm": FLAG, "opened_at": TIME, "pause_s": NUMBER, "probe_at": TIME}
    ],
    "exceptions": [{"project": TEXT, "state": TEXT, "models": COUNT, "slots": NUMBER}],
    "failures": [
        {
            "project": TEXT,
            "reason": TEXT,
            "models": COUNT,
            "stuck": COUNT,
            "since": TIME,
            "example": TEXT,
            "sensor": None,
        },
    ],
    "stale": [{"project": TEXT, "model": TEXT, "looked_until": TIME, "due": TIME}],
    "unstored": [{"project": TEXT, "reason": TEXT, "models": COUNT, "names": [TEXT], "example": TEXT}],
    "silent_sensors": [{"tag": TEXT, "since": TIME, "models": COUNT, "projects": [TEXT]}],
    "silent_sensor_count": COUNT,
    "queue_outages": [{"role": TEXT, "processes": COUNT, "reason": TEXT, "since": TIME}],
    "bad_readings": [
        {
            "place": TEXT,
            "tag": TEXT,
            "fault": TEXT,
            "readings": COUNT,
            "example": TEXT,
            "first_at": TIME,
            "last_at": TIME,
        }
    ],
    "bad_reading_kinds": COUNT,
    "repairs": {"models": COUNT, "slots": NUMBER, "projects": [TEXT], "due_at": TIME},
    "pauses": [{"project": TEXT, "model": TEXT, "who": TEXT, "at": TIME, "reason": TEXT}],
    "pause_count": COUNT,
    "limits": [{"name": TEXT, "value": NUMBER, "who": TEXT, "at": TIME, "reason": TEXT}],
    "requests": {"active": COUNT, "paused": COUNT},
    "dismissed_models": COUNT,
    "discovery": {"source": TEXT, "error": TEXT, "alarm": FLAG, "failing_since": TIME, "quarantined_since": TIME},
    "unposted_metadata": {"models": COUNT, "since": TIME, "error": TEXT},
    "not_built": [{"project": TEXT, "model": TEXT, "since": TIME}],
    "not_built_count": COUNT,
    "sinks": [
        {
            "sink": TEXT,
            "since": TIME,
            "models": COUNT,
            "slots": COUNT,
            "lost": COUNT,
            "request": None,
            "request_paused": FLAG,
        }
    ],
    "lateness": [{"source": TEXT, "slots": COUNT, "complete_share": NUMBER, "delay": NUMBER}],
    "freshness": {
        **ACHIEVED,
        "fresh_within_s": NUMBER,
        "target": NUMBER,
        "fresh": COUNT,
        "stale": COUNT,
        "counted_until": TIME,
        "projects": [{**ACHIEVED, "project": TEXT}],
    },
    "stages": [],
    "limited_by": TEXT,
    "alarms": [TEXT],
    "stale_models": COUNT,
    "healthy": FLAG,
    "state": TEXT,
    "causes": [
        {"kind": TEXT, "state": TEXT, "text": TEXT, "projects": [], "since": TIME, "next_try": None, "href": TEXT}
    ],
    "headline": TEXT,
}
FAILURE: dict[str, Any] = {
    "project": TEXT,
    "model": TEXT,
    "state": TEXT,
    "reason": TEXT,
    "detail": TEXT,
    "since": TIME,
    "revision": TEXT,
    "first": TIME,
    "last": TIME,
    "next_attempt": TIME,
    "attempts": COUNT,
    "tags": [],
    "dismissed_by": TEXT,
    "dismissed_at": None,
    "note": TEXT,
}


async def test_a_status_has_these_fields(ledger: Ledgers):
    objective = ObjectiveSettings(fresh_within=timedelta(hours=1))
    status = in_json(await read_status(ledger.database, "test", objective))

    assert fields(status) == STATUS
    assert json.dumps(fields(status)) == json.dumps(STATUS)  # in this order
    assert (status["queue"]["lag"], status["rates"]["rows_per_second"]) == (4, 0.6)


async def test_an_empty_ledger_has_a_status_with_the_same_fields(ledgers: Ledgers):
    status = in_json(await read_status(ledgers.database, "test"))

    assert list(status) == list(STATUS)
    assert status["planner"] is None
    unknown = {"possible_slots_per_second": None}
    assert status["rates"] == dict.fromkeys(STATUS["rates"], 0) | unknown
    assert {name: status["freshness"][name] for name in ACHIEVED} == dict.fromkeys(ACHIEVED) | {
        "causes": [],
        "stale_by_cause": {},
    }


async def test_failures_have_these_fields(ledger: Ledgers):
    failures = in_json(await read_failures(ledger.database))

    excepted, message, parked, waiting = sorted(failures, key=lambda each: str(each["state"]))
    nothing = {"next_attempt": None}
    assert json.dumps(fields(waiting)) == json.dumps(FAILURE)
    assert fields(excepted) == FAILURE
    assert fields(parked) == FAILURE | nothing
    assert fields(message) == FAILURE | nothing | {"first": None, "last": None}


async def test_models_have_these_fields(ledger: Ledgers):
    (first, *_) = in_json(await read_models(ledger.database))

    assert json.dumps(fields(first)) == json.dumps(
        {
            "project": TEXT,
            "model": TEXT,
            "revision": TEXT,
            "epoch": COUNT,
            "state": TEXT,
            "since": TIME,
            "slot": NUMBER,
            "delay": NUMBER,
            "fold": NUMBER,
            "anomaly": None,
            "resolution": TEXT,
            "covered_until": TIME,
            "silent_since": None,
            "parked": FLAG,
            "not_finite_share": None,
            "missing_since": None,
            "cause": TEXT,
        }
    )


async def test_rows_that_are_not_validated_have_the_types_that_they_should(ledger: Ledgers):
    models = [*await read_models(ledger.database), *await read_models(ledger.database, state="expected")]
    plan = await read_plan(ledger.database, most=0)

    assert {model.state for model in models} == {"active", "expected"}
    assert {window.live for window in plan.windows} == {True, False}
    for row in [*models, *plan.windows]:
        for name, kind in get_type_hints(type(row)).items():
            if name != "__pydantic_config__":
                TypeAdapter(kind).validate_python(getattr(row, name), strict=True)


async def test_rows_that_are_made_by_the_places_of_columns_have_them_in_order(ledger: Ledgers):
    connection = await asyncpg.connect(ledger.url)
    try:
        models, windows = [
            [column.name for column in (await connection.prepare(sql)).get_attributes()]
            for sql in (MODELS_SQL["models"], PLAN_SQL["plan"])
        ]
    finally:
        await connection.close()

    *of_model, _cause = [field.name for field in dataclasses.fields(KnownModel)]
    assert models == [*of_model, "why", "total"]
    assert windows == ["models", *[field.name for field in dataclasses.fields(MissingWindow)], "rank", "total"]


async def test_a_plan_has_these_fields(ledger: Ledgers):
    plan = in_json(await read_plan(ledger.database))

    window = {
        "project": TEXT,
        "model": TEXT,
        "start": TIME,
        "end": TIME,
        "slots": NUMBER,
        "calls": COUNT,
        "live": FLAG,
        "held": FLAG,
        "repair": FLAG,
        "requested": FLAG,
    }
    project = {"project": TEXT, "models": COUNT, "slots": NUMBER, "calls": NUMBER}
    assert json.dumps(fields(plan)) == json.dumps({"windows": [window], "projects": [project], "backfill_paused": None})


async def test_a_cost_has_these_fields(ledger: Ledgers):
    await ledger.fetch("UPDATE model SET spec = jsonb_set(spec, '{accepts_nan}', 'true')")
    for model, ms, lane in (("fan", 200, "live"), ("mixer", 60, "live"), ("mixer", 50, "backfill")):
        receipt = Receipt({"predict": ms}, 300).to_bytes()
        await ledger.fetch(
            "INSERT INTO task_history (id, model_id, revision, epoch, span, lane, outcome, attempts, starts, rows,"
            " planned_at, settled_at, receipt) SELECT n, id, '1', 1, $2, $3, 'stored', 0, 1, 9, ledger_now(),"
            " ledger_now() - interval '1 hour' + n * $5::interval, $4"
            " FROM model, generate_series(1, $6) n WHERE name = $1",
            *(model, HALF_PAST, lane, receipt, timedelta(seconds=60 if lane == "live" else 1), FEWEST_CALLS),
        )

    cost = in_json(await read_cost(ledger.database, Capacity(HALF_HOUR, DAY, 1, 2), DAY, NOW))

    loaded = {"project": TEXT, "model": TEXT, "live_ms": NUMBER, "in_memory_ms": NUMBER, "compared_with": TEXT}
    assert json.dumps(fields(cost)) == json.dumps(
        {
            "at": TIME,
            "calls": COUNT,
            "since": TIME,
            "enough": FLAG,
            "models": COUNT,
            "keras_models": COUNT,
            "live_calls_per_hour": NUMBER,
            "backlog_calls": NUMBER,
            "within": NUMBER,
            "cores_in_use": NUMBER,
            "cores_live": NUMBER,
            "cores_backlog": NUMBER,
            "judged": COUNT,
            "loaded": [loaded],
            "loaded_count": COUNT,
            "suggestions": [{"setting": TEXT, "value": TEXT, "cores_saved": NUMBER, "text": TEXT}],
        }
    )


RECEIPT = {
    "task": COUNT,
    "lane": TEXT,
    "revision": TEXT,
    "epoch": COUNT,
    "start": TIME,
    "end": TIME,
    "outcome": TEXT,
    "reason": TEXT,
    "detail": TEXT,
    "attempts": COUNT,
    "starts": COUNT,
    "rows": COUNT,
    "covered": NUMBER,
    "worker": TEXT,
    "planned_at": TIME,
    "claimed_at": TIME,
    "settled_at": TIME,
    "stages": {
        "claim": COUNT,
        "waiting": COUNT,
        "read": COUNT,
        "frame": COUNT,
        "predict": COUNT,
        "write": COUNT,
        "settle": COUNT,
    },
    "inputs": {
        "labels": COUNT,
        "tags": [{"tag": TEXT, "readings": COUNT, "rows": COUNT}],
        "filled_share": NUMBER,
        "newest_reading": TIME,
    },
    "sinks": [TEXT],
    "highest_total_anomaly": NUMBER,
    "rows_over_threshold": COUNT,
    "anomaly_carried_by": [{"tag": TEXT, "share": NUMBER}],
}
EXPLANATION = {
    "project": TEXT,
    "model": TEXT,
    "at": TIME,
    "now": TIME,
    "state": TEXT,
    "model_state": TEXT,
    "missing_since": None,
    "revision": TEXT,
    "slot_start": TIME,
    "slot_end": TIME,
    "due_at": TIME,
    "since": TIME,
    "first_seen": TIME,
    "covered": FLAG,
    "expired": FLAG,
    "history": NUMBER,
    "receipt": RECEIPT,
    "earlier": [],
    "receipts": COUNT,
    "exception": None,
    "parked": [],
    "tasks": [],
    "pauses": [],
    "dismissed": [],
    "backfill_paused": None,
    "unregistered_by": TEXT,
    "unregistered_at": None,
    "silent_since": None,
    "held_until": None,
    "held_for": TEXT,
    "listing_error": TEXT,
    "quarantined_since": None,
    "circuits": [{"downstream": TEXT, "reason": TEXT, "opened_at": TIME}],
    "requests": [],
    "sinks": [{"sink": TEXT, "lost": FLAG}],
    "repair_due_at": TIME,
    "gap": None,
    "planner": FLAG,
    "executors": COUNT,
    "drained_executors": COUNT,
    "outstanding": COUNT,
    "partial": FLAG,
}


async def test_an_explanation_of_a_covered_moment_has_these_fields(ledger: Ledgers):
    measured = Inputs(readings=(3, 3), rows=(3, 2), labels=3, filled=1, newest_age=60)
    receipt = Receipt({"read": 5}, 10, measured, ("sink/postgres",), Score(0.5, 0, (Carrier(0, 100),)))
    await ledger.fetch(
        "UPDATE task_history SET receipt = $1, claimed_by = 'host/1', claimed_at = settled_at", receipt.to_bytes()
    )

    explanation = in_json(await read_explanation(ledger.database, ModelRef("plant", "fan"), at("10:45"), DAY))

    assert json.dumps(fields(explanation)) == json.dumps(EXPLANATION)


async def test_an_explanation_of_a_parked_moment_has_these_fields(ledger: Ledgers):
    await dismiss(ledger.database, "operator", Failing("plant", "pump", Reason.ATTEMPTS.value), "known")
    await set_limits(ledger.database, "operator", Limits(backfill_paused=True), "reports")
    explanation = in_json(await read_explanation(ledger.database, ModelRef("plant", "pump"), at("10:45"), DAY))

    exception = {"state": TEXT, "reason": TEXT, "tags": [TEXT], "rechecks": COUNT, "next_check": None}
    parked = {
        "revision": TEXT,
        "reason": TEXT,
        "detail": TEXT,
        "since": TIME,
        "tags": [],
        "latigo_does": TEXT,
        "you_can_do": TEXT,
    }
    task = {
        "task": COUNT,
        "lane": TEXT,
        "state": TEXT,
        "place": TEXT,
        "start": TIME,
        "end": TIME,
        "attempts": COUNT,
        "planned_at": TIME,
        "published_at": None,
        "claimed_at": None,
        "worker": None,
        "lease_until": None,
        "not_before": TIME,
        "detail": TEXT,
        "probe": FLAG,
        "request": None,
        "paused_by": [TEXT],
        "has_it": FLAG,
    }
    paused = {"who": TEXT, "at": TIME, "reason": TEXT}
    other: dict[str, Any] = {
        "receipt": None,
        "silent_since": TIME,
        "sinks": [],
        "repair_due_at": None,
        "backfill_paused": paused,
    }
    dismissed = {"revision": TEXT, "reason": TEXT, "who": TEXT, "at": TIME, "note": TEXT}
    named = {"exception": exception, "parked": [parked], "tasks": [task], "dismissed": [dismissed]}
    assert json.dumps(fields(explanation)) == json.dumps(EXPLANATION | other | named)


async def test_a_retry_has_these_fields(ledger: Ledgers):
    unparked = in_json((await retry(ledger.database, "operator")).unparked)

    assert json.dumps(fields(unparked)) == json.dumps([{"project": TEXT, "model": TEXT, "reason": TEXT}])


async def test_limits_have_these_fields(ledger: Ledgers):
    configured = ConfiguredLimits(concurrency=8, backfill_share=0.05, outstanding=0)
    await set_limits(ledger.database, "operator", Limits(backfill_paused=True), "reports")
    limits = in_json(await read_limits(ledger.database, configured))

    limit = {
        "name": TEXT,
        "key": TEXT,
        "settings": NUMBER,
        "now": NUMBER,
        "measured": FLAG,
        "changed_at": TIME,
        "changed_by": TEXT,
        "reason": TEXT,
    }
    assert json.dumps(fields(limits)) == json.dumps(
        {
            "limits": [limit],
            "backfill_paused": {"who": TEXT, "at": TIME, "reason": TEXT},
            "executors": STATUS["executors"],
        }
    )


async def test_tasks_circuits_and_dismissals_have_these_fields(ledger: Ledgers):
    tasks = in_json(await read_tasks(ledger.database, TaskFilter()))
    circuits = in_json(await read_open_circuits(ledger.database))
    dismissed = in_json(await dismiss(ledger.database, "operator", Failing(), "known"))

    assert json.dumps(fields(tasks)) == json.dumps(
        [
            {
                "project": TEXT,
                "model": TEXT,
                "start": TIME,
                "end": TIME,
                "lane": TEXT,
                "state": TEXT,
                "attempts": COUNT,
                "starts": COUNT,
                "executor": TEXT,
                "planned_at": TIME,
                "claimed_at": None,
                "next_attempt": TIME,
                "detail": TEXT,
            }
        ]
    )
    assert json.dumps(fields(circuits)) == json.dumps(
        [
            {
                "downstream": TEXT,
                "reason": TEXT,
                "alarm": FLAG,
                "opened_at": TIME,
                "probe_at": TIME,
                "held_models": COUNT,
            }
        ]
    )
    assert json.dumps(fields(dismissed)) == json.dumps({"failures": COUNT, "models": COUNT, "digest": TEXT})
