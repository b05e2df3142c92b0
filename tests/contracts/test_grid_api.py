"""The grid over HTTP: rows, cells, sums and changes, from memory that is brought up to date."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from aiohttp import ClientResponse, ClientSession

from latigo.ledger.protocol import ExecutorInfo
from latigo.postgres.database import Database
from latigo.postgres.ranges import to_range
from latigo.reports import grid_keeper
from latigo.reports.grid import read_ledger
from latigo.reports.grid_cells import Axis, State
from latigo.reports.grid_keeper import GridKeeper, Range
from latigo.reports.grid_view import Wanted
from latigo.web.api.context import Kept
from tests.support.api import ask, serve_api
from tests.support.build import NOW, an_entry, at, window
from tests.support.clock import ManualClock
from tests.support.ledgers import Ledgers
from tests.support.waiting import eventually

#: From 09:30, half an hour before models are predicted, until the end of the slot in progress.
RANGE = {"from": "2026-03-01T09:30Z", "to": "now"}
BEFORE, COVERED, MISSING, PARKED = State.NOT_DESIRED, State.COVERED, State.MISSING, State.PARKED


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    """Three models of two projects: one covered, one that lacks its newest slot, and one that is parked."""
    await ledgers.set_clock(NOW)
    await ledgers.scheduler.acquire_lease("scheduler-1", timedelta(days=1))
    await ledgers.executor.register(ExecutorInfo("executor-1", "test", 1, 1, 8))
    await ledgers.models.put_models([an_entry("fan"), an_entry("pump"), an_entry("valve", project="site")])
    await ledgers.fetch("UPDATE coverage SET covered = tstzmultirange($1)", to_range(window("10:00", "12:00")))
    await cover(ledgers, "pump", "10:00", "11:30")
    await cover(ledgers, "valve", "10:00", "11:00")
    await ledgers.fetch(
        "INSERT INTO parked (model_id, revision, reason, detail, windows, since, version, tags)"
        " SELECT id, '1000', 'unknown_sensor', '', tstzmultirange($1), $2, 'test', '{FT-7,FT-8}'"
        " FROM model WHERE name = 'valve'",
        *(to_range(window("11:00", "12:00")), at("11:05")),
    )
    return ledgers


async def cover(ledger: Ledgers, model: str, start: str, end: str) -> None:
    await ledger.fetch(
        "UPDATE coverage SET covered = tstzmultirange($1) FROM model WHERE id = model_id AND name = $2",
        *(to_range(window(start, end)), model),
    )


async def settle(ledger: Ledgers, model: str, start: str, end: str) -> None:
    """Cover a model's time as a settled task would."""
    await cover(ledger, model, start, end)
    await ledger.fetch(
        "INSERT INTO task_history (id, model_id, revision, epoch, span, lane, outcome, attempts, starts, planned_at,"
        " settled_at) SELECT 1, id, '1', 1, $2, 'live', 'stored', 0, 1, ledger_now(), ledger_now()"
        " FROM model WHERE name = $1",
        *(model, to_range(window("11:30", "12:00"))),
    )


@pytest.fixture
async def client(ledger: Ledgers, clock: ManualClock, kept: Kept) -> AsyncIterator[ClientSession]:
    async with serve_api(ledger, clock, kept=kept) as session:
        yield session


async def event_of(stream: ClientResponse, name: str) -> dict[str, Any]:
    """The data of the next event of this name."""
    async for line in stream.content:
        if line.decode().strip() == f"event: {name}":
            data: dict[str, Any] = json.loads((await stream.content.readline()).removeprefix(b"data: "))
            return data
    raise AssertionError("the stream has ended")


async def cells_of(client: ClientSession, grid: dict[str, Any], **query: Any) -> list[list[int]]:
    octets = await ask(client, "/grid/cells", version=grid["version"], **query)
    cells: list[list[int]] = np.frombuffer(octets, np.uint8).reshape(-1, grid["columns"]).tolist()
    return cells


