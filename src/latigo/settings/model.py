"""All settings together: contradictions between keys, masking, and the overrides for one model."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ByteSize, ConfigDict, Field, PrivateAttr, SecretStr, model_validator

from latigo.domain.model import ModelRef
from latigo.domain.schedule import Schedule
from latigo.runtime.redaction import MASK, is_secret_name, mask_text
from latigo.runtime.units import format_duration, format_size
from latigo.settings.keys import deprecated_keys
from latigo.settings.origins import Origins, Value, values_of
from latigo.settings.sections import (
    BackfillSettings,
    CircuitSettings,
    EmbeddedLedger,
    ExecutorSettings,
    FileSensors,
    GordoModels,
    HttpSettings,
    InternalQueue,
    LateDataSettings,
    Ledger,
    LogSettings,
    MetadataApiSettings,
    ObjectiveSettings,
    Override,
    PlannerSettings,
    PostgresSink,
    ScheduleSettings,
    Sensors,
    Sink,
    Source,
    TaskQueue,
)


class Settings(BaseModel):
    """All settings. Created by `load_settings`; the constructor reads neither file nor environment."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    schedule: ScheduleSettings = Field(default=ScheduleSettings(), description="When models are predicted.")
    backfill: BackfillSettings = Field(
        default=BackfillSettings(), description="How far back, and at what cost to live work."
    )
    late_data: LateDataSettings = Field(
        default=LateDataSettings(), description="What becomes of readings that arrive after their slot was predicted."
    )
    objective: ObjectiveSettings = Field(
        default=ObjectiveSettings(), description="How fresh predictions should be, and how much of the time."
    )
    planner: PlannerSettings = Field(
        default=PlannerSettings(), description="The one scheduler that plans, out of several."
    )
    ledger: Ledger = Field(
        default_factory=EmbeddedLedger, description="What is covered, planned, in flight and parked."
    )
    task_queue: TaskQueue = Field(default=InternalQueue(), description="Between scheduler and executors.")
    models: GordoModels = Field(default=GordoModels(), description="Which models there are, and what runs them.")
    sensors: Sensors = Field(
        default=FileSensors(),
        description="Where readings come from. Several sources are several tables, each under `[[sensors]]`, with the"
        " tags that each of them has.",
    )
    predictions: tuple[Sink, ...] = Field(
        default=(PostgresSink(),), description="One or more sinks; a task is stored once all that are required have it."
    )
    metadata_api: MetadataApiSettings = Field(
        default=MetadataApiSettings(),
        description="The Metadata API, where models.discover or metadata of a sink in predictions use it.",
    )
    executor: ExecutorSettings = Field(default=ExecutorSettings(), description="How one process works on tasks.")
    circuit: CircuitSettings = Field(
        default=CircuitSettings(), description="When calls to a downstream are held back, and when it is probed."
    )
    http: HttpSettings = Field(default=HttpSettings(), description="Probes, metrics and API, in every role.")
    log: LogSettings = Field(default=LogSettings(), description="What is logged, and how.")
    override: tuple[Override, ...] = Field(
        default=(), description="Other values for some models; where several match, the last one that sets a key wins."
    )

    @model_validator(mode="after")
    def _no_contradictions(self) -> Self:
        if problems := "\n".join(f"{key}: {problem}" for key, problem in _contradictions(self)):
            raise ValueError(problems)
        return self

    _origins: Origins = PrivateAttr(default_factory=Origins)

    def came_from(self, origins: Origins) -> Self:
        """Note where the values come from."""
        self._origins = origins
        return self

    def values(self) -> Sequence[Value]:
        """Return every key with its value, its default, and where it comes from; secrets masked."""
        return values_of(self.masked(), Settings().masked(), self._origins)

    @property
    def sources(self) -> tuple[Source, ...]:
        """The sources of readings, in the order in which their patterns are tried."""
        return self.sensors if isinstance(self.sensors, tuple) else (self.sensors,)

    @property
    def read_budget(self) -> int:
        """Bytes that all readings of one process share, whichever source they are from."""
        return self.sources[0].read_budget

    def masked(self) -> dict[str, Any]:
        """Return the effective settings: secrets masked, durations and sizes as text, keys without a value left out.

        But for the secrets, it is a configuration again.
        """
        return {name: shown(value) for name, value in self}

    def deprecated(self) -> dict[str, str]:
        """Return the deprecated keys that were given, and what to do about each."""
        return {
            f"{name}.{key}": advice
            for name, section in self
            if isinstance(section, BaseModel)
            for key, advice in deprecated_keys(type(section)).items()
            if key in section.model_fields_set
        }

    def lowered(self) -> dict[str, str]:
        """Return the keys with values that are larger than what is used instead, and what that is."""
        window, used = self.schedule.max_window, self.schedule.longest_window
        return {"schedule.max_window": f"{shown(window)} is lowered to {shown(used)}"} if window > used else {}

    def secret_values(self) -> frozenset[str]:
        """Return the text of every secret, to be masked in every text: see `latigo.runtime.redaction.know`."""
        return frozenset(_secret_texts(tuple(value for _, value in self)))


_LEAST_CATCH_UP = timedelta(days=2)
#: How much longer holes live than a delay lasts: a slot may last a day, and has to be tried before it expires.
_LEAST_AFTER_DELAY = timedelta(hours=36)


