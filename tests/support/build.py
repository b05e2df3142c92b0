"""Sensible things to test with, short to write."""

from datetime import UTC, datetime, timedelta

from latigo.domain.model import DatasetConfig, ModelRef, ModelSpec
from latigo.domain.task import Lane, Task
from latigo.domain.windows import Window
from latigo.ledger.protocol import ModelEntry

NOW = datetime(2026, 3, 1, 12, 7, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)


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
    **spec,
) -> ModelEntry:
    return ModelEntry(a_spec(name, **spec), slot=slot, delay=delay, fold=fold, horizon=horizon, enabled=enabled)


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