async def test_rows_stand_by_project_the_worst_first_and_cells_follow_them(client: ClientSession):
    grid = await ask(client, "/grid", **RANGE)

    assert (grid["start"], grid["end"], grid["step_s"]) == ("2026-03-01T09:30:00Z", "2026-03-01T12:30:00Z", 1800)
    assert (grid["columns"], grid["rows"], grid["sums_only"], grid["at"]) == (6, 3, False, "2026-03-01T12:07:00Z")
    assert grid["groups"] == [
        {"project": "site", "first_row": 0, "rows": 1},
        {"project": "plant", "first_row": 1, "rows": 2},
    ]
    assert grid["names"] == ["valve", "pump", "fan"]
    assert grid["score"][0] >= 2 > grid["score"][1] > grid["score"][2] == 0
    assert await cells_of(client, grid) == [
        [BEFORE, COVERED, COVERED, PARKED, PARKED, BEFORE],
        [BEFORE, COVERED, COVERED, COVERED, MISSING, BEFORE],
        [BEFORE, COVERED, COVERED, COVERED, COVERED, BEFORE],
    ]
    assert await cells_of(client, grid, rows="1-1") == [[BEFORE, COVERED, COVERED, COVERED, MISSING, BEFORE]]


async def test_columns_in_which_many_lack_something_name_the_cause_of_most(client: ClientSession):
    grid = await ask(client, "/grid", **RANGE)

    assert grid["marks"] == [
        {
            "column": 3,
            "share": 0.333,
            "state": "parked",
            "cause": "no source has a sensor that is read: FT-7 and 1 more",
        },
        {"column": 4, "share": 0.667, "state": "parked", "cause": "waits for its turn"},
    ]


async def fail(ledger: Ledgers, model: str, outcome: str, detail: str, when: str) -> None:
    await ledger.fetch(
        "INSERT INTO task_history (id, model_id, revision, epoch, span, lane, outcome, detail, attempts, starts,"
        " planned_at, settled_at) SELECT 1, id, '1', 1, $2, 'live', $3, $4, 0, 1, $5, $5 FROM model WHERE name = $1",
        *(model, to_range(window("11:00", "12:00")), outcome, detail, at(when)),
    )


async def keep_history(ledger: Ledgers, *times: str) -> None:
    for time in times:
        await ledger.fetch("INSERT INTO service_history VALUES ($1, 1, 1, 0, 0, 0)", at(time))


@pytest.fixture
async def missing(ledger: Ledgers) -> Ledgers:
    """Two of three models lack two slots."""
    await cover(ledger, "pump", "10:00", "11:00")
    await cover(ledger, "fan", "10:00", "11:00")
    await cover(ledger, "valve", "10:00", "12:00")
    await ledger.fetch("DELETE FROM parked")
    return ledger


async def test_missing_slots_have_the_cause_of_most_at_their_time(client: ClientSession, missing: Ledgers):
    await fail(missing, "pump", "deferred", "predict: server 1 of pump is down", "11:33")
    await fail(missing, "fan", "deferred", "predict: server 2 of fan is down", "11:35")
    await fail(missing, "fan", "retry", "read: too slow", "11:34")
    await fail(missing, "pump", "retry", "read: too slow", "07:00")
    await fail(missing, "fan", "stored", "predict: all is well", "11:36")

    marks = (await ask(client, "/grid", **RANGE))["marks"]

    assert [(mark["column"], mark["state"]) for mark in marks] == [(3, "missing"), (4, "missing")]
    assert {mark["cause"] for mark in marks} == {"server 1 of pump is down"}


@pytest.mark.parametrize(
    ("periods", "cause"),
    [
        (["10:00", "10:55"], "no scheduler ran then"),
        (["10:00", "11:20"], "waits for its turn"),
        ([], "waits for its turn"),
    ],
)
async def test_missing_slots_of_a_time_without_a_scheduler_say_so(
    client: ClientSession, missing: Ledgers, periods: list[str], cause: str
):
    await keep_history(missing, *periods)

    assert {mark["cause"] for mark in (await ask(client, "/grid", **RANGE))["marks"]} == {cause}


