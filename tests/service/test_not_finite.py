"""Models that answer values that no sink can store: nothing is covered that is not there, and people are told."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import SecretStr

from latigo.domain.coverage import Coverage
from latigo.domain.health import State
from latigo.domain.windows import Window, to_ns
from latigo.providers.simulated import Plant
from latigo.reports.failures import Failure, FailureFilter, read_failures
from latigo.reports.models import read_models
from latigo.reports.status import Status, read_status
from latigo.sandbox.gordo import SandboxGordo, demo_project, open_sandbox_gordo
from latigo.sandbox.gordo.definition import REVISION
from latigo.settings import (
    BackfillSettings,
    GordoModels,
    HttpSettings,
    InfluxSink,
    PostgresLedger,
    PostgresSink,
    Settings,
    SimulatedSensors,
)
from latigo.wiring.resources import Resources
from tests.support.build import HALF_HOUR, at, window
from tests.support.influxd import InfluxDatabase, administer, fresh_influx_database, select
from tests.support.not_finite import ChangedPredictions
from tests.support.process import latigo, write_config
from tests.support.running_latigo import ShiftedClock, all_done, all_known, model_states, running_latigo

PROJECT = "plant-a"
GOOD, DARK, INFINITE, PARTLY = "pump-001", "compressor-002", "separator-003", "turbine-004"
MODELS = (GOOD, DARK, INFINITE, PARTLY)
DUE = window("10:00", "12:00")
NOW = at("12:10")

Labels = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


def dark(_: Labels, values: Values) -> None:
    values[:] = np.nan


def infinite(labels: Labels, values: Values) -> None:
    values[labels % 1_200_000_000_000 == 0] = np.inf
    values[labels % 1_200_000_000_000 != 0] = -np.inf


def partly(labels: Labels, values: Values) -> None:
    """From half past eleven on no row has a finite value but the last; before, each has one at least."""
    values[:, 1:] = np.nan
    values[(labels >= to_ns(at("11:30"))) & (labels < to_ns(at("11:50")))] = np.inf


@dataclass
class World:
    """Latigo's surroundings, and how they stand."""

    settings: Settings
    clock: ShiftedClock
    ledger: str
    gordo: SandboxGordo
    canned: ChangedPredictions
    influx: InfluxDatabase | None

    async def later(self, latigo: Resources, hours: float) -> None:
        """Let time pass, until all that is due has been tried."""
        await self.clock.set(self.clock.now() + timedelta(hours=hours), self.ledger)
        await all_done(latigo)

    async def times(self, latigo: Resources, model: str) -> set[int]:
        """The times (ns) of which the sink holds a value."""
        if self.influx:
            series = await select(
                self.influx, f"SELECT sensor_value FROM /.*/ WHERE \"machine\" = '{model}' GROUP BY *"
            )
            return {time for each in series for time, _ in each["values"]}
        async with latigo.database.connection() as connection:
            rows = await connection.fetch("SELECT time FROM v_predictions WHERE model = $1", model)
        return {to_ns(row["time"]) for row in rows}

    async def assert_covered_is_stored(self, latigo: Resources) -> None:
        for model, state in (await model_states(latigo.database)).items():
            labels = {to_ns(part.start) for slots in state.covered for part in slots.slots(timedelta(minutes=10))}
            assert labels - await self.times(latigo, model) == set(), model


