"""What is in a measurement: sensors, fields and their types; each is looked up once in a while."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, NamedTuple

from latigo.domain.errors import Reason, Rejected, Unavailable, describe_tags
from latigo.providers.influx.fields import FieldTypes, is_type, types_of
from latigo.providers.influx.query import Layout
from latigo.providers.influx.requests import MANY_NAMES, Requests
from latigo.providers.influx.responses import retention_of
from latigo.providers.qualities import whose_quality
from latigo.runtime.clock import Clock
from latigo.runtime.off_loop import in_order, off_loop

_TYPES_FOR: Final = timedelta(minutes=1)  #: a field gets another type with the first reading that has it
_MOST_KNOWN: Final = 200_000  #: silent sensors that are cached


class Types(NamedTuple):
    """Types of the fields that are read."""

    value: FieldTypes
    quality: FieldTypes | None  #: None: readings have no quality


class Schema:
    """Looks up the sensors and fields of a measurement.

    Args:
        requests: to the database.
        layout: where the readings are in it.
        clock: the machine's.
        remember: how long the existence of a silent sensor is cached.
    """

    def __init__(self, requests: Requests, layout: Layout, clock: Clock, remember: timedelta) -> None:
        self._requests = requests
        self._layout = layout
        self._clock = clock
        self._remember = remember.total_seconds()
        self._known: dict[str, float] = {}  #: silent sensors that exist, and until when that is cached (monotonic s)
        self._layout_checked = False
        self._types = self._types_in(())  #: as they were last
        self._types_until = float("-inf")
        self._types_lock = asyncio.Lock()

    @property
    def last_types(self) -> Types:
        """The types of the fields as they were looked up last."""
        return self._types

    async def types(self, *, renew: bool = False) -> Types:
        """Return the types of the fields, looked up a short time ago, or now with ``renew``.

        Raises:
            Unavailable: there is no field of qualities; names the key.
        """
        async with self._types_lock:
            if renew or self._clock.monotonic() >= self._types_until:
                found = self._types_in(await self._field_keys())
                if found.value.types and found.quality is not None and not found.quality.types:
                    raise await self._lacks_quality(found.quality.field)
                self._types = found
                self._types_until = self._clock.monotonic() + _TYPES_FOR.total_seconds()
        return self._types

    async def seeming_quality(self) -> str | None:
        """Return a field that seems to have the qualities of readings, where the settings name none."""
        if self._layout.quality_field:
            return None
        fields = sorted({field for field, _ in await self._field_keys()} - {self._layout.field})
        return next((field for field in fields if whose_quality(field) in {"", self._layout.field}), None)

    async def retention(self) -> timedelta | None:
        """Return how long the database keeps readings; None: for ever."""
        result = await self._requests.once(self._layout.retention())
        with self._requests.readable():
            return retention_of(result, self._requests.client.retention_policy)

    async def names(self) -> Sequence[str]:
        """Return the names of all sensors, sorted."""
        (names,) = await self._requests.pages(self._layout.names, ["value"], "the names of all sensors")
        await self._check_layout(again=not names)
        await self.types()
        return await off_loop(len(names), MANY_NAMES, lambda: in_order(list(filter(None, names))))

    async def exists(self, name: str) -> bool:
        """Return whether there is a sensor of this name."""
        unknown = await self._unknown([name])
        await self._check_layout(again=bool(unknown))
        await self.types()
        return not unknown

    async def check_existence(self, silent: Sequence[str]) -> None:
        """Check that sensors without readings exist, and that the names in the settings do.

        Raises:
            Rejected: ``UNKNOWN_SENSOR``, naming those that are not.
        """
        unknown = await self._unknown(silent)
        await self._check_layout(again=bool(unknown))
        if unknown:
            raise Rejected(
                f"{self._layout.measurement!r} in InfluxDB has no {describe_tags(unknown)}",
                reason=Reason.UNKNOWN_SENSOR,
                tags=unknown,
            )

    async def _field_keys(self) -> Sequence[tuple[str, str]]:
        """Return every field and type; a field of several types stands there several times."""
        fields, types = await self._requests.pages(
            self._layout.field_keys, ["fieldKey", "fieldType"], f"the fields of {self._layout.measurement!r}"
        )
        return list(zip(fields, types, strict=True))

    def _types_in(self, keys: Sequence[tuple[str, str]]) -> Types:
        quality_field = self._layout.quality_field
        for field, kind in keys:
            if field in {self._layout.field, quality_field} and not is_type(kind):
                raise self._lacks(f"field {field!r} of a type that can be read, but one of {kind[:100]!r}", "field")
        return Types(types_of(self._layout.field, keys), types_of(quality_field, keys) if quality_field else None)

    async def _unknown(self, names: Sequence[str]) -> Sequence[str]:
        """Return those of ``names`` that the index does not have; those that it has are cached for a while."""
        now = self._clock.monotonic()
        known = {name for name in names if self._known.get(name, now) > now}
        requested = [name for name in names if name not in known and self._requests.can_be_queried(name)]
        for name, result in await self._requests.each(self._layout.known(), requested):
            if name in self._requests.column(result, "value"):
                known.add(name)
                self._known[name] = now + self._remember
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        return [name for name in names if name not in known]

    async def _check_layout(self, *, again: bool) -> None:
        """Check the names in the settings: a wrong one looks like a plant without readings, and must park no model.

        Args:
            again: also if it was right before.

        Raises:
            Unavailable: a name in the settings does not exist; names the key.
        """
        if self._layout_checked and not again:
            return
        layout, requests = self._layout, self._requests
        tags = requests.column(await requests.once(layout.tag_keys()), "tagKey")
        fields = {field for field, _ in await self._field_keys()}
        if not tags:
            raise self._lacks(f"measurement {layout.measurement!r} with tags", "measurement")
        for tag, key in ((layout.tag_key, "tag_key"), *((tag, "where") for tag, _ in layout.where)):
            if tag not in tags:
                raise self._lacks(f"tag {tag!r} in {layout.measurement!r}", key)
        if layout.field not in fields:
            raise self._lacks(f"field {layout.field!r} in {layout.measurement!r}", "field")
        if layout.where and not requests.column(await requests.once(layout.names(1, 0)), "value"):
            where = ", ".join(f"{tag} = {value!r}" for tag, value in layout.where)
            raise self._lacks(f"series in {layout.measurement!r} with {where}", "where")
        self._layout_checked = True

    async def _lacks_quality(self, field: str) -> Unavailable:
        tags = self._requests.column(await self._requests.once(self._layout.tag_keys()), "tagKey")
        hint = f"; it is a tag, which {self._requests.client.section}.where selects by" if field in tags else ""
        return self._lacks(f"field {field!r} in {self._layout.measurement!r}", "quality_field", hint)

    def _lacks(self, what: str, key: str, hint: str = "") -> Unavailable:
        client = self._requests.client
        return Unavailable(
            f"InfluxDB {client.database!r} has no {what} (check {client.section}.{key}{hint})",
            downstream=client.downstream,
            alarm=True,
        )
