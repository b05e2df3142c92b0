"""The grid of cells, against what a slow computation finds from moment to moment in what the ledger holds."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from latigo.domain.coverage import Coverage
from latigo.domain.windows import DAY, Window, floor_to_slot
from latigo.postgres.ranges import to_multirange
from latigo.reports.grid import Memory, read_ledger, to_image
from latigo.reports.grid_cells import (
    PRECEDENCE,
    Axis,
    Layers,
    State,
    equal_edges,
    exact_edges,
    make_cells,
    no_stretches,
    paint,
)
from tests.support.build import at
from tests.support.ledgers import Ledgers

NOW = at("12:07", day=3)
TICK = timedelta(minutes=5)  # edges of stretches are at any of these, also within slots
HOUR = timedelta(hours=1)
ONE_DATABASE = settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

_stretch = st.tuples(st.integers(-700, 60), st.integers(1, 300)).map(
    lambda drawn: Window(NOW + drawn[0] * TICK - TICK * 0.4, NOW + (drawn[0] + drawn[1]) * TICK - TICK * 0.4)
)
_coverage = st.lists(_stretch, max_size=5).map(Coverage.of)
_sometimes = st.one_of(st.just(Coverage()), _coverage)
_models = st.fixed_dictionaries(
    {
        "state": st.sampled_from(["active"] * 5 + ["unusable"]),
        "paused": st.sampled_from([False, False, False, True]),
        "slot": st.sampled_from([timedelta(minutes=10), HOUR / 2, HOUR, DAY]),
        "delay": st.sampled_from([timedelta(0), TICK, timedelta(hours=5)]),
        "since": st.integers(-800, 20).map(lambda ticks: NOW + ticks * TICK),
        "covered": _coverage,
        "expired": _sometimes,
        "absent": _sometimes,
        "short": _sometimes,
        "provisional": _sometimes,
        "parked": _sometimes,
        "lacks": _sometimes,
        "out": st.lists(st.tuples(_stretch, st.sampled_from(["planned", "claimed", "waiting"])), max_size=2),
        "silent_since": st.one_of(st.none(), st.integers(-400, 10).map(lambda ticks: NOW + ticks * TICK)),
    }
)
_axes = st.builds(
    lambda start, step, columns: Axis(NOW - TICK * 0.4 + start * TICK, step, columns),
    st.integers(-700, 100),
    st.sampled_from([timedelta(minutes=10), HOUR / 2, 2 * HOUR, DAY, timedelta(minutes=35)]),
    st.integers(1, 40),
)


async def keep(ledgers: Ledgers, models: Sequence[dict[str, Any]]) -> None:
    async with ledgers.database.transaction() as connection:
        for table in ("task", "slot_exception", "parked", "sink_model", "sink", "model"):
            await connection.execute(f"DELETE FROM {table}")
        await connection.execute("INSERT INTO sink (name, required, since) VALUES ('sink/files', true, now())")
        for number, model in enumerate(models):
            id_ = await connection.fetchval(
                "INSERT INTO model (project, name, revision, state, paused, since, slot, delay, fold, spec, first_seen)"
                " VALUES ('plant', $1, '1', $2, $3, $4, $5, $6, '1 day', '{}', $4) RETURNING id",
                *(f"{number:03d}", model["state"], model["paused"], model["since"], model["slot"], model["delay"]),
            )
            await connection.execute(
                "INSERT INTO coverage (model_id, covered, expired, silent_since)"
                " VALUES ($1, $2::text::tstzmultirange, $3::text::tstzmultirange, $4)",
                *(id_, to_multirange(model["covered"]), to_multirange(model["expired"]), model["silent_since"]),
            )
            for state in ("absent", "short", "provisional"):
                for each in model[state]:  # in two rows, as slots of several looks are
                    await connection.execute(
                        "INSERT INTO slot_exception (model_id, state, reason, looks, next_look, slots)"
                        " VALUES ($1, $2, $3, 0, 'infinity', $4::text::tstzmultirange)",
                        *(id_, state, str(each), to_multirange([each])),
                    )
            if model["parked"]:
                await connection.execute(
                    "INSERT INTO parked (model_id, revision, reason, detail, windows, since, version)"
                    " VALUES ($1, '1', 'crashed', '', $2::text::tstzmultirange, now(), '')",
                    *(id_, to_multirange(model["parked"])),
                )
            if model["lacks"]:
                await connection.execute(
                    "INSERT INTO sink_model (sink, model_id, lacks)"
                    " VALUES ('sink/files', $1, $2::text::tstzmultirange)",
                    *(id_, to_multirange(model["lacks"])),
                )
            for lane, (span, state) in zip(("live", "backfill"), model["out"], strict=False):
                await connection.execute(
                    "INSERT INTO task (model_id, epoch, span, lane, state, planned_at)"
                    " VALUES ($1, 1, tstzrange($2, $3), $4, $5, $2)",
                    *(id_, span.start, span.end, lane, state),
                )


def state_at(model: dict[str, Any], moment: datetime) -> State:
    """The state of a model at a moment, by the words of the table of states."""
    due = floor_to_slot(NOW - model["delay"], model["slot"]) if model["state"] == "active" else model["since"]
    due = max(due, model["since"])
    whole = whole_slots(model["lacks"], model["slot"])
    meets = {
        State.PARKED: moment in model["parked"],
        State.IN_FLIGHT: any(moment in span for span, state in model["out"] if state != "waiting"),
        State.ABSENT: moment in model["absent"],
        State.PROVISIONAL: moment in model["provisional"],
        State.SHORT: moment in model["short"],
        State.EXPIRED: moment in model["expired"],
        State.COVERED: moment in model["covered"],
    }
    if model["since"] <= moment < due and not any(meets.values()):
        silent = model["silent_since"]
        if silent is not None and silent <= moment < due - model["slot"]:
            return State.ABSENT
        return State.PAUSED if model["paused"] and model["state"] == "active" else State.MISSING
    if moment in model["covered"] and moment in whole:  # a sink has to get it
        paused = model["paused"] and model["state"] == "active"
        meets[State.PAUSED if paused else State.MISSING] = True
    return next((state for state in reversed(PRECEDENCE) if meets.get(state)), State.NOT_DESIRED)


def whole_slots(stretches: Coverage, slot: timedelta) -> Coverage:
    """Every slot that has a part of these."""
    ends = (
        (floor_to_slot(each.start, slot), floor_to_slot(each.end - timedelta(microseconds=1), slot) + slot)
        for each in stretches
    )
    return Coverage.of(Window(*both) for both in ends)


def moments(models: Sequence[dict[str, Any]], start: datetime, end: datetime) -> list[datetime]:
    """The beginning, and every moment at which the state of a model may change: none changes in between."""
    found = {start}
    for model in models:
        slot = model["slot"]
        due = floor_to_slot(NOW - model["delay"], slot)
        found |= {model["since"], due, due - slot, model["silent_since"] or start}
        stretches = [span for span, _ in model["out"]]
        for name in ("covered", "expired", "absent", "short", "provisional", "parked"):
            stretches += model[name]
        stretches += whole_slots(model["lacks"], slot)
        for each in stretches:
            found |= {each.start, each.end}
    return sorted(moment for moment in found if start <= moment < end)


def slowly(models: Sequence[dict[str, Any]], axis: Axis) -> list[list[State]]:
    """Every cell: of all states that it has a part of, the one of precedence."""
    cells = []
    for model in models:
        row = []
        for column in range(axis.columns):
            start = axis.start + column * axis.step
            states = {state_at(model, moment) for moment in moments([model], start, start + axis.step)}
            row.append(max(states, key=PRECEDENCE.index))
        cells.append(row)
    return cells


@ONE_DATABASE
@given(st.lists(_models, min_size=1, max_size=6), _axes)
async def test_every_cell_has_the_state_of_precedence_of_all_that_it_has_a_part_of(
    ledgers: Ledgers, models: list[dict[str, Any]], axis: Axis
):
    await ledgers.set_clock(NOW)
    await keep(ledgers, models)

    image = to_image(await read_ledger(ledgers.database, axis))

    assert image.at == NOW
    assert image.cells().tolist() == slowly(models, axis)


@ONE_DATABASE
@given(_models, _axes)
async def test_columns_between_the_changes_of_a_model_have_one_state_each(
    ledgers: Ledgers, model: dict[str, Any], axis: Axis
):
    await ledgers.set_clock(NOW)
    await keep(ledgers, [model])

    image = to_image(await read_ledger(ledgers.database, axis, model=("plant", "000")))
    length = (axis.end - axis.start) // timedelta(microseconds=1)
    states = image.layers.by_state(length)
    edges = exact_edges(states, length)
    (cells,) = paint(states, 1, edges)

    shown = [
        (axis.start + timedelta(microseconds=int(edge)), State(cell)) for edge, cell in zip(edges, cells, strict=False)
    ]
    changes = moments([model], axis.start, axis.end)
    found = {moment: [state for start, state in shown if start <= moment][-1] for moment in changes}
    assert found == {moment: state_at(model, moment) for moment in changes}


async def test_only_models_of_which_a_task_was_settled_are_read_again_and_nothing_differs(ledgers: Ledgers):
    await ledgers.set_clock(NOW)
    covered = Coverage((Window(NOW - DAY, NOW - HOUR),))
    model: dict[str, Any] = {
        **dict.fromkeys(("expired", "absent", "short", "provisional", "parked", "lacks"), Coverage()),
        "state": "active",
        "paused": False,
        "slot": HOUR / 2,
        "delay": TICK,
        "since": NOW - DAY,
        "covered": covered,
        "out": [],
        "silent_since": None,
    }
    await keep(ledgers, [model, model, model])
    ids = [row["id"] for row in await ledgers.fetch("SELECT id FROM model ORDER BY name")]
    axis, memory = Axis(floor_to_slot(NOW, HOUR / 2) - DAY, HOUR / 2, 48), Memory()
    before = to_image(await read_ledger(ledgers.database, axis, memory)).cells()
    later = NOW + timedelta(minutes=10)
    await ledgers.set_clock(later)
    await ledgers.fetch("UPDATE coverage SET covered = '{}' WHERE model_id = ANY ($1)", ids[:2])
    await ledgers.fetch(
        "INSERT INTO task_history (id, model_id, revision, epoch, span, lane, outcome, attempts, starts, planned_at,"
        " settled_at) SELECT 1, $1, '1', 1, tstzrange($2, $3), 'live', 'stored', 0, 1, $2, $3",
        *(ids[0], NOW, later),
    )

    cells = to_image(await read_ledger(ledgers.database, axis, memory)).cells()
    fully = to_image(await read_ledger(ledgers.database, axis)).cells()

    assert (before[0] == before[1]).all()
    assert set(cells[0][1:-1]) == {State.MISSING}
    assert (cells[1:] == before[1:]).all()  # nothing was settled of the second, whatever has become of it
    assert [set(row[1:-1]) == {State.MISSING} for row in fully] == [True, True, False]


def test_more_cells_than_are_allowed_are_refused_before_they_are_made():
    layers = Layers(20_000, no_stretches(), no_stretches(), {}, np.zeros(20_000, np.bool_))
    with pytest.raises(ValueError, match="16000000"):
        make_cells(layers, Axis(NOW, HOUR, 801))


@ONE_DATABASE
@given(_models, _axes, st.integers(1, 9))
async def test_columns_that_do_not_divide_a_range_end_with_a_shorter_one(
    ledgers: Ledgers, model: dict[str, Any], axis: Axis, most: int
):
    await ledgers.set_clock(NOW)
    await keep(ledgers, [model])

    image = to_image(await read_ledger(ledgers.database, axis))
    length = (axis.end - axis.start) // timedelta(microseconds=1)
    states = image.layers.by_state(length)
    edges = equal_edges(length, most)
    (cells,) = paint(states, 1, edges)

    assert len(cells) <= most
    assert (edges[0], edges[-1]) == (0, length)
    ends = [axis.start + timedelta(microseconds=int(edge)) for edge in edges]
    for start, end, cell in zip(ends, ends[1:], cells, strict=False):
        states_within = {state_at(model, moment) for moment in moments([model], start, end)}
        assert cell == max(states_within, key=PRECEDENCE.index)