@pytest.mark.parametrize(
    ("detail", "cause"),
    [
        ("predict: no answer", "waits for another attempt: predict: no answer"),
        ("", "waits for its turn, or for the end of a pause"),
    ],
)
async def test_missing_slots_of_a_task_that_waits_say_what_for(
    client: ClientSession, missing: Ledgers, detail: str, cause: str
):
    await missing.fetch(
        "INSERT INTO task (model_id, epoch, span, lane, state, planned_at, not_before, detail)"
        " SELECT id, epoch, $1, 'live', 'waiting', ledger_now(), ledger_now(), $2 FROM model WHERE name <> 'valve'",
        *(to_range(window("11:00", "12:00")), detail),
    )

    assert {mark["cause"] for mark in (await ask(client, "/grid", **RANGE))["marks"]} == {cause}


async def test_sums_by_group_column_and_state_are_those_of_the_cells(client: ClientSession):
    grid = await ask(client, "/grid", **RANGE, order="name")
    octets = await ask(client, "/grid/summary", version=grid["version"])
    sums = np.frombuffer(octets, "<u2").reshape(2, grid["columns"], 10)

    assert [group["project"] for group in grid["groups"]] == ["plant", "site"]
    assert sums[0, 4].tolist() == [0, 1, 0, 0, 0, 0, 1, 0, 0, 0]
    assert sums[1, 4].tolist() == [0, 0, 0, 0, 0, 0, 0, 1, 0, 0]
    assert sums.sum(axis=2).tolist() == [[2] * 6, [1] * 6]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({"order": "name"}, ["fan", "pump", "valve"]),
        ({"order": "behind"}, ["valve", "pump", "fan"]),
        ({"order": "parked"}, ["valve", "fan", "pump"]),
        ({"q": "pu plant"}, ["pump"]),
        ({"q": "nothing"}, []),
        ({"project": "si*"}, ["valve"]),
        ({"project": "[ps]*"}, []),
        ({"state": "missing"}, ["pump"]),
        ({"state": "lacking"}, ["valve", "pump"]),
        ({"state": "parked"}, ["valve"]),
        ({"state": "paused"}, []),
    ],
)
async def test_models_are_chosen_and_ordered(client: ClientSession, wanted: dict[str, str], names: list[str]):
    grid = await ask(client, "/grid", **RANGE, **wanted)

    assert grid["names"] == names
    assert grid["rows"] == len(grid["ids"]) == len(grid["score"]) == len(names)
    assert len(await cells_of(client, grid)) == len(names)


async def test_cells_are_sent_compressed_and_what_did_not_change_is_not_sent_again(client: ClientSession):
    many = await ask(client, "/grid", **{**RANGE, "from": "-30d", "step_s": "1800"})
    path, asked = "/api/v1/grid/cells", {"version": many["version"]}
    async with client.get(path, params=asked, headers={"Accept-Encoding": "gzip"}, auto_decompress=False) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert len(gzip.decompress(await answer.read())) == many["columns"] * 3
        tag = answer.headers["ETag"]
    async with client.get(path, params=asked, headers={"If-None-Match": tag}) as answer:
        assert answer.status == 304


async def test_a_model_that_is_parked_as_a_whole_keeps_what_it_has(ledger: Ledgers, client: ClientSession):
    await ledger.fetch(
        "INSERT INTO parked (model_id, revision, reason, detail, windows, since, version)"
        " SELECT id, '1000', 'columns_refused', '', '{(,)}', $1, 'test' FROM model WHERE name = 'pump'",
        at("11:35"),
    )

    grid = await ask(client, "/grid", **RANGE)

    row = (await cells_of(client, grid))[grid["names"].index("pump")]
    assert list(row) == [BEFORE, COVERED, COVERED, COVERED, PARKED, BEFORE]


async def test_a_grid_is_made_again_after_fifteen_seconds_and_only_its_changed_rows_are_told(
    ledger: Ledgers, client: ClientSession, clock: ManualClock, kept: Kept
):
    grid = await ask(client, "/grid", **RANGE)
    keeper: GridKeeper = kept.of(GridKeeper, lambda: pytest.fail("there is none"))
    ids = dict(zip(grid["names"], grid["ids"], strict=True))
    assert await keeper.changes() is None
    await settle(ledger, "pump", "10:00", "12:00")
    await clock.advance(timedelta(seconds=14))
    assert (await ask(client, "/grid", **RANGE))["version"] == grid["version"]

    await clock.advance(timedelta(seconds=2))
    changes = await keeper.changes()

    assert changes is not None
    assert (changes.rows, changes.reload) == ([ids["pump"]], False)
    rows = await ask(client, "/grid/rows", version=grid["version"], ids=f"{ids['pump']},999")
    assert (rows["ids"], rows["cells"]) == ([ids["pump"]], ["011110"])
    assert (await cells_of(client, grid))[1][4] == MISSING  # a version does not change
    assert (await ask(client, "/grid", **RANGE))["version"] != grid["version"]


