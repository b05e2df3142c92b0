"""Readings from several sources at once, whichever they are: what roles and `latigo.providers.routed` share."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from latigo.domain.errors import LatigoError, Reason, Rejected, TimedOut, TooLarge, Unavailable
from latigo.domain.series import Readings
from latigo.providers.protocols import Part, RoutedSource, SensorDataProvider, SensorSource

_T = TypeVar("_T")


def sources_of(source: SensorSource) -> Sequence[SensorSource]:
    """Return the sources that a source consists of; it may be the only one."""
    return source.sources if isinstance(source, RoutedSource) else (source,)


def parts_of(source: SensorDataProvider, tags: Sequence[str]) -> Sequence[Part]:
    """Return which source each of the tags is read from."""
    return source.parts(tags) if isinstance(source, RoutedSource) else (Part(source, tags),)


async def own_tags(whole: SensorSource, source: SensorSource) -> Sequence[str]:
    """Return the tags of one of the sources of ``whole`` that are read from it, sorted."""
    tags = await source.get_sensor_list()
    return [tag for part in parts_of(whole, tags) if part.source is source for tag in part.tags]


async def ask_parts(parts: Sequence[Part], ask: Callable[[Part], Awaitable[Mapping[str, _T]]]) -> Mapping[str, _T]:
    """Ask the sources of all parts at once, and return their answers as one.

    An error does not stop the other calls: how each source answers is known to its circuit.

    Raises:
        LatigoError: the one that decides what comes next, see `_decisive`.
    """
    if len(parts) == 1:
        return await ask(parts[0])
    answers: dict[str, _T] = {}
    errors: list[BaseException] = []
    for answer in await asyncio.gather(*map(ask, parts), return_exceptions=True):
        if isinstance(answer, BaseException):
            errors.append(answer)
        else:
            answers |= answer
    if errors:
        raise _decisive(errors)
    return answers


async def read_parts(
    parts: Sequence[Part], read: Callable[[Part, int], Awaitable[Readings]], max_bytes: int
) -> Readings:
    """Read all parts at once; together they never take more than ``max_bytes`` of memory.

    Each part may take what is due to its number of tags. One that needs more is read again, within what the others have
    left: their readings fit exactly if those of one source would.

    Args:
        parts: what to read from which source.
        read: reads a part that may take so many bytes.
        max_bytes: of all readings.

    Raises:
        TooLarge: they take more.
        LatigoError: as `ask_parts`.
    """
    if len(parts) == 1:
        return await read(parts[0], max_bytes)
    number = sum(len(part.tags) for part in parts)
    larger: list[tuple[Part, TooLarge]] = []

    async def within_share(part: Part) -> Readings:
        try:
            return await read(part, max_bytes * len(part.tags) // number)
        except TooLarge as error:
            larger.append((part, error))
            return {}

    readings = dict(await ask_parts(parts, within_share))
    for part, error in larger:
        if len(larger) == len(parts):
            raise error
        held = sum(series.nbytes for series in readings.values())
        readings |= await read(part, max_bytes - held)
    return readings


def _decisive(errors: Sequence[BaseException]) -> BaseException:
    """Return the error of several that decides what comes next.

    A bug, before all else. Then a source that is unavailable: what the task needs of it is not known, and so not all
    that may be wrong. Unknown tags of all sources become one error, which names them.
    """
    for error in errors:
        if not isinstance(error, LatigoError):
            return error
    for error in sorted(errors, key=lambda error: isinstance(error, TimedOut)):
        if isinstance(error, Unavailable):
            return error
    rejected = [error for error in errors if isinstance(error, Rejected)]
    unknown = [error for error in rejected if error.reason is Reason.UNKNOWN_SENSOR]
    if len(unknown) > 1:
        whole_model = any(error.whole_model for error in unknown)
        return Rejected("; ".join(map(str, unknown)), reason=Reason.UNKNOWN_SENSOR, whole_model=whole_model)
    return (unknown or rejected or errors)[0]
