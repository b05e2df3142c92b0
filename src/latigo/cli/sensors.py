"""One sensor among all sources, for the commands that are about one."""

from typing import NamedTuple

from latigo.domain.errors import LatigoError, Unavailable, UnknownName
from latigo.domain.names import printable, unknown_name
from latigo.providers.parts import parts_of, sources_of
from latigo.providers.protocols import SensorSource


class FoundSensor(NamedTuple):
    """Where a sensor would be read from, and why it cannot be."""

    source: str  #: name of the circuit
    problem: UnknownName | None  #: None: the source knows it


async def find_sensor(whole: SensorSource, name: str) -> FoundSensor:
    """Look for a sensor in the source that it would be read from.

    Raises:
        Unavailable: that source is; of several, it is named.
    """
    (part,) = parts_of(whole, [name])
    source = part.source.downstream
    try:
        if await whole.sensor_exists(name):
            return FoundSensor(source, None)
    except Unavailable as error:
        if len(sources_of(whole)) == 1:
            raise
        raise Unavailable(f"{source}: {error}", downstream=error.downstream, alarm=error.alarm) from error
    note = f"{source} does not know it"
    try:
        return FoundSensor(source, unknown_name("sensor", name, await whole.get_sensor_list(), note=note))
    except LatigoError as error:
        text = f"{printable(name)}: unknown sensor; the others cannot be listed: {error}; {note}"
        return FoundSensor(source, UnknownName(text))
