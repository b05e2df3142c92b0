"""Sensible things to test with, short to write."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from latigo.domain.lane_share import LaneShare
from latigo.domain.model import DatasetConfig, ModelRef, ModelSpec
from latigo.domain.task import Lane, Task
from latigo.domain.windows import Window
from latigo.executor.circuits import CircuitRules
from latigo.ledger.model_protocol import ModelEntry
from latigo.ledger.protocol import Need
from latigo.ledger.settling import RetryRules
from latigo.settings import Settings
from latigo.wiring import roles

NOW = datetime(2026, 3, 1, 12, 7, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)
DEFAULTS = Settings()
CONNECT_TIMEOUT = DEFAULTS.ledger.connect_timeout


def at(clock: str, day: int = 1) -> datetime:
    """A time on a day of March 2026, UTC."""
    hours, minutes = map(int, clock.split(":"))
    return datetime(2026, 3, day, hours, minutes, tzinfo=UTC)


def window(start: str, end: str, day: int = 1) -> Window:
    """A window on a day of March 2026, UTC."""
    return Window(at(start, day), at(end, day))


def a_spec(
    name: str = "pump", *, project: str = "plant", revision: str = "1000", tags: tuple[str, ...] = ("a", "b"), **changes
) -> ModelSpec:
    dataset = DatasetConfig(tag_list=tags, target_tag_list=changes.pop("targets", tags), **changes.pop("dataset", {}))
    return ModelSpec(ref=ModelRef(project, name), revision=revision, dataset=dataset, **changes)


def an_entry(
    name: str = "pump",
    *,
    slot: timedelta = HALF_HOUR,
    delay: timedelta = timedelta(minutes=5),
    fold: timedelta = timedelta(days=1),
    horizon: timedelta = timedelta(hours=2),
    enabled: bool = True,
    recompute: timedelta | None = None,
    **spec,
) -> ModelEntry:
    return ModelEntry(
        a_spec(name, **spec),
        slot=slot,
        delay=delay,
        fold=fold,
        horizon=horizon,
        enabled=enabled,
        recompute=recompute,
    )


def a_need(
    model_id: int,
    ref: ModelRef,
    windows: Mapping[Lane, Window],
    *,
    epoch: int = 1,
    covered_end: datetime | None = None,
    request: int | None = None,
) -> Need:
    return Need(model_id, ref.project, ref.name, epoch, covered_end, request, bounds_of(windows))


def bounds_of(windows: Mapping[Lane, Window]) -> tuple[datetime | None, ...]:
    """Return start and end of the window of each lane, as a `Need` has them."""
    spans = [(windows[lane].start, windows[lane].end) if lane in windows else (None, None) for lane in Lane]
    return tuple(time for span in spans for time in span)


def retry_rules() -> RetryRules:
    """How tasks are retried by default."""
    return roles.retry_rules(DEFAULTS.executor)


def circuit_rules() -> CircuitRules:
    """When circuits open by default."""
    return roles.circuit_rules(DEFAULTS.circuit)


def lane_share() -> LaneShare:
    """The share of lanes by default, with nothing owed."""
    return LaneShare(DEFAULTS.backfill.min_share)


def a_task(spec: ModelSpec | None = None, span: Window | None = None, **changes) -> Task:
    return Task(
        id=changes.pop("id", 1),
        epoch=changes.pop("epoch", 1),
        model=spec or a_spec(),
        window=span or window("10:00", "10:30"),
        slot_seconds=changes.pop("slot_seconds", 1800),
        lane=changes.pop("lane", Lane.LIVE),
        **changes,
    )