async def test_what_did_not_change_keeps_its_version_and_its_time_goes_on(
    ledger: Ledgers, client: ClientSession, clock: ManualClock
):
    grid = await ask(client, "/grid", **RANGE)
    await clock.advance(timedelta(seconds=30))
    await ledger.set_clock(NOW + timedelta(seconds=30))

    again = await ask(client, "/grid", **RANGE)

    assert (again["version"], again["at"]) == (grid["version"], "2026-03-01T12:07:30Z")
    assert await cells_of(client, again) == await cells_of(client, grid)


async def test_a_version_is_gone_a_minute_after_it_was_replaced(
    ledger: Ledgers, client: ClientSession, clock: ManualClock
):
    grid = await ask(client, "/grid", **RANGE)
    await settle(ledger, "pump", "10:00", "12:00")
    await clock.advance(timedelta(seconds=20))
    await ask(client, "/grid", **RANGE)
    await clock.advance(timedelta(seconds=59))
    assert len(await cells_of(client, grid)) == 3

    await clock.advance(timedelta(seconds=31))

    problem = await ask(client, "/grid/cells", 410, version=grid["version"], rows="0-1")
    assert problem["type"] == "gone"
    await ask(client, "/grid/summary", 410, version="never-given")
    rows = await ask(
        client, "/grid/rows", version=grid["version"], ids=str(grid["ids"][0])
    )  # of the range as it is now
    assert rows["ids"] == grid["ids"][:1]


async def test_what_nobody_asks_for_is_not_made_any_more(
    ledger: Ledgers, client: ClientSession, clock: ManualClock, kept: Kept
):
    await ask(client, "/grid", **RANGE)
    keeper: GridKeeper = kept.of(GridKeeper, lambda: pytest.fail("there is none"))
    await settle(ledger, "pump", "10:00", "12:00")
    await clock.advance(timedelta(minutes=2, seconds=1))

    assert await keeper.changes() is None


async def test_the_next_slot_moves_a_range_that_ends_now(ledger: Ledgers, client: ClientSession, clock: ManualClock):
    grid = await ask(client, "/grid", **{"from": "-2h"})
    await clock.advance(timedelta(minutes=30))
    await ledger.set_clock(NOW + timedelta(minutes=30))

    moved = await ask(client, "/grid", **{"from": "-2h"})

    assert (grid["start"], moved["start"]) == ("2026-03-01T10:00:00Z", "2026-03-01T10:30:00Z")
    assert [row[-2] for row in await cells_of(client, moved)] == [MISSING] * 3


async def test_a_stream_says_which_rows_have_changed(ledger: Ledgers, client: ClientSession, clock: ManualClock):
    grid = await ask(client, "/grid", **RANGE)
    ids = dict(zip(grid["names"], grid["ids"], strict=True))
    await settle(ledger, "pump", "10:00", "12:00")
    async with client.get("/api/v1/events") as stream:
        await eventually(lambda: clock.sleepers, what="the stream has looked once")
        await clock.advance(timedelta(seconds=16))

        data = await event_of(stream, "grid")

    assert (data["rows"], data["reload"]) == ([ids["pump"]], False)


async def test_a_range_that_is_used_least_is_dropped(client: ClientSession, clock: ManualClock):
    first = await ask(client, "/grid", **RANGE)
    for days in (1, 2, 3):
        await ask(client, "/grid", **{"from": f"-{days}d"})
    await clock.advance(timedelta(seconds=31))  # until when the answer is shared

    await ask(client, "/grid/cells", 410, version=first["version"])


async def test_ranges_that_are_refused_drop_none(client: ClientSession, clock: ManualClock):
    grid = await ask(client, "/grid", **RANGE)
    for days in (901, 902, 903, 904):
        await ask(client, "/grid", 400, **{"from": f"-{days}d"})
    await clock.advance(timedelta(seconds=31))  # until when an answer is shared

    await ask(client, "/grid/cells", version=grid["version"])


