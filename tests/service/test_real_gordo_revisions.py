"""A real Gordo server comes back with a newer revision while Latigo runs."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from pydantic import SecretStr

from latigo.domain.coverage import Coverage
from latigo.domain.model import ModelRef
from latigo.domain.windows import Window, to_ns
from latigo.settings import (
    BackfillSettings,
    ExecutorSettings,
    FileSensors,
    GordoModels,
    HttpSettings,
    PostgresLedger,
    Settings,
)
from latigo.wiring.resources import Resources
from tests.support.gordo_client import Points, assert_same_points, client_points
from tests.support.gordo_process import running_gordo
from tests.support.plant_files import write_plant
from tests.support.postgres import fresh_database
from tests.support.real_gordo import gordo_home, require_gordo
from tests.support.running_latigo import (
    ModelState,
    ShiftedClock,
    all_done,
    all_known,
    model_states,
    running_latigo,
    stored_in,
)

pytestmark = [pytest.mark.real_gordo, pytest.mark.asyncio(loop_scope="module")]

PROJECT, OLD, NEW = "demo-project", "1761955200000", "1764547200000"
NOW = datetime(2026, 3, 1, 12, 7, tzinfo=UTC)
LATER = NOW + timedelta(minutes=40)
BEFORE = Window(datetime(2026, 3, 1, 10, tzinfo=UTC), datetime(2026, 3, 1, 12, tzinfo=UTC))
AFTER = Window(BEFORE.end, datetime(2026, 3, 1, 12, 30, tzinfo=UTC))
#: In both revisions; broken in the old one; in the old one only; in the new one only.
STEADY, MENDED, RETIRED, ADDED = "pca-linear", "smooth", "retired", "odd-names"
TAGS = (
    *(f"1902.B.TT-00{n}.PV" for n in range(1, 5)),
    *(f"1902.H.TT-00{n}.PV" for n in range(1, 4)),
    *(f"1902.R.TT-00{n}.PV" for n in range(1, 3)),
    *("ODD NAME 1", "ODD/NAME%2", "ODD-ÅØ-3", "odd.name.4"),
)


@dataclass(frozen=True, repr=False)
class Story:
    """What was known under the old revision, and some time after the new one came."""

    first: Mapping[str, ModelState]
    then: Mapping[str, ModelState]
    stored: Mapping[str, Points]
    revisions: Mapping[str, Mapping[str, tuple[datetime, datetime]]]  #: first and last row of each in the sink
    by_old: Mapping[ModelRef, Points]  #: what Gordo's own client gets from the old revision
    by_new: Mapping[ModelRef, Points]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def story(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: str, ledger_template: str
) -> AsyncIterator[Story]:
    """Let Latigo finish with the old revision, put a server with the new one in its place, and wait for a slot."""
    require_gordo()
    folder = tmp_path_factory.mktemp("revisions")
    readings, data = folder / "readings.parquet", folder / "data"
    shutil.copytree(gordo_home() / "data", data)
    (data / PROJECT / "models" / OLD / MENDED / "model.pkl").write_bytes(b"cut short")
    write_plant(readings, Window(BEFORE.start - timedelta(hours=2), LATER), dict.fromkeys(TAGS, 120.0))
    clock = ShiftedClock(NOW)
    async with fresh_database(postgres_server, template=ledger_template) as ledger, AsyncExitStack() as server:
        await clock.share(ledger)
        url = await server.enter_async_context(running_gordo(data, revision=OLD))
        async with running_latigo(settings(url, ledger, readings), clock) as resources:
            await all_known(resources, (STEADY, MENDED, RETIRED), OLD)
            await all_done(resources)
            first = await model_states(resources.database)
            await server.aclose()
            await server.enter_async_context(running_gordo(data, revision=NEW, port=urlsplit(url).port))
            await all_known(resources, (STEADY, MENDED, ADDED), NEW)
            await clock.set(LATER, ledger)
            await all_done(resources)
            then = await model_states(resources.database)
            stored = {name: await stored_in(resources.database, name) for name in then}
            revisions = {name: await revisions_of(resources, name) for name in then}
        by_old, by_new = await asyncio.gather(
            client_points(url, dict.fromkeys(refs(STEADY, RETIRED), (BEFORE,)), OLD, readings),
            client_points(url, dict.fromkeys(refs(STEADY, MENDED, ADDED), (BEFORE, AFTER)), NEW, readings),
        )
        yield Story(first, then, stored, revisions, by_old, by_new)


def settings(url: str, ledger: str, readings: Path) -> Settings:
    return Settings(
        backfill=BackfillSettings(horizon=timedelta(hours=2)),
        ledger=PostgresLedger(url=SecretStr(ledger)),
        models=GordoModels(
            url=url,
            projects=(PROJECT,),
            include=tuple(str(ref) for ref in refs(STEADY, MENDED, RETIRED, ADDED)),
            refresh=timedelta(seconds=1),
        ),
        sensors=FileSensors(path=readings, layout="long"),
        executor=ExecutorSettings(max_attempts=2, backoff_first=timedelta(milliseconds=100)),
        http=HttpSettings(enabled=False),
    )


def refs(*names: str) -> list[ModelRef]:
    return [ModelRef(PROJECT, name) for name in names]


async def revisions_of(resources: Resources, name: str) -> Mapping[str, tuple[datetime, datetime]]:
    async with resources.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT revision, min(time), max(time) FROM v_predictions WHERE model = $1 GROUP BY revision",
            name,
        )
    return {row["revision"]: (row["min"], row["max"]) for row in rows}


def rows(window: Window) -> tuple[datetime, datetime]:
    """First and last row of a window, at ten minutes a row."""
    return window.start, window.end - timedelta(minutes=10)


def within(window: Window, points: Points) -> Points:
    start, end = to_ns(window.start), to_ns(window.end)
    return {column: {t: value for t, value in result.items() if start <= t < end} for column, result in points.items()}


async def test_the_epoch_rises_and_what_is_covered_stays(story: Story) -> None:
    before, after = story.first[STEADY], story.then[STEADY]

    assert (before.revision, before.epoch, before.covered) == (OLD, 1, Coverage((BEFORE,)))
    assert (after.revision, after.epoch, after.covered) == (NEW, 2, Coverage((Window(BEFORE.start, AFTER.end),)))


async def test_each_slot_is_predicted_once_and_with_the_revision_of_its_time(story: Story) -> None:
    assert story.revisions[STEADY] == {OLD: rows(BEFORE), NEW: rows(AFTER)}
    assert story.then[STEADY].stored == (BEFORE, AFTER)
    assert_same_points(within(BEFORE, story.stored[STEADY]), story.by_old[ModelRef(PROJECT, STEADY)], relative=1e-6)
    assert_same_points(
        within(AFTER, story.stored[STEADY]), within(AFTER, story.by_new[ModelRef(PROJECT, STEADY)]), relative=1e-6
    )


async def test_a_model_that_could_not_be_loaded_gets_another_chance(story: Story) -> None:
    assert story.first[MENDED].parked == {"attempts": Coverage((BEFORE,))}
    assert not story.first[MENDED].covered
    assert not story.then[MENDED].parked
    assert story.then[MENDED].covered == Coverage((Window(BEFORE.start, AFTER.end),))
    assert_same_points(story.stored[MENDED], story.by_new[ModelRef(PROJECT, MENDED)], relative=1e-6)


async def test_a_model_that_is_gone_keeps_what_it_has_and_gets_no_more(story: Story) -> None:
    before, after = story.first[RETIRED], story.then[RETIRED]

    assert (before.state, after.state) == ("active", "missing")
    assert before.covered == after.covered == Coverage((BEFORE,))
    assert story.revisions[RETIRED] == {OLD: rows(BEFORE)}
    assert_same_points(story.stored[RETIRED], story.by_old[ModelRef(PROJECT, RETIRED)], relative=1e-6)


async def test_a_model_that_is_new_gets_its_history(story: Story) -> None:
    assert ADDED not in story.first
    assert story.then[ADDED].covered == Coverage((Window(BEFORE.start, AFTER.end),))
    assert_same_points(story.stored[ADDED], story.by_new[ModelRef(PROJECT, ADDED)], relative=1e-6)
