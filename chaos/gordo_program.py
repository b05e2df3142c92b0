"""A stand-in for Gordo whose predictions are those of `chaos.formulas`, in a process of its own.

Commands come on standard input, a line of JSON each: ``{"revision": ...}`` deploys, ``{"trouble": ..., "seconds":
...}`` misbehaves for a while. SIGTERM ends it.
"""

import argparse
import asyncio
import json
import random
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta

import numpy as np
import structlog

from chaos.formulas import BY_TAG, IN_TOTAL, PROJECT, RESOLUTION, models, output
from latigo.runtime.event_loop import run_async
from latigo.runtime.lifecycle import stop_on_signals
from latigo.sandbox.gordo import ModelDefinition, ProjectDefinition, SandboxGordo, open_sandbox_gordo
from latigo.sandbox.gordo.controls import PREDICTING, SERVER_ERROR, Close, Delay, Misbehaviour, unavailable
from latigo.sandbox.gordo.frames import Index
from latigo.sandbox.gordo.requests import read_frames
from latigo.sandbox.gordo.responses import Group, response_parquet

#: How it can misbehave.
TROUBLES: Mapping[str, Misbehaviour] = {
    "unavailable": unavailable(),
    "error": SERVER_ERROR,
    "close": Close(after_bytes=100),
    "slow": Delay(3.0),
}
#: Revisions that it still serves; tasks in flight may ask for an older one.
_KEPT = 2
#: How often the time that a prediction takes changes, in seconds.
_VARIES_EVERY_S = 0.5


class FormulaPredictions:
    """Responses by formula instead of by a trained model."""

    def predict(
        self, definition: ModelDefinition, revision: str, body: bytes, content_type: str, *, anomaly: bool
    ) -> tuple[bytes, Index] | None:
        x = read_frames(body, content_type).get("X")
        if x is None or not anomaly:
            return None
        seconds = (x.index.labels // 1_000_000_000).tolist()
        outputs = np.array(
            [
                [output(revision, mean, second) for mean in means]
                for second, means in zip(seconds, x.checked(definition.tags).values.tolist(), strict=True)
            ]
        ).reshape(len(seconds), len(definition.tags))
        groups = [
            Group("start", (), x.index.texts()),
            Group("end", (), x.index.shifted(definition.resolution).texts()),
            Group("model-input", definition.tags, x.values),
            *(Group(name, definition.tags, share * outputs) for name, share in BY_TAG.items()),
            *(Group(name, (), share * outputs.sum(axis=1)) for name, share in IN_TOTAL.items()),
        ]
        return response_parquet(groups, x.index), x.index


def definitions(count: int) -> tuple[ModelDefinition, ...]:
    """Return the models as the server describes them."""
    return tuple(
        ModelDefinition(
            model.name,
            model.tags,
            resolution=timedelta(seconds=RESOLUTION),
            row_filter=model.row_filter,
            filter_tags=(model.switch,) if model.switch else (),
        )
        for model in models(count)
    )


async def _obey(server: SandboxGordo, chance: random.Random, slowest_s: float) -> None:
    """Follow the commands on standard input."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    misbehaving = asyncio.Lock()
    async with asyncio.TaskGroup() as group:
        group.create_task(_vary(server, chance, slowest_s, misbehaving))
        while line := await reader.readline():
            match json.loads(line):
                case {"revision": revision}:
                    _deploy(server, revision)
                case {"trouble": name, "seconds": seconds}:
                    group.create_task(_trouble(server, misbehaving, TROUBLES[name], seconds))


def _deploy(server: SandboxGordo, revision: str) -> None:
    project = server.projects[PROJECT]
    if revision not in project.revisions:
        project.publish(revision)
    for old in sorted(project.revisions, key=int)[:-_KEPT]:
        project.forget(old)


async def _vary(server: SandboxGordo, chance: random.Random, slowest_s: float, misbehaving: asyncio.Lock) -> None:
    """Let predictions take now more and now less time, unless it misbehaves."""
    while True:
        async with misbehaving:
            with server.controls.delay(chance.uniform(0.0, slowest_s)):
                await asyncio.sleep(_VARIES_EVERY_S)


async def _trouble(server: SandboxGordo, misbehaving: asyncio.Lock, how: Misbehaviour, seconds: float) -> None:
    async with misbehaving:
        with server.controls.trouble(how, PREDICTING):
            await asyncio.sleep(seconds)


async def _serve(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    kept = options.revision[-_KEPT:]
    described = definitions(options.models)
    project = ProjectDefinition(PROJECT, described, kept[-1], dict.fromkeys(kept[:-1], described))
    with stop_on_signals(stop):
        async with open_sandbox_gordo(
            project, host=options.host, port=options.port, canned=FormulaPredictions()
        ) as server:
            obeying = asyncio.create_task(_obey(server, random.Random(options.seed), options.slowest))
            await stop.wait()
            obeying.cancel()
            with suppress(asyncio.CancelledError):
                await obeying


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m chaos.gordo_program", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--models", type=int, required=True)
    parser.add_argument("--revision", action="append", required=True, help="oldest first")
    parser.add_argument("--slowest", type=float, default=2.0, help="seconds that a prediction takes at most")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    run_async(lambda: _serve(options))


if __name__ == "__main__":
    main()
