"""Files of readings, and what a source reads from them."""

import os
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from latigo.domain.windows import Window
from latigo.providers.bad_readings import BadReadings
from latigo.providers.files import FileSensors, open_files
from latigo.runtime.clock import Clock, SystemClock
from latigo.settings import FileSensors as FileSensorsSettings

DAY = datetime(2026, 3, 1, tzinfo=UTC)
ALL = Window(DAY - timedelta(days=700), DAY + timedelta(days=700))
PLENTY = 10**9
FIELD_CASES = Path(__file__).parents[1] / "data" / "field_cases"


def opened(
    path: Path | str, *, clock: Clock | None = None, bad: BadReadings | None = None, **options: Any
) -> AbstractAsyncContextManager[FileSensors]:
    """Always looking whether files have changed."""
    settings = FileSensorsSettings(path=Path(path), **options)
    return open_files(settings, clock or SystemClock(), bad, refresh=timedelta(0))


async def values(sensors: FileSensors, tag: str = "A", window: Window = ALL) -> list[float]:
    read = await sensors.get_data_for_range([tag], window, max_bytes=PLENTY)
    result: list[float] = read[tag].values.tolist()
    return result


def clock(minute: float) -> str:
    return f"{DAY + timedelta(minutes=minute):%Y-%m-%d %H:%M:%S}"


def minutes(first: float, last: float) -> Window:
    return Window(DAY + timedelta(minutes=first), DAY + timedelta(minutes=last))


def settle(path: Path) -> None:
    """Set its time of modification to the past."""
    os.utime(path, (1_700_000_000, 1_700_000_000))


def write(path: Path, text: str, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(**options))
    return path
