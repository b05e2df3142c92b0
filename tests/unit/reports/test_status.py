"""What follows from a snapshot of the ledger."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from latigo.domain.health import State
from latigo.domain.limits import BACKFILL_PAUSED
from latigo.reports.freshness import Counted, Freshness, Spent, freshness_of
from latigo.reports.gauges import gauges_of
from latigo.reports.outages import RECENT
from latigo.reports.snapshot import RATE_SECONDS, Snapshot
from latigo.reports.status import BACKFILL_WAITS, NO_EXECUTOR, NO_PLANNER, assess
from latigo.reports.status_parts import (
    BacklogTotals,
    ChangedLimit,
    DiscoveryTrouble,
    ExecutorStatus,
    OpenCircuit,
    OutstandingTasks,
    ParkedModels,
    PartitionLag,
    PendingRepairs,
    Planner,
    ProjectStatus,
    QueueOutage,
    QueueStatus,
    Rates,
    SilentSensor,
    UnpostedMetadata,
    UnstoredModels,
)
from latigo.settings import ObjectiveSettings

HOUR = timedelta(hours=1)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CHANNEL = "eventhub/plant.example/latigo"


def a_project(**changes: Any) -> ProjectStatus:
    counts = dict.fromkeys(
        ("undescribed", "active", "paused", "unusable", "missing", "retired", "silent", "parked", "stale"), 0
    )
    facts: dict[str, Any] = {"error": "", "doubted_since": None, "oldest": NOW - timedelta(minutes=30)}
    facts["late"] = changes.get("stale", 0)
    names = {"project": "plant", "revision": "1000", "listed_at": NOW}
    return ProjectStatus(**{**names, **facts, **counts, **changes})


def an_executor(in_flight: int) -> ExecutorStatus:
    return ExecutorStatus(
        id="executor-1",
        version="test",
        envelope_low=1,
        envelope_high=1,
        concurrency=8,
        working_limit=5,
        in_flight=in_flight,
        started_at=NOW,
        seen_at=NOW,
    )


def a_partition(**changes: Any) -> PartitionLag:
    facts = {"partition": "0", "last_sequence": 7, "checkpoint": 3, "lag": 4, "read_at": NOW, "hub_recreated": False}
    return PartitionLag(channel=CHANNEL, **{**facts, **changes})


def a_snapshot(**changes: Any) -> Snapshot:
    facts: dict[str, Any] = {
        "planner": Planner(holder="scheduler-1", term=1),
        "executors": [an_executor(0)],
        "projects": [a_project(active=2)],
        "outstanding": OutstandingTasks(outstanding=0, live=0, waiting=0, unpublished=0),
        "queue": QueueStatus(lag=0, partitions=[], refused=[]),
        "circuits": [],
        "failures": [],
        "backlog": BacklogTotals(slots=0, calls=0),
        "rates": Rates(needed_slots_per_second=0, covered_slots_per_second=0, rows_per_second=0, tasks_per_second=0),
    }
    return Snapshot(
        version="test",
        now=NOW,
        exceptions=[],
        stale=[],
        **{**facts, **changes},
    )


OPEN = OpenCircuit(downstream="gordo/plant", reason="503", alarm=False, opened_at=NOW, pause_s=15)
OUTAGE = QueueOutage(role="scheduler", processes=1, reason="event hub: refused", since=NOW)
AT_WORK = OutstandingTasks(outstanding=3, live=1, waiting=0, unpublished=0)


def parked(stuck: int) -> ParkedModels:
    return ParkedModels(project="plant", reason="crashed", models=2, stuck=stuck, since=NOW, example="KeyError")


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, State.HEALTHY),
        ({"failures": [parked(stuck=0)]}, State.HEALTHY),
        ({"projects": [a_project(stale=1)]}, State.RECOVERING),
        ({"projects": [a_project(undescribed=1)]}, State.RECOVERING),
        ({"projects": [a_project(stale=1)], "circuits": [OPEN]}, State.RECOVERING),
        ({"circuits": [OPEN.model_copy(update={"opened_at": NOW - RECENT})]}, State.NEEDS_ATTENTION),
        ({"circuits": [OPEN.model_copy(update={"alarm": True})]}, State.NEEDS_ATTENTION),
        ({"circuits": [OPEN], "failures": [parked(stuck=1)]}, State.NEEDS_ATTENTION),
        ({"queue_outages": [OUTAGE]}, State.NEEDS_ATTENTION),
        ({"projects": [a_project(error="503", listed_at=NOW)]}, State.RECOVERING),
        ({"projects": [a_project(error="503", listed_at=NOW - RECENT)]}, State.NEEDS_ATTENTION),
        ({"projects": [a_project(error="503", listed_at=None)]}, State.NEEDS_ATTENTION),
        ({"projects": [a_project(silent=1)]}, State.RECOVERING),
        ({"projects": [a_project(active=4, silent=4)]}, State.RECOVERING),
        ({"projects": [a_project(active=3, silent=3), a_project(active=3, silent=2)]}, State.RECOVERING),
        ({"projects": [a_project(active=3, silent=3), a_project(active=2, silent=2)]}, State.NEEDS_ATTENTION),
        ({"planner": None}, State.NEEDS_ATTENTION),
        ({"executors": []}, State.NEEDS_ATTENTION),
        ({"failures": [parked(stuck=1)]}, State.NEEDS_ATTENTION),
    ],
)
def test_the_state_is_healthy_only_while_nothing_is_late_and_no_operator_has_to_act(changes: Any, state: State) -> None:
    status = assess(a_snapshot(**changes))

    assert status.state == state
    assert status.healthy == (state is State.HEALTHY)


def test_a_snapshot_is_kept_whole_in_its_status() -> None:
    snapshot = a_snapshot(projects=[a_project(stale=2), a_project(stale=3)])

    status = assess(snapshot)

    judged = {"state", "stuck", "circuit", "behind_s"}
    whole, kept = snapshot.model_dump(), status.model_dump(include=set(Snapshot.model_fields))
    for dump in (whole, kept):
        dump["projects"] = [
            {name: value for name, value in project.items() if name not in judged} for project in dump["projects"]
        ]
    assert status.stale_models == 5
    assert kept == whole


def test_each_project_has_its_own_verdict_and_the_worst_of_it() -> None:
    names = ("calm", "late", "stuck", "down")
    projects = [a_project(project=name, stale=int(name in {"late", "stuck"})) for name in names]
    failures = [parked(stuck=2).model_copy(update={"project": "stuck", "reason": reason}) for reason in ("a", "b")]

    judged = assess(a_snapshot(projects=projects, failures=failures, circuits=[refused("down")])).projects

    assert [(each.project, each.state, each.stuck, bool(each.circuit), each.behind_s) for each in judged] == [
        ("calm", State.HEALTHY, 0, False, 1800.0),
        ("late", State.RECOVERING, 0, False, 1800.0),
        ("stuck", State.NEEDS_ATTENTION, 4, False, 1800.0),
        ("down", State.RECOVERING, 0, True, 1800.0),
    ]


def test_a_cause_leads_to_the_page_that_has_more_and_says_when_it_is_tried_again() -> None:
    probe = NOW + timedelta(seconds=15)
    circuits = [refused("plant").model_copy(update={"probe_at": probe})]

    stuck, down = assess(a_snapshot(failures=[parked(stuck=1)], circuits=circuits)).causes

    assert (stuck.kind, stuck.href, stuck.next_try) == ("parked", "failures?state=parked", None)
    assert (down.kind, down.href, down.next_try) == ("unavailable", "queue", probe)


def test_the_headline_is_the_verdict_with_its_worst_cause() -> None:
    fresh = Freshness(fresh=8, stale=0)
    healthy = assess(a_snapshot(projects=[a_project(active=9)], freshness=fresh))
    ill = assess(a_snapshot(projects=[a_project(stale=1)], failures=[parked(stuck=1)]))

    assert healthy.headline == "Healthy: 8 of 9 models are fresh"
    assert assess(a_snapshot(projects=[])).headline == "Healthy: no model is known yet"
    assert ill.headline == f"Needs attention: {ill.causes[0].text}"


@pytest.mark.parametrize(
    ("changes", "limit"),
    [
        ({"planner": None, "executors": []}, NO_PLANNER),
        ({"executors": [], "circuits": [OPEN]}, NO_EXECUTOR),
        ({"circuits": [OPEN, OPEN.model_copy(update={"downstream": "sink/a"})]}, "waiting for gordo/plant, sink/a"),
        ({}, "nothing: there is nothing to do now"),
        (
            {"backlog": BacklogTotals(slots=3, calls=1)},
            "nothing: no task is out, and what is left of the backlog is planned within seconds",
        ),
        ({"outstanding": AT_WORK}, "nothing: work is under way"),
        (
            {"outstanding": AT_WORK, "executors": [an_executor(8), an_executor(0)]},
            "gordo: the model server takes 10 calls at once, and executors have 16 tasks",
        ),
        (
            {"outstanding": AT_WORK, "executors": [an_executor(8).model_copy(update={"working_limit": 8})]},
            "executor.concurrency: executors have 8 tasks at once, and the model server takes as many calls",
        ),
    ],
)
def test_what_limits_the_service_is_named(changes: Any, limit: str) -> None:
    assert assess(a_snapshot(**changes)).limited_by == limit


def test_repairs_wait_while_backfill_is_paused() -> None:
    repairs = PendingRepairs(slots=2, models=1, projects=["plant"], due_at=NOW)
    pause = ChangedLimit(name=BACKFILL_PAUSED, value=1, who="anna", at=NOW, reason="reports")

    (going_on,), (waiting,) = (
        [cause.text for cause in assess(a_snapshot(repairs=repairs, limits=limits)).causes if cause.kind == "repairs"]
        for limits in ([], [pause])
    )

    assert going_on.endswith("predicted again")
    assert waiting.endswith(f"predicted again when backfill is resumed: {BACKFILL_WAITS}")


def test_each_reason_for_an_operator_to_act_is_an_alarm() -> None:
    partitions = [a_partition(hub_recreated=True), a_partition(partition="1", hub_recreated=True)]

    status = assess(
        a_snapshot(
            queue=QueueStatus(lag=8, partitions=partitions, refused=[]),
            projects=[a_project(error="404"), a_project(doubted_since=NOW)],
        )
    )

    recreated, listing, loss = status.alarms
    assert recreated.startswith(f"{CHANNEL} was recreated")
    assert listing == "plant: its models cannot be listed: 404"
    assert "lost too many models" in loss


@pytest.mark.parametrize(
    ("models", "names", "named"),
    [(2, ["fan", "pump"], "2, fan, pump"), (3, ["fan", "pump"], "3, fan, pump and others")],
)
def test_models_without_predictions_in_their_newest_slot_need_attention_and_are_named(
    models: int, names: list[str], named: str
) -> None:
    cause = {"reason": "not_stored", "example": "not_stored: sink/influx"}

    status = assess(a_snapshot(unstored=[UnstoredModels(project="plant", models=models, names=names, **cause)]))

    assert status.state is State.NEEDS_ATTENTION
    assert status.alarms == [
        (
            f"plant: models that lack predictions in their newest slot, {cause['example']}: {named}"
            f" (latigo failures --project plant --reason {cause['reason']})"
        )
    ]
    assert gauges_of(status).unstored == {"plant": models}


def test_gauges_are_the_numbers_of_the_status_by_project_and_partition() -> None:
    status = assess(
        a_snapshot(
            queue=QueueStatus(lag=4, partitions=[a_partition()], refused=[]),
            projects=[
                a_project(active=2, stale=1, parked=1, backlog_slots=7),
                a_project().model_copy(update={"project": "new", "oldest": None}),
            ],
        )
    )

    counters = {("plant", "fresh"): Spent(month=9 * HOUR), ("plant", "gordo"): Spent(month=HOUR)}
    objective = ObjectiveSettings(share=0.8)
    counted = freshness_of(Counted(counters, NOW, {"plant": {"gordo": 1}}), objective, fresh=1, stale=1)
    values = gauges_of(status.model_copy(update={"freshness": counted}))

    assert values.state is status.state is State.RECOVERING
    assert values.queue_lag == {"0": 4}
    assert values.unstored == {"plant": 0, "new": 0}
    assert (values.needed, values.possible, values.backlog_s) == (0, None, 0)
    assert values.stale == {"plant": {"gordo": 1}}
    assert tuple(values.projects["plant"]) == pytest.approx((2, 1, 1, 7, 1800, 0.9, 0.5))
    assert values.projects["new"] == (0, 0, 0, 0, None, None, None)


def refused(project: str, minutes: int = 0) -> OpenCircuit:
    """A circuit of a project on the one server, which is down; each with the words of the call that failed last."""
    said = ["ClientConnectorError: Cannot connect to host gordo:80 ssl:default", "no answer within 300 s"][minutes % 2]
    return OpenCircuit(
        downstream=f"gordo/{project}",
        reason=f"POST {project}/model-{minutes}/anomaly/prediction: {said}",
        alarm=False,
        opened_at=NOW - timedelta(minutes=minutes),
        pause_s=15,
    )


def test_a_server_that_is_down_is_one_line_however_many_projects_it_stops() -> None:
    names = [f"plant-{number:02}" for number in range(30)]
    projects = [a_project(project=name, error=f"revisions of {name}: no connection in time", stale=3) for name in names]
    circuits = [refused(name, number % 5) for number, name in enumerate(names[:20])]

    status = assess(a_snapshot(projects=projects, circuits=circuits))

    (cause,) = status.causes
    assert status.alarms == [cause.text]
    assert cause.text == (
        "gordo is unavailable for 30 projects (plant-00, plant-01, plant-02 and 27 more):"
        " ClientConnectorError: Cannot connect to host gordo:80 ssl:default"
    )
    assert (cause.projects, cause.since, cause.state) == (names, NOW - timedelta(minutes=4), State.RECOVERING)
    assert status.stale_models == 90  # counted, and no cause of their own
    assert status.limited_by == "waiting for gordo/plant-00, gordo/plant-01, gordo/plant-02 and 17 more"


@pytest.mark.parametrize(
    "reasons",
    [
        ("POST a/m/prediction: 503 text/plain: no healthy upstream", "GET b/models: no connection in time"),
        ("models of a in revision 1: 500 broken", "models of b in revision 1: 404"),
    ],
)
def test_two_causes_are_two_lines(reasons: tuple[str, str]) -> None:
    circuits = [
        OPEN.model_copy(update={"downstream": f"gordo/{project}", "reason": reason})
        for project, reason in zip("ab", reasons, strict=True)
    ]

    assert assess(a_snapshot(circuits=circuits)).alarms == [
        f"gordo/{project} is unavailable: {reason}" for project, reason in zip("ab", reasons, strict=True)
    ]


def test_a_server_with_readings_and_predictions_is_one_line() -> None:
    reason = "reading 2 tags: ClientConnectorError: Cannot connect to host influx:8086 ssl:default [refused]"
    circuits = [
        OPEN.model_copy(update={"downstream": downstream, "reason": reason})
        for downstream in ("sensors/influx", "sink/influx")
    ]

    assert [cause.text.partition(": ")[0] for cause in assess(a_snapshot(circuits=circuits)).causes] == [
        "sensors/influx, sink/influx are unavailable"
    ]


def test_lists_that_cannot_be_read_for_one_reason_are_one_line() -> None:
    projects = [
        a_project(project=name, error=f"revisions of {name}: the newest is 'x{number}', which is not a number")
        for number, name in enumerate(("east", "west"))
    ]

    assert assess(a_snapshot(projects=projects)).alarms == [
        "the models of 2 projects (east, west) cannot be listed: the newest is 'x0', which is not a number"
    ]


def test_what_is_parked_or_quarantined_for_one_reason_is_one_line() -> None:
    names = ("north", "east", "west", "south")
    failures = [parked(stuck=2).model_copy(update={"project": name}) for name in names]
    projects = [a_project(project=name, doubted_since=NOW) for name in names]

    status = assess(a_snapshot(failures=failures, projects=projects))

    assert status.alarms == [
        (
            "north, east, west and 1 more: model lists that have lost too many models at once are quarantined"
            " (latigo models accept-loss PROJECT)"
        ),
        (
            "8 models of east, north, south and 1 more get no predictions: Latigo crashed on the task"
            " (latigo failures --reason crashed)"
        ),
    ]


def test_a_queue_that_processes_cannot_reach_is_one_line_with_the_processes() -> None:
    executors = QueueOutage(role="executor", processes=3, reason="refused", since=NOW - timedelta(minutes=1))

    status = assess(a_snapshot(queue_outages=[OUTAGE, executors], projects=[a_project(stale=1)]))

    assert status.alarms == ["the task queue is unreachable for 1 scheduler and 3 executors: refused"]
    assert [cause.since for cause in status.causes] == [NOW - timedelta(minutes=1)]
    assert status.limited_by == "waiting for the task queue"


@pytest.mark.parametrize(
    ("uptime_s", "covered", "slots", "state"),
    [
        (RATE_SECONDS + 1, 0.5, 9, State.NEEDS_ATTENTION),
        (RATE_SECONDS + 1, 2.0, 9, State.RECOVERING),  # it falls
        (RATE_SECONDS + 1, 0.5, 0, State.RECOVERING),  # they wait for another attempt
        (RATE_SECONDS - 1, 0.0, 9, State.RECOVERING),  # nobody knows yet
    ],
)
def test_late_models_need_attention_only_while_the_backlog_does_not_fall(
    uptime_s: float, covered: float, slots: int, state: State
) -> None:
    rates = Rates(
        needed_slots_per_second=1,
        covered_slots_per_second=0,
        rows_per_second=0,
        tasks_per_second=0,
        recent_slots_per_second=covered,
    )
    executor = an_executor(0).model_copy(update={"started_at": NOW - timedelta(seconds=uptime_s)})

    status = assess(
        a_snapshot(
            rates=rates,
            executors=[executor],
            backlog=BacklogTotals(slots=slots, calls=1),
            projects=[a_project(stale=2), a_project(project="other", stale=0)],
        )
    )

    (cause,) = status.causes
    assert (status.state, cause.kind, cause.projects) == (state, "stale", ["plant"])
    assert ("does not fall" in cause.text) == (state is State.NEEDS_ATTENTION)


def test_silent_sensors_are_named_with_the_models_that_wait_for_them() -> None:
    since = NOW - timedelta(hours=6)
    sensors = [SilentSensor(tag=f"LT-{n}", since=since, models=9 - n, projects=["plant"]) for n in range(4)]

    status = assess(
        a_snapshot(silent_sensors=sensors, silent_sensor_count=12, projects=[a_project(silent=20), a_project()])
    )

    (cause,) = status.causes
    assert cause.text == "20 models wait for 12 silent sensors (LT-0, LT-1, LT-2 and 9 more)"
    assert (cause.since, status.alarms, status.healthy) == (since, [], False)


def test_models_of_several_projects_that_lack_predictions_for_one_reason_are_one_line() -> None:
    cause = {"reason": "not_stored", "example": "not_stored: sink/influx"}
    unstored = [UnstoredModels(project=name, models=1, names=["pump"], **cause) for name in ("east", "west")]

    assert assess(a_snapshot(unstored=unstored)).alarms == [
        (
            "east, west: models that lack predictions in their newest slot, not_stored: sink/influx: 2,"
            " east/pump, west/pump (latigo failures --reason not_stored)"
        )
    ]


def a_discovery(**changes: Any) -> DiscoveryTrouble:
    facts = {"error": "502", "alarm": False, "failing_since": NOW, "quarantined_since": None}
    return DiscoveryTrouble(source="metadata_api", **{**facts, **changes})


@pytest.mark.parametrize(
    ("trouble", "kind", "state"),
    [
        (a_discovery(), "discovery_failing", State.RECOVERING),
        (a_discovery(failing_since=NOW - RECENT), "discovery_failing", State.NEEDS_ATTENTION),
        (a_discovery(alarm=True), "discovery_failing", State.NEEDS_ATTENTION),
        (
            a_discovery(error="", failing_since=None, quarantined_since=NOW),
            "discovery_quarantined",
            State.NEEDS_ATTENTION,
        ),
    ],
)
def test_projects_that_are_not_named_are_a_cause_and_explain_no_delay(
    trouble: DiscoveryTrouble, kind: str, state: State
) -> None:
    status = assess(a_snapshot(discovery=trouble, projects=[a_project(active=2, undescribed=1)]))

    assert [(cause.kind, cause.state) for cause in status.causes if cause.kind != "undescribed"] == [(kind, state)]
    assert "undescribed" in [cause.kind for cause in status.causes]
    assert "metadata_api" in status.alarms[0]


@pytest.mark.parametrize(("since", "state"), [(NOW, State.RECOVERING), (NOW - RECENT, State.NEEDS_ATTENTION)])
def test_models_that_are_not_described_are_a_cause_with_an_example(since: datetime, state: State) -> None:
    status = assess(a_snapshot(unposted_metadata=UnpostedMetadata(models=3, since=since, error="status 502")))

    assert [(cause.kind, cause.state) for cause in status.causes] == [("metadata_not_posted", state)]
    assert status.causes[0].text == "3 models could not be described to the Metadata API so far: status 502"
