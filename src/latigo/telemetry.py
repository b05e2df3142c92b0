"""Every metric and event name that Latigo emits: the vocabulary of dashboards, alerts and log searches.

Metrics are ``latigo_<noun>_<unit>[_total]``, labelled by project, lane, outcome, stage and partition, and
by nothing else; never by model, since there are thousands. Events are ``noun.past_verb``.
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
    "answer.cut_short": "InfluxDB cut an answer at its max-row-limit; less is asked for: downstream, rows.",
    "call.failed": "A call failed and is tried again in a moment: attempt, error, wait_s.",
    "circuit.closed": "A downstream answers again: downstream.",
    "circuit.opened": "A downstream is left alone for now: downstream, reason.",
    "circuits.not_read": "The circuits in the ledger could not be read; the last known ones hold: because.",
    "claim.delayed": "A task could not be claimed because the ledger is away: because.",
    "claim.lost": "The lease of a claim ran out and somebody else may have the task: task.",
    "clocks.compared": "The clocks of process and database agree again, or do not: difference_s, planning.",
    "connection.went_stale": "The model server had closed an idle connection; sent again on a new one.",
    "embedded.adopted": "A PostgreSQL that an earlier process left running is used.",
    "embedded.folder_made_passable": "A folder above the data was opened so that the server's user can reach it.",
    "embedded.initialised": "A new database was made.",
    "embedded.left_running": "The embedded PostgreSQL is used by others as well and was not stopped.",
    "embedded.start_delayed": "Processes of an embedded PostgreSQL that was killed are in the way: because.",
    "embedded.started": "The embedded PostgreSQL was started.",
    "embedded.stopped": "The embedded PostgreSQL was stopped.",
    "executor.broken": "The machinery of the executor broke, which ends the process; with its traceback.",
    "executor.draining": "The executor takes no more work and finishes what it has: tasks.",
    "executor.handed_back": "Tasks could not be finished within the grace and were handed back: tasks.",
    "executor.left_without_notice": "The executor could not sign off in the ledger: because.",
    "frame.passed": "The emulator of Event Hubs took or sent a frame; with --trace only.",
    "frame.refused": "The emulator of Event Hubs got what is no AMQP: connection, reason.",
    "gauges.not_read": "The gauges that only the ledger can tell could not be brought up to date: because.",
    "http.started": "Probes, metrics and API are served: url.",
    "influxd.fetched": "The program influxd was taken out of Debian's package: program.",
    "influxd.started": "An InfluxDB of our own was started: url, data_dir, pid.",
    "lease.not_dropped": "The planner could not give up its lease, which will run out: because.",
    "lease.not_renewed": "The leases of tasks in hand could not be renewed: because.",
    "ledger.away": "The ledger cannot be reached: because.",
    "ledger.migrated": "The schema of the ledger was brought up to date.",
    "ledger.schema_newer": "The schema of the ledger is of a newer Latigo; this one works with it: found, known.",
    "message.not_recorded": "A message that is no task waits to be recorded: partition, because.",
    "message.refused": "A message that is no task was recorded and passed over: partition, sequence, reason.",
    "metadata.unreadable": "The metadata of a model could not be read again: because.",
    "model.answers_plain": "A model turned out to answer on prediction only.",
    "model.not_described": "The metadata of a model could not be read for now: model, because.",
    "model.not_kept": "A bug kept a model out of the ledger; with its traceback: model, because.",
    "model.unusable": "The metadata of a model asks for what cannot be done: model, because.",
    "models.deselected": "Models that were predicted are left out by settings or roster now: project, models.",
    "models.found": "New models, or a new revision: project, models, revision.",
    "models.gone": "Models are not listed any more: project, models.",
    "models.list_doubted": "A list lost so many models that it is not believed yet: project, known, lost, since.",
    "models.list_older": "A list is of an older revision than models are known in: project, models, revision.",
    "models.none_configured": "models.projects is empty: only models registered by hand are predicted.",
    "models.not_listed": "The models of a project could not be listed: project, because.",
    "models.rescheduled": "Settings of delay, window or enabled were applied to models that are known: models.",
    "planner.leading": "This scheduler is the one that plans: holder, term.",
    "planner.lost": "This scheduler does not plan any more: because.",
    "points.dropped": "InfluxDB dropped points older than its retention policy keeps: downstream, model, points.",
    "predictions.dropped": "Partitions beyond retention were dropped.",
    "probe.planned": "One task was let through to see whether a downstream answers: project, circuits.",
    "project.broken": "A bug kept one project's models from being listed; with its traceback: project.",
    "project.dropped": "Settings and roster name a project no more; its models are not predicted: project, models.",
    "queue.answers": "The event hub answers again: channel.",
    "queue.away": "The event hub does not answer; it is looked at now and then: channel.",
    "queue.balancing_failed": "Who reads which partition could not be settled in this round: because.",
    "queue.broken": "A part of the queue broke, which ends the process; with its traceback: part.",
    "queue.checkpoint_delayed": "How far we are could not be recorded for now: partitions, because.",
    "queue.client_given_up": "The client of the event hub is closed and made anew: because, partitions.",
    "queue.client_renewed": "The client of the event hub has received enough and is made anew: events.",
    "queue.event_ignored": "An event came of a partition that is not ours; its owner has it too: partition, sequence.",
    "queue.hub_recreated": "The hub is not the one its checkpoints are from; see latigo queue reset: channel.",
    "queue.lag_not_read": "The hub's partitions could not be read for now: channel, because.",
    "queue.not_answering": "The event hub did not answer the watchdog: because.",
    "queue.not_closed": "A client of the event hub was left to itself, since it does not close: because.",
    "queue.not_released": "Partitions could not be given back, and will be when their leases run out: because.",
    "queue.not_watched": "The watchdog could not read the checkpoints: because.",
    "queue.partition_failed": "Reading a partition failed; it is opened again: partition, because.",
    "queue.partition_left": "A partition is not ours any more: partition, reason.",
    "queue.partition_taken": "A partition is ours now: partition.",
    "queue.receiving_ended": "The client of the event hub stopped receiving by itself: because.",
    "queue.send_failed": "Tasks could not be sent, and are sent again: tasks, attempt, because.",
    "request.crashed": "An HTTP request of ours ended in a bug: method, path, and its traceback.",
    "retention.delayed": "Old partitions could not be dropped for now: because.",
    "role.stopped": "A role ended as it was told to: role.",
    "scheduler.delayed": "A round of planning had to wait for a system that is away: because.",
    "sensors.file_left_out": "A sensor file cannot be used, and others are read without it: path, because.",
    "sensors.not_checked": "Whether the sensor files are what the settings say is not known yet: because.",
    "settle.crashed": "A settlement ended in a bug: task, and its traceback.",
    "settle.delayed": "Settlements wait for the ledger: because, tasks.",
    "sink.skipped": "A sink that is not required did not take the predictions: sink, because.",
    "slots.expired": "Slots older than max_catch_up were given up: model, slots.",
    "start.delayed": "Something is away that is needed to begin; it is tried again: downstream, because.",
    "standin.started": "A stand-in for a foreign system is served.",
    "stop.grace_exceeded": "Roles had to be cancelled: roles.",
    "stop.requested": "A signal asked the process to stop: signal.",
    "task.crashed": "A task ended in a bug of ours, with its traceback.",
    "task.finished": "A task ended: outcome, counted, rows, attempt, took_s, because.",
    "task.not_handed_back": "A claim could not be given back, and will run out: task, because.",
    "task.running_alone": "A task that may have killed a process runs alone.",
    "task.too_few_rows": "A window has fewer rows than its model needs: because.",
    "task.too_large": "A task is larger than any message may be, and is parked: task, model, bytes.",
    "tasks.planned": "A round of planning committed tasks: tasks, trace.",
    "tasks.recovered": "Tasks that were lost are planned again.",
}
"""What each event tells; kept complete by a test."""
