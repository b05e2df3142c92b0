"""A look into the source of readings, for ``latigo check``: whether what it holds can be what is meant."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from latigo.domain.bad_readings import BadReadingCount
from latigo.domain.errors import Rejected, TooLarge, describe_tags
from latigo.domain.windows import Window, from_ns
from latigo.providers.protocols import SampledSource, SensorSample, SensorSource, SourceSample

#: Tags that are read.
MOST_TAGS = 5
_DAY = timedelta(days=1)
_AHEAD = timedelta(minutes=10)  #: clocks differ by less
_LONG_AGO = timedelta(days=10 * 365)
_LOOK_BACK = timedelta(days=20 * 365)


async def sample(source: SensorSource, tags: Sequence[str], now: datetime, max_bytes: int) -> SourceSample:
    """Read a part of what a source has of these tags, which it knows."""
    if isinstance(source, SampledSource):
        return await source.sample(tags)
    newest = await source.get_last_before(tags, now + _LOOK_BACK, now - _LOOK_BACK)
    sensors = []
    for tag in tags:
        last = from_ns(point.time) if (point := newest.get(tag)) else None
        day = Window((last or now) - _DAY, (last or now) + timedelta(microseconds=1))
        try:
            series = (await source.get_data_for_range([tag], day, max_bytes=max_bytes))[tag]
        except (Rejected, TooLarge):
            continue
        ended = from_ns(int(series.times[-1])) if len(series) else None
        sensors.append(SensorSample(tag, len(series), None, last or ended))
    return SourceSample(sensors)


def evenly(names: Sequence[str], number: int = MOST_TAGS) -> list[str]:
    """Return a few names from all over a list, the first and the last among them."""
    if len(names) <= number:
        return list(names)
    return [names[place * (len(names) - 1) // (number - 1)] for place in range(number)]


def describe_sample(found: SourceSample, bad: Sequence[BadReadingCount], now: datetime) -> list[str]:
    """Return what there is, and what is odd about it, one line each. Pure.

    Args:
        found: the sample.
        bad: what was skipped while it was read.
        now: to judge times by.
    """
    skipped: Counter[str] = Counter()
    for count in bad:
        skipped[count.tag] += count.readings
    lines = [_describe_sensor(sensor, skipped[sensor.tag]) for sensor in found.sensors]
    lines += [f"{sensor.tag}: {odd}" for sensor in found.sensors for odd in _odd_times(sensor, now)]
    lines += [f"{count.place}: {_skipped(count)} skipped ({count.example})" for count in bad]
    return [*lines, *found.notes]


def describe_unknown(unknown: Sequence[str], asked: int) -> str:
    """Return what follows from tags of models that the source does not know."""
    return f"{len(unknown)} of {asked} tags that models need are not known to the source: {describe_tags(unknown)}"


def _describe_sensor(sensor: SensorSample, skipped: int) -> str:
    if not sensor.readings and not skipped:
        return f"{sensor.tag}: no readings found"
    begin = f" from {sensor.first:%Y-%m-%d %H:%M}" if sensor.first else ""
    end = f" to {sensor.last:%Y-%m-%d %H:%M} UTC" if sensor.last else ""
    share = f", {skipped} skipped ({100 * skipped / (skipped + sensor.readings):.1f} %)" if skipped else ""
    return f"{sensor.tag}: readings{begin}{end}; {sensor.readings} read{share}"


def _skipped(count: BadReadingCount) -> str:
    noun = "reading" if count.tag else "row"
    return f"{count.readings} {noun}{'' if count.readings == 1 else 's'}" + (f" of {count.tag}" if count.tag else "")


def _odd_times(sensor: SensorSample, now: datetime) -> list[str]:
    odd = []
    if sensor.last is not None and sensor.last > now + _AHEAD:
        odd.append(f"its last time is in the future, {sensor.last:%Y-%m-%d %H:%M} UTC: is the time zone right?")
    if sensor.first is not None and sensor.first > now + _AHEAD:
        odd.append("all of its times are in the future")
    if sensor.last is not None and sensor.last < now - _LONG_AGO:
        odd.append(f"its last time is long ago, {sensor.last:%Y-%m-%d %H:%M} UTC: is the format of the times right?")
    return odd
