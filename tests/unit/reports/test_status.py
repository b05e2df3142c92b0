"""What follows from a snapshot of the ledger."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from latigo.reports.gauges import gauges_of
from latigo.reports.plan import ProjectBacklog
from latigo.reports.status import (
    NO_EXECUTOR,
    NO_PLANNER,
    BacklogTotals,
    ExecutorStatus,
    OpenCircuit,
    OutstandingTasks,
    ParkedModels,
    PartitionLag,
    Planner,
    ProjectStatus,
    QueueStatus,
    Rates,
    Snapshot,
    State,
    UnstoredModels,
    assess,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CHANNEL = "eventhub/plant.example/latigo"


def a_project(**changes: Any) -> ProjectStatus:
    counts = dict.fromkeys(("undescribed", "active", "paused", "unusable", "gone", "silent", "parked", "stale"), 0)
    facts: dict[str, Any] = {"error": "", "doubted_since": None, "oldest": NOW - timedelta(minutes=30)}
    return ProjectStatus(project="plant", revision="1000", listed_at=NOW, **{**facts, **counts, **changes})


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
    }
    return Snapshot(
        version="test",
        now=NOW,
        backlog=BacklogTotals(slots=0, calls=0),
        rates=Rates(needed_slots_per_second=0, covered_slots_per_second=0, rows_per_second=0, tasks_per_second=0),
        exceptions=[],
        stale=[],
        **{**facts, **changes},
    )


OPEN = OpenCircuit(downstream="gordo/plant", reason="503", alarm=False, opened_at=NOW, pause_s=15)
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
        ({"projects": [a_project(stale=1)], "circuits": [OPEN]}, State.NEEDS_ATTENTION),
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

    assert status.stale_models == 5
    assert status.model_dump(include=set(Snapshot.model_fields)) == snapshot.model_dump()


@pytest.mark.parametrize(
    ("changes", "limit"),
    [
        ({"planner": None, "executors": []}, NO_PLANNER),
        ({"executors": [], "circuits": [OPEN]}, NO_EXECUTOR),
        ({"circuits": [OPEN, OPEN.model_copy(update={"downstream": "sink/a"})]}, "waiting for gordo/plant, sink/a"),
        ({}, "nothing: there is nothing to do now"),
        ({"outstanding": AT_WORK}, "nothing: work is under way"),
        (
            {"outstanding": AT_WORK, "executors": [an_executor(8), an_executor(0)]},
            "executor.concurrency, and the model server, which takes 10 calls at once",
        ),
    ],
)
def test_what_limits_the_service_is_named(changes: Any, limit: str) -> None:
    assert assess(a_snapshot(**changes)).limited_by == limit


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
    assert gauges_of(status, []).unstored == {"plant": models}


def test_gauges_are_the_numbers_of_the_status_by_project_and_partition() -> None:
    status = assess(
        a_snapshot(
            queue=QueueStatus(lag=4, partitions=[a_partition()], refused=[]),
            projects=[
                a_project(active=2, stale=1, parked=1),
                a_project().model_copy(update={"project": "new", "oldest": None}),
            ],
        )
    )

    values = gauges_of(status, [ProjectBacklog(project="plant", models=1, slots=7, calls=2)])

    assert values.queue_lag == {"0": 4}
    assert values.unstored == {"plant": 0, "new": 0}
    assert values.projects["plant"] == (2, 1, 1, 7, 1800)
    assert values.projects["new"] == (0, 0, 0, 0, None)