def _contradictions(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the contradictions between keys: a key, and what is wrong with its value."""
    planner, executor, circuit, backfill = settings.planner, settings.executor, settings.circuit, settings.backfill
    shorter = (
        ("planner.renew", planner.renew, "planner.lease", planner.lease),
        ("executor.renew", executor.renew, "executor.lease", executor.lease),
    )
    for key, value, limit_key, limit in shorter:
        if value >= limit:
            yield key, f"should be shorter than {limit_key} ({format_duration(limit)})"

    if backfill.max_catch_up < _LEAST_CATCH_UP:
        # A model of an odd resolution has slots of a whole day, and its newest one must not expire before it is tried.
        yield "backfill.max_catch_up", f"should be at least {format_duration(_LEAST_CATCH_UP)}"
    horizons = [("backfill.horizon", backfill.horizon)]
    horizons += [(f"override[{n}].horizon", rule.horizon) for n, rule in enumerate(settings.override) if rule.horizon]
    not_longer = [(key, horizon, "backfill.max_catch_up", backfill.max_catch_up) for key, horizon in horizons]
    delays = [("schedule.delay", settings.schedule.delay)]
    delays += [(f"override[{n}].delay", rule.delay) for n, rule in enumerate(settings.override) if rule.delay]
    limit_key = f"backfill.max_catch_up less {format_duration(_LEAST_AFTER_DELAY)}"
    longest_delay = max(backfill.max_catch_up, _LEAST_CATCH_UP) - _LEAST_AFTER_DELAY
    not_longer += [(key, delay, limit_key, longest_delay) for key, delay in delays]
    recomputed = [
        (f"override[{n}].recompute", rule.recomputed) for n, rule in enumerate(settings.override) if rule.recomputed
    ]
    not_longer += [
        (key, length, f"predictions[{n}].retention", sink.retention)
        for n, sink in enumerate(settings.predictions)
        if isinstance(sink, PostgresSink)
        for key, length in (*horizons, *recomputed)
    ]
    not_longer += [
        ("executor.backoff_first", executor.backoff_first, "executor.backoff_longest", executor.backoff_longest),
        ("circuit.probe_first", circuit.probe_first, "circuit.probe_longest", circuit.probe_longest),
    ]
    for key, value, limit_key, limit in not_longer:
        if value > limit:
            yield key, f"should not be longer than {limit_key} ({format_duration(limit)})"

    yield from _repeated_names("predictions", "sink", [sink.sink_name for sink in settings.predictions])
    if not any(sink.required for sink in settings.predictions):
        yield "predictions", "needs at least one sink that is required"
    yield from _contradictory_sources(settings)


def _contradictory_sources(settings: Settings) -> Iterator[tuple[str, str]]:
    sources = settings.sources
    if not sources:
        yield "sensors", "needs at least one source"
    yield from _repeated_names("sensors", "source", [source.source_name for source in sources])
    for n, source in enumerate(sources[:-1]):
        if not source.tags:
            yield f"sensors[{n}].tags", "is missing: only the last source takes the tags that no pattern matches"
    for n, source in enumerate(sources):
        if source.read_budget != settings.read_budget:
            shared = format_size(settings.read_budget)
            yield f"sensors[{n}].read_budget", f"should be that of the first source ({shared}): all sources share it"


def _repeated_names(section: str, noun: str, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    before: set[str] = set()
    for n, name in enumerate(names):
        if name in before:
            yield f"{section}[{n}].name", f'"{name}" is the name of another {noun} already'
        before.add(name)


def shown(value: object) -> Any:
    """Return a value as the configuration file has it, secrets masked."""
    match value:
        case SecretStr():
            return MASK
        case BaseModel():
            return {name: shown(item) for name, item in value if item is not None}
        case Mapping():
            return {
                name: MASK if isinstance(item, str) and is_secret_name(str(name)) else shown(item)
                for name, item in value.items()
            }
        case tuple() | list():
            return [shown(item) for item in value]
        case timedelta():
            return format_duration(value)
        case ByteSize():
            return format_size(value)
        case str() | Path():
            return mask_text(str(value))
        case _:
            return value


def _secret_texts(value: object) -> Iterator[str]:
    match value:
        case SecretStr():
            yield value.get_secret_value()
        case BaseModel():
            yield from _secret_texts(tuple(item for _, item in value))
        case Mapping():
            for name, item in value.items():
                if isinstance(item, str) and is_secret_name(str(name)):
                    yield item
                yield from _secret_texts(item)
        case tuple() | list():
            for item in value:
                yield from _secret_texts(item)
        case str() if mask_text(value) != value:  # such as a URL with a password among the options of a plug-in
            yield value


def predictions_kept_for(settings: Settings) -> timedelta | None:
    """Return how long every required sink keeps predictions, by their data time; None: none is known to drop any."""
    required = (sink for sink in settings.predictions if sink.required)
    return min((sink.retention for sink in required if isinstance(sink, PostgresSink)), default=None)


def overrides_for(settings: Settings, ref: ModelRef) -> Schedule:
    """Return the schedule of one model: every override that matches, in their order, on top of the general keys."""
    schedule = Schedule(settings.schedule.interval, settings.schedule.delay, settings.backfill.horizon, enabled=True)
    for override in settings.override:
        if fnmatchcase(str(ref), override.match):
            keys = ("interval", "delay", "horizon", "enabled")
            changes = {key: value for key in keys if (value := getattr(override, key)) is not None}
            if override.on_revision is not None:
                changes["recompute"] = override.recomputed
            schedule = schedule._replace(**changes)
    return schedule
