"""Every metric that Latigo emits: the vocabulary of dashboards and alerts.

Metrics are ``latigo_<noun>_<unit>[_total]``, labelled by project, lane, outcome, stage, partition, state (of the
service) and cause (of stale time), and by nothing else; never by model, since there are thousands.
"""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from latigo.domain.receipt import Stage
from latigo.runtime.clock import Clock

LABELS = frozenset({"project", "lane", "outcome", "stage", "partition", "state", "cause"})

_QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_LONG = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 900)


class Metrics:
    """All metrics of one process, in one registry."""

    def __init__(self, registry: CollectorRegistry, clock: Clock) -> None:
        self._clock = clock
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
        self._stages = {stage: self.stage_seconds.labels(stage) for stage in get_args(Stage)}
        self.tasks_in_flight = Gauge("latigo_in_flight_tasks", "Tasks this process works on.", registry=registry)
        self.tasks_outstanding = Gauge(
            "latigo_outstanding_tasks", "Tasks published and not yet settled.", ("lane",), registry=registry
        )
        self.tasks_planned = Counter(
            "latigo_planned_tasks_total", "Tasks planned.", ("project", "lane"), registry=registry
        )
        self.queue_lag = Gauge(
            "latigo_queue_lag_tasks",
            "Messages of the task queue that no executor has finished.",
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
            "latigo_backlog_slots",
            "Slots that are due, and neither covered nor in a task.",
            ("project",),
            registry=registry,
        )
        self.backlog_seconds = Gauge(
            "latigo_backlog_seconds",
            "Time until the backlog is done, if live work goes first; NaN while it is unknown.",
            registry=registry,
        )
        self.needed = Gauge("latigo_needed_slots_per_second", "Slots that become due.", registry=registry)
        self.possible = Gauge(
            "latigo_possible_slots_per_second",
            "Slots that model servers can answer at one slot a call, as learned; NaN while it is unknown.",
            registry=registry,
        )
        self.rows = Counter(
            "latigo_predictions_rows_total",
            "Rows of predictions that every required sink reported as written.",
            ("project",),
            registry=registry,
        )
        self.values = Counter(
            "latigo_predictions_values_total",
            "Values that models answered, by outcome: finite, or not_finite, which is not written.",
            ("project", "outcome"),
            registry=registry,
        )
        self.server_faults = Gauge(
            "latigo_server_faults",
            "Unexpected errors while the addresses and models of model servers were followed, counted since this"
            " process started.",
            registry=registry,
        )
        self.bad_readings = Gauge(
            "latigo_bad_readings",
            "Readings and rows that sources have and that cannot be used, counted since this process started.",
            registry=registry,
        )
        self.saved_reads = Gauge(
            "latigo_saved_reads",
            "Reads of a tag and window that the source was not asked for, because another task read the same at the"
            " time, counted since this process started.",
            registry=registry,
        )
        self.saved_requests = Gauge(
            "latigo_saved_requests",
            "Requests for readings that the source was not sent, because tasks shared them, counted since this process"
            " started.",
            registry=registry,
        )
        self.models = Gauge("latigo_active_models", "Models that are predicted.", ("project",), registry=registry)
        self.state = Gauge(
            "latigo_service_state",
            "1 for the state of the service, as latigo status reports it, and 0 for all others.",
            ("state",),
            registry=registry,
        )
        self.stale_models = Gauge(
            "latigo_stale_models",
            "Models whose newest predictions are older than the objective allows.",
            ("project",),
            registry=registry,
        )
        self.stale_by_cause = Gauge(
            "latigo_stale_by_cause_models",
            "Stale models by the cause that their time is put down to, as they were counted last.",
            ("project", "cause"),
            registry=registry,
        )
        self.model_seconds = Counter(
            "latigo_model_seconds_total",
            "Time of all models, fresh or by the cause why not; the scheduler that plans counts it.",
            ("project", "cause"),
            registry=registry,
        )
        self.fresh_share = Gauge(
            "latigo_fresh_share_ratio",
            "Share of the time of all models in the last 30 days in which they were fresh.",
            ("project",),
            registry=registry,
        )
        self.budget_left = Gauge(
            "latigo_error_budget_left_ratio",
            "Part of the stale time that the objective allows in 30 days which is left; negative when it is exceeded.",
            ("project",),
            registry=registry,
        )
        self.freshness = Gauge(
            "latigo_oldest_coverage_seconds",
            "Age of the end of the newest settled slot, however it ended, of the model that is furthest behind.",
            ("project",),
            registry=registry,
        )
        self.parked = Gauge("latigo_parked_models", "Models with something parked.", ("project",), registry=registry)
        self.unstored_models = Gauge(
            "latigo_unstored_models",
            "Models that lack predictions in their newest settled slot, which its readings allow.",
            ("project",),
            registry=registry,
        )
        self.circuits_open = Gauge("latigo_open_circuits", "Downstreams whose circuits are open.", registry=registry)
        self.concurrency = Gauge(
            "latigo_concurrency_calls",
            "Calls that this process lets all model servers work on at once; adapts to them.",
            registry=registry,
        )
        self.buffered = Gauge("latigo_readings_bytes", "Memory of the readings of running tasks.", registry=registry)
        self.planning_seconds = Histogram(
            "latigo_planning_seconds", "One round of planning.", buckets=_QUICK, registry=registry
        )
        self.loop_lag = Gauge("latigo_loop_lag_seconds", "Delay of the event loop's last timer.", registry=registry)

    @contextmanager
    def stage(self, name: Stage, spent: MutableMapping[Stage, float]) -> Iterator[None]:
        """Time one stage of a task, whether it succeeds or not; add its seconds to those ``spent`` on the task."""
        started = self._clock.monotonic()
        try:
            yield
        finally:
            seconds = self._clock.monotonic() - started
            self._stages[name].observe(seconds)
            spent[name] = spent.get(name, 0.0) + seconds

    @contextmanager
    def planning(self) -> Iterator[None]:
        """Time one round of planning, whether it succeeds or not."""
        started = self._clock.monotonic()
        try:
            yield
        finally:
            self.planning_seconds.observe(self._clock.monotonic() - started)
