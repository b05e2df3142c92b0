"""Every metric and event name that Latigo emits: the vocabulary of dashboards, alerts and log searches.

Metrics are ``latigo_<noun>_<unit>[_total]``, labelled by project, lane, outcome, stage and partition of the queue and by
nothing else; never by model, since there are thousands. Events are ``noun.past_verb``.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LABELS = frozenset({"project", "lane", "outcome", "stage", "partition"})
STAGES = ("claim", "read", "frame", "predict", "crop", "write", "settle")

_QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_LONG = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 900)


class Metrics:
    """All metrics of one process, in one registry; made once and handed to whoever counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.tasks = Counter(
            "latigo_tasks_total", "Tasks that ended.", ("project", "lane", "outcome"), registry=registry
        )
        self.task_seconds = Histogram(
            "latigo_task_seconds",
            "From claim to settle.",
            ("lane", "outcome"),
            buckets=_LONG,
            registry=registry,
        )
        self.stage_seconds = Histogram(
            "latigo_stage_seconds", "One stage of a task.", ("stage",), buckets=_QUICK, registry=registry
        )
        self.tasks_in_flight = Gauge("latigo_in_flight_tasks", "Tasks this process works on.", registry=registry)
        self.tasks_outstanding = Gauge(
            "latigo_outstanding_tasks", "Tasks published and not yet settled.", ("lane",), registry=registry
        )
        self.tasks_planned = Counter(
            "latigo_planned_tasks_total", "Tasks planned.", ("project", "lane"), registry=registry
        )
        self.queue_lag = Gauge(
            "latigo_queue_lag_tasks",
            "Messages of the task queue that no executor is done with.",
            ("partition",),
            registry=registry,
        )
        self.slots = Counter(
            "latigo_slots_total",
            "Slots settled, by how they ended; also those that expired.",
            ("project", "lane", "outcome"),
            registry=registry,
        )
        self.backlog = Gauge(
            "latigo_backlog_slots", "Slots that are due and neither covered nor out.", ("project",), registry=registry
        )
        self.rows = Counter(
            "latigo_predictions_rows_total",
            "Rows of predictions written to every required sink.",
            ("project",),
            registry=registry,
        )
        self.models = Gauge("latigo_active_models", "Models that are predicted.", ("project",), registry=registry)
        self.stale_models = Gauge(
            "latigo_stale_models", "Models whose newest due slot is late.", ("project",), registry=registry
        )
        self.freshness = Gauge(
            "latigo_oldest_coverage_seconds",
            "Age of the end of coverage of the model that is furthest behind.",
            ("project",),
            registry=registry,
        )
        self.parked = Gauge("latigo_parked_models", "Models with something parked.", ("project",), registry=registry)
        self.circuits_open = Gauge("latigo_open_circuits", "Downstreams that are left alone.", registry=registry)
        self.concurrency = Gauge(
            "latigo_concurrency_calls",
            "Calls that this process lets all model servers work on at once; adapts to them.",
            registry=registry,
        )
        self.buffered = Gauge("latigo_readings_bytes", "Memory that readings in hand take.", registry=registry)
        self.planning_seconds = Histogram(
            "latigo_planning_seconds", "One round of planning.", buckets=_QUICK, registry=registry
        )
        self.loop_lag = Gauge("latigo_loop_lag_seconds", "How late the event loop came round last.", registry=registry)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage of a task, whether it ends well or not."""
        with self.stage_seconds.labels(stage=name).time():
            yield


EVENTS = {
    "call.failed": "A call failed and is tried again in a moment: attempt, error, wait_s.",
    "circuit.closed": "A downstream answers again: downstream.",
    "circuits.not_read": "The circuits in the ledger could not be read; the last known ones hold: because.",
    "claim.delayed": "A task could not be claimed because the ledger is away: because.",
    "claim.lost": "The lease of a claim ran out and somebody else may have the task: task.",
    "connection.went_stale": "The model server had closed an idle connection; sent again on a new one.",
    "embedded.adopted": "A PostgreSQL that an earlier process left running is used.",
    "embedded.folder_made_passable": "A folder above the data was opened so that the server's user can reach it.",
    "embedded.initialised": "A new database was made.",
    "embedded.left_running": "The embedded PostgreSQL is used by others as well and was not stopped.",
    "embedded.started": "The embedded PostgreSQL was started.",
    "embedded.stopped": "The embedded PostgreSQL was stopped.",
    "executor.broken": "The machinery of the executor broke, which ends the process; with its traceback.",
    "executor.draining": "The executor takes no more work and finishes what it has: tasks.",
    "executor.handed_back": "Tasks could not be finished within the grace and were handed back: tasks.",
    "executor.left_without_notice": "The executor could not sign off in the ledger: because.",
    "gauges.not_read": "The gauges that only the ledger can tell could not be brought up to date: because.",
    "http.started": "Probes, metrics and API are served: url.",
    "lease.not_dropped": "The planner could not give up its lease, which will run out: because.",
    "lease.not_renewed": "The leases of tasks in hand could not be renewed: because.",
    "ledger.away": "The ledger cannot be reached: because.",
    "ledger.migrated": "The schema of the ledger was brought up to date.",
    "metadata.unreadable": "The metadata of a model could not be read again: because.",
    "model.answers_plain": "A model turned out to answer on prediction only.",
    "model.not_described": "The metadata of a model could not be read for now: model, because.",
    "model.unusable": "The metadata of a model asks for what cannot be done: model, because.",
    "models.found": "New models, or a new revision: project, models, revision.",
    "models.gone": "Models are not listed any more: project, models.",
    "models.list_doubted": "A list lost so many models that it is not believed yet: project, known, lost, since.",
    "models.rescheduled": "Settings of delay, window or enabled were applied to models that are known: models.",
    "models.none_configured": "models.projects is empty: only models registered by hand are predicted.",
    "models.not_listed": "The models of a project could not be listed: project, because.",
    "planner.leading": "This scheduler is the one that plans: holder, term.",
    "planner.lost": "This scheduler does not plan any more: because.",
    "predictions.dropped": "Partitions beyond retention were dropped.",
    "probe.planned": "One task was let through to see whether a downstream answers: project, circuits.",
    "request.crashed": "An HTTP request of ours ended in a bug: method, path, and its traceback.",
    "retention.delayed": "Old partitions could not be dropped for now: because.",
    "role.stopped": "A role ended as it was told to: role.",
    "scheduler.delayed": "A round of planning had to wait for a system that is away: because.",
    "settle.crashed": "A settlement ended in a bug: task, and its traceback.",
    "settle.delayed": "Settlements wait for the ledger: because, tasks.",
    "sink.skipped": "A sink that is not required did not take the predictions: sink, because.",
    "slots.expired": "Slots older than max_catch_up were given up: model_id, length.",
    "standin.started": "A stand-in for a foreign system is served.",
    "stop.grace_exceeded": "Roles had to be cancelled: roles.",
    "stop.requested": "A signal asked the process to stop: signal.",
    "task.crashed": "A task ended in a bug of ours, with its traceback.",
    "task.not_handed_back": "A claim could not be given back, and will run out: task, because.",
    "task.running_alone": "A task that may have killed a process runs alone.",
    "task.too_few_rows": "A window has fewer rows than its model needs: because.",
    "tasks.planned": "A round of planning committed tasks: tasks, trace.",
    "tasks.recovered": "Tasks that were lost are planned again.",
}
"""What each event tells; kept complete by a test."""