async def test_one_grid_is_made_at_a_time_however_many_ranges_are_asked_for(
    client: ClientSession, monkeypatch: pytest.MonkeyPatch
):
    made: list[int] = []
    under_way = 0

    async def reading(*arguments: Any, **options: Any) -> Any:
        nonlocal under_way
        under_way += 1
        made.append(under_way)
        try:
            return await read_ledger(*arguments, **options)
        finally:
            under_way -= 1

    monkeypatch.setattr(grid_keeper, "read_ledger", reading)
    asking = [client.get("/api/v1/grid", params={"from": f"-{days}d"}) for days in range(1, 9)]
    statuses = {answer.status for answer in await asyncio.gather(*asking)}

    assert set(made) == {1}
    assert statuses <= {200, 503}


async def test_all_ranges_together_take_a_tenth_of_the_time_and_none_waits_for_ever(
    ledger: Ledgers, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
):
    ranges = [Range(f"-{hours}h", "now") for hours in (2, 4, 6)]
    read: list[timedelta] = []

    async def slowly(database: Database, axis: Axis, *others: Any) -> Any:
        read.append(axis.end - axis.start)
        await clock.advance(timedelta(seconds=2))
        return await read_ledger(database, axis, *others)

    monkeypatch.setattr(grid_keeper, "read_ledger", slowly)
    keeper = GridKeeper(ledger.database, clock)
    for each in ranges:
        await keeper.view(each, Wanted())
    read.clear()
    began = clock.monotonic()
    while clock.monotonic() < began + 600:
        await clock.advance(timedelta(seconds=5))
        for each in ranges:
            await keeper.view(each, Wanted())
        await keeper.changes()

    assert len(read) * 2 <= 60
    assert sorted(read.count(length) for length in set(read)) == [len(read) // 3] * 3
    assert len(read) >= 24  # a minute for each of the three, and what is left of the last


async def test_versions_take_no_more_memory_than_they_may(client: ClientSession, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(grid_keeper, "MOST_OCTETS", 0)
    monkeypatch.setattr(grid_keeper, "_LEAST_FOR_VERSIONS", 1000)
    grids = [await ask(client, "/grid", **RANGE, q=" " * n + "a") for n in range(20)]

    await ask(client, "/grid/cells", 410, version=grids[0]["version"])
    await ask(client, "/grid/cells", version=grids[-1]["version"])


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ({"project": "plnt"}, 404, "plant"),
        ({"from": "yesterday"}, 400, "yesterday"),
        ({"from": "now"}, 400, "before"),
        ({"from": "-900d"}, 400, "400 days"),
        ({"order": "colour"}, 400, "order"),
        ({"step_s": "1"}, 400, "step_s"),
    ],
)
async def test_what_cannot_be_asked_is_refused_by_name(
    client: ClientSession, query: dict[str, str], status: int, words: str
):
    problem = await ask(client, "/grid", status, **query)

    assert words in problem["detail"] + "".join(problem["errors"])


async def test_rows_that_are_not_there_are_refused(client: ClientSession):
    grid = await ask(client, "/grid", **RANGE)

    assert "0-2" in (await ask(client, "/grid/cells", 400, version=grid["version"], rows="2-3"))["detail"]
    await ask(client, "/grid/cells", 400, version=grid["version"], rows="2-1")
    await ask(client, "/grid/rows", 400, version=grid["version"], ids=",".join(map(str, range(501))))


async def test_a_long_range_gets_wider_columns_and_says_so(client: ClientSession):
    month, year = [await ask(client, "/grid", **{"from": f"-{days}d"}) for days in (30, 365)]
    fine = await ask(client, "/grid", **{"from": "-365d", "step_s": "600"})

    assert (month["step_s"], year["step_s"], fine["step_s"]) == (7200, 86400, 21600)


async def test_a_ledger_without_models_has_an_empty_grid(ledgers: Ledgers, clock: ManualClock):
    await ledgers.set_clock(NOW)
    async with serve_api(ledgers, clock) as client:
        grid = await ask(client, "/grid")

        assert (grid["rows"], grid["groups"], grid["marks"]) == (0, [], [])
        assert await cells_of(client, grid) == []