@pytest.fixture(params=["postgres", "influx"])
async def world(request: pytest.FixtureRequest, ledger_url: str) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        influx = None
        sinks: tuple[Any, ...] = (PostgresSink(),)
        if request.param == "influx":
            server = request.getfixturevalue("influx_server")
            influx = await stack.enter_async_context(fresh_influx_database(server))
            sinks = (InfluxSink(url=influx.url, database=influx.name),)
        canned, clock = ChangedPredictions(), ShiftedClock(NOW)
        project = demo_project(Plant(), PROJECT, len(MODELS), timedelta(minutes=10), 2, special=False)
        assert [model.name for model in project.models] == list(MODELS)
        gordo = await stack.enter_async_context(open_sandbox_gordo(project, canned=canned))
        await clock.share(ledger_url)
        settings = Settings(
            backfill=BackfillSettings(horizon=timedelta(hours=2)),
            ledger=PostgresLedger(url=SecretStr(ledger_url)),
            models=GordoModels(url=gordo.url, projects=(PROJECT,)),
            sensors=SimulatedSensors(),
            predictions=sinks,
            http=HttpSettings(enabled=False),
        )
        yield World(settings, clock, ledger_url, gordo, canned, influx)


async def status_of(latigo: Resources) -> Status:
    return await read_status(latigo.database, "test")


def names(failures: Any) -> dict[str, Failure]:
    return {failure.model: failure for failure in failures}


async def test_models_without_finite_values_are_not_covered_and_named_until_they_answer_again(world: World):
    world.canned.changes = {DARK: dark, INFINITE: infinite, PARTLY: partly}
    async with running_latigo(world.settings, world.clock) as latigo:
        await all_known(latigo, MODELS, REVISION)
        await all_done(latigo)
        states = await model_states(latigo.database)
        status, failures = await status_of(latigo), names(await read_failures(latigo.database))
        shares = {model.model: model.not_finite_share or 0.0 for model in await read_models(latigo.database)}
        await world.assert_covered_is_stored(latigo)
        (family,) = latigo.metrics.values.collect()
        counted = {each.labels["outcome"]: each.value for each in family.samples if each.name.endswith("_total")}

        world.canned.changes = {}
        await world.later(latigo, 0.5)
        healed, healed_status = await model_states(latigo.database), await status_of(latigo)
        await world.assert_covered_is_stored(latigo)
        healed_failures = await read_failures(latigo.database)

    assert states[GOOD].covered == Coverage((DUE,))
    for model in (DARK, INFINITE):
        assert states[model].covered == Coverage(), model
        assert set(states[model].exceptions.values()) == {("absent", "no_finite_values")}, model
        assert Coverage.of(states[model].exceptions) == Coverage((DUE,)), model
    assert states[PARTLY].covered == Coverage((window("10:00", "11:30"),))
    assert states[PARTLY].exceptions == {window("11:30", "12:00"): ("short", "no_finite_values")}
    assert [state.parked for state in states.values()] == [{}] * len(MODELS)

    assert status.state is State.NEEDS_ATTENTION
    (alarm,) = [alarm for alarm in status.alarms if "no_finite_values" in alarm]
    assert all(model in alarm for model in (DARK, INFINITE, PARTLY))
    assert GOOD not in alarm
    assert {model: failure.reason for model, failure in failures.items()} == dict.fromkeys(
        (DARK, INFINITE, PARTLY), "no_finite_values"
    )
    assert shares[GOOD] == 0
    assert (shares[DARK], shares[INFINITE]) == (1, 1)
    assert 0 < shares[PARTLY] < 1
    assert 0 < counted["finite"] < counted["not_finite"]  # two models answer nothing finite, and one hardly anything

    assert {model: state.covered for model, state in healed.items()} == dict.fromkeys(
        MODELS, Coverage((Window(DUE.start, DUE.end + HALF_HOUR),))
    )
    assert [state.exceptions for state in healed.values()] == [{}] * len(MODELS)
    assert not [alarm for alarm in healed_status.alarms if "no_finite_values" in alarm]
    assert healed_failures == []


