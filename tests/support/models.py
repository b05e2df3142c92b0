"""A model server in memory that returns the double of its input."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from latigo.domain.errors import NoData
from latigo.domain.model import ModelRef, ModelSpec, ModelStatus
from latigo.domain.series import Column, Frame, Predictions, Times, Values
from latigo.domain.windows import Window
from latigo.providers.protocols import Execution


class Doubler:
    """A `ModelExecutionProvider`: every row of X but the first ``model_offset`` becomes a row of predictions."""

    def __init__(self) -> None:
        self.calls: list[tuple[ModelSpec, Window, Frame]] = []
        self.errors: list[Exception] = []  #: raised one after the other before anything is answered
        self.several: Sequence[str] = ()  #: names of servers, the preferred one first
        self.asked: list[str] = []  #: the server of each call
        self.down: dict[str, Exception] = {}  #: what each server raises
        self.anomaly = True
        self.changed: Callable[[Times, Values], Values] = lambda _, values: values  #: what becomes of the answer
        at_once = asyncio.Event()
        at_once.set()
        self.hold: Callable[[ModelRef], asyncio.Event] = lambda _: at_once  #: answers wait for these

    async def execute_model(
        self,
        name: ModelSpec,
        window: Window,
        x: Frame,
        y: Frame,  # noqa: ARG002 - it is of no use here
        *,
        server: str = "",
    ) -> Execution:
        self.calls.append((name, window, x))
        self.asked.append(server)
        await self.hold(name.ref).wait()
        if server in self.down:
            raise self.down[server]
        if self.errors:
            raise self.errors.pop(0)
        if len(x) < name.rows_needed:
            raise NoData(f"{len(x)} rows, fewer than {name.rows_needed}")
        columns = tuple(Column("model-output", tag) for tag in x.columns)
        rows = slice(name.model_offset, None)
        values = self.changed(x.times[rows], np.asarray(x.values[rows] * 2))
        return Execution(Predictions(name.ref, name.revision, x.times[rows], columns, values), self.anomaly)

    def servers(self, name: ModelRef) -> Sequence[str]:  # noqa: ARG002 - the same for all
        return self.several

    def all_servers(self) -> Collection[str]:
        return self.several

    async def ping(self, project: str) -> str:
        raise NotImplementedError

    async def register_model(self, model_data: Mapping[str, Any]) -> ModelRef:
        raise NotImplementedError

    async def unregister_model(self, name: ModelRef) -> None:
        raise NotImplementedError

    async def get_model_status(self, name: ModelRef) -> ModelStatus:
        raise NotImplementedError