@pytest.mark.parametrize("world", ["postgres"], indirect=True)
async def test_the_commands_name_such_a_model_with_the_reason(world: World, tmp_path: Path):
    world.canned.changes = {DARK: dark}
    async with running_latigo(world.settings, world.clock) as service:
        await all_known(service, MODELS, REVISION)
        await all_done(service)
    config = write_config(
        tmp_path,
        ledger={"kind": "postgres", "url": world.ledger},
        models={"url": world.gordo.url},
    )

    async def told(*command: str) -> tuple[int, str]:
        code, output, _ = await latigo(*command, "--config", str(config), folder=tmp_path)
        return code, output

    status = await told("status")
    failures = await told("failures", "--reason", "no_finite_values", "--json")
    shown = await told("models", "show", f"{PROJECT}/{DARK}", "--json")

    here_and_now = [
        await told("predict", f"{PROJECT}/{model}", "--from", str(DUE.start), "--to", str(DUE.end), "--json")
        for model in (DARK, GOOD)
    ]

    assert status[0] == 3
    assert f"no_finite_values: 1, {DARK}" in status[1]
    assert [(each["model"], each["state"]) for each in json.loads(failures[1])] == [(DARK, "excepted")]
    assert json.loads(shown[1])["ledger"]["not_finite_share"] == 1
    assert [each["reason"] for each in json.loads(shown[1])["failures"]] == ["no_finite_values"]
    assert [code for code, _ in here_and_now] == [3, 0]
    (in_the_dark, good) = (json.loads(output) for _, output in here_and_now)
    assert {exception.rpartition(": ")[2] for exception in in_the_dark["exceptions"]} == {"no_finite_values"}
    assert (in_the_dark["rows_without_values"], good["rows_without_values"], good["exceptions"]) == (12, 0, [])


@pytest.mark.parametrize("world", ["postgres"], indirect=True)
async def test_an_answer_that_stays_bad_is_rechecked_by_the_rules_and_then_left(world: World):
    world.canned.changes = {DARK: dark}
    async with running_latigo(world.settings, world.clock) as latigo:
        await all_known(latigo, MODELS, REVISION)
        await all_done(latigo)
        async with latigo.database.connection() as connection:
            await connection.execute("UPDATE slot_exception SET looks = 3, next_look = 'infinity'")
        before = [run for run in world.gordo.controls.executed if run.model == DARK]
        await world.later(latigo, 1)
        after = [run for run in world.gordo.controls.executed if run.model == DARK][len(before) :]
        lacking = await status_of(latigo)

    assert before
    assert [run.last for run in after if run.last and run.last < DUE.end] == []
    assert lacking.state is State.NEEDS_ATTENTION


async def test_what_an_influxdb_drops_for_its_age_is_not_covered_and_names_the_sink(
    ledger_url: str, influx_database: InfluxDatabase
):
    statement = f'CREATE RETENTION POLICY "short" ON "{influx_database.name}" DURATION 3h REPLICATION 1 DEFAULT'
    await administer(influx_database.url, statement)
    clock = ShiftedClock(NOW)  # long ago, for the server
    project = demo_project(Plant(), PROJECT, 1, timedelta(minutes=10), 2, special=False)
    await clock.share(ledger_url)
    async with open_sandbox_gordo(project, canned=ChangedPredictions()) as gordo:
        settings = Settings(
            backfill=BackfillSettings(horizon=timedelta(hours=2)),
            ledger=PostgresLedger(url=SecretStr(ledger_url)),
            models=GordoModels(url=gordo.url, projects=(PROJECT,)),
            sensors=SimulatedSensors(),
            predictions=(InfluxSink(url=influx_database.url, database=influx_database.name), PostgresSink()),
            http=HttpSettings(enabled=False),
        )
        async with running_latigo(settings, clock) as latigo:
            await all_known(latigo, [GOOD], project.revision)
            await all_done(latigo)
            states, status = await model_states(latigo.database), await status_of(latigo)
            (failure,) = await read_failures(latigo.database, FailureFilter(reason="not_stored"))

    assert states[GOOD].covered == Coverage()
    assert set(states[GOOD].exceptions.values()) == {("absent", "not_stored: sink/influx")}
    assert [alarm for alarm in status.alarms if "not_stored: sink/influx" in alarm and GOOD in alarm]
    assert failure.detail == "a sink did not keep the rows that it was given: sink/influx"
