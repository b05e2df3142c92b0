"""Fields of several types, qualities and further tags: what an InfluxDB makes of them, and what is read."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from latigo import settings
from latigo.domain.bad_readings import Fault
from latigo.domain.errors import BadReading, Reason, Rejected, Unavailable
from latigo.domain.series import Series
from latigo.domain.windows import Window, from_ns, to_ns
from latigo.providers.bad_readings import BadReadings
from latigo.providers.influx.sensors import InfluxSensors, open_sensors
from latigo.providers.protocols import SampledSource
from latigo.runtime.clock import Clock, SystemClock
from tests.support.clock import ManualClock
from tests.support.influxd import InfluxDatabase, InfluxServers, fresh_influx_database, select, write_lines

WEEK = timedelta(weeks=1)
FIRST = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday, as the first time of every shard of a week
MINUTE = 60 * 10**9
PLENTY = 10**8
TAG = "GRA-TT-001"
VERSIONS = pytest.mark.parametrize("version", ["1", "3"])  # how a query is put; the server is version 1 in both


def at(week: int, minute: int = 0) -> int:
    """A time in the shard of this week."""
    return to_ns(FIRST + week * WEEK) + minute * MINUTE


def line(week: int, minute: int, *fields: str, tag: str = TAG, also: str = "") -> str:
    return f"sensors,tag={tag}{also} {','.join(fields)} {at(week, minute)}"


def weeks(first: int, end: int) -> Window:
    return Window(FIRST + first * WEEK, FIRST + end * WEEK)


ALL = weeks(0, 6)
MIXED = [
    line(0, 0, "Value=1.5"),
    line(0, 1, "Value=-0.25"),
    line(1, 0, "Value=7i"),
    line(1, 1, "Value=9007199254740992i"),
    line(2, 0, "Value=true"),
    line(2, 1, "Value=false"),
    line(3, 0, 'Value="Bad"'),
    line(3, 1, 'Value="1.5"'),
    line(4, 0, "Value=2.5"),
]
NUMBERS = [
    (at(0, 0), 1.5),
    (at(0, 1), -0.25),
    (at(1, 0), 7.0),
    (at(1, 1), 2.0**53),
    (at(2, 0), 1.0),
    (at(2, 1), 0.0),
    (at(4, 0), 2.5),
]


@asynccontextmanager
async def opened(
    database: InfluxDatabase, *, clock: Clock | None = None, bad: BadReadings | None = None, **options: Any
) -> AsyncIterator[InfluxSensors]:
    section = settings.InfluxSensors(url=database.url, database=database.name, **options)
    async with open_sensors(section, clock or SystemClock(), bad) as sensors:
        yield sensors


def pairs(series: Series) -> list[tuple[int, float]]:
    return list(zip(series.times.tolist(), series.values.tolist(), strict=True))


def counted(bad: BadReadings) -> dict[tuple[str, Fault], int]:
    return {(count.tag, count.fault): count.readings for count in bad.counts()}


async def read(sensors: InfluxSensors, window: Window = ALL, tag: str = TAG) -> list[tuple[int, float]]:
    return pairs((await sensors.get_data_for_range([tag], window, max_bytes=PLENTY))[tag])


@VERSIONS
async def test_values_of_every_type_are_read_once_each(influx_database: InfluxDatabase, version: str):
    await write_lines(influx_database, MIXED)
    bad = BadReadings(SystemClock())

    async with opened(influx_database, bad=bad, version=version) as sensors:
        every = await read(sensors)
        by_week = [each for week in range(6) for each in await read(sensors, weeks(week, week + 1))]
        newest = await sensors.get_last_before([TAG], ALL.end, ALL.start)
        before_text = await sensors.get_last_before([TAG], from_ns(at(4)), ALL.start)

    (alone,) = await select(influx_database, 'SELECT "Value" FROM "sensors" WHERE "tag" = \'GRA-TT-001\'')
    assert len(alone["values"]) == 5  # without the truth values, which is what this is about
    assert every == by_week == NUMBERS
    assert newest == {TAG: (at(4), 2.5)}
    assert before_text == {TAG: (at(2, 1), 0.0)}
    assert counted(bad) == {(TAG, Fault.TEXT): 2}
    (count,) = bad.counts()
    assert count.place == "sensors/influx/sensors"
    assert count.example == "2026-01-26 00:00:00: 'Bad' in field 'Value'"


@pytest.mark.parametrize(
    ("lines", "numbers"),
    [
        (MIXED[:4], NUMBERS[:4]),  # numbers of two types
        (MIXED[2:6], NUMBERS[2:6]),
        (MIXED[4:8], NUMBERS[4:6]),
        (MIXED[6:8], []),
    ],
)
async def test_some_types_are_read_once_each(
    influx_database: InfluxDatabase, lines: list[str], numbers: list[tuple[int, float]]
):
    await write_lines(influx_database, lines)

    async with opened(influx_database) as sensors:
        assert await read(sensors) == numbers
        newest = await sensors.get_last_before([TAG], ALL.end, ALL.start)

    assert list(newest.values()) == numbers[-1:]


@pytest.mark.parametrize("window", [weeks(3, 4), ALL, weeks(0, 4), weeks(2, 4)], ids=str)
async def test_text_refuses_the_window_that_holds_it_by_name(influx_database: InfluxDatabase, window: Window):
    await write_lines(
        influx_database, [*MIXED, line(3, 0, 'Value="Bad"', tag="OTHER"), line(0, 0, "Value=1", tag="FINE")]
    )
    bad = BadReadings(SystemClock())

    async with opened(influx_database, bad=bad, text="refuse") as sensors:
        with pytest.raises(BadReading, match=rf"'{TAG}' at 2026-01-26 00:00:00: 'Bad' in field 'Value'.*sensors.text"):
            await sensors.get_data_for_range(["FINE", TAG], window, max_bytes=PLENTY)
        with pytest.raises(BadReading, match=TAG):
            await sensors.get_last_before([TAG], from_ns(at(4)), ALL.start)
        assert await read(sensors, weeks(0, 3)) == NUMBERS[:6]
        assert await read(sensors, tag="FINE") == [(at(0), 1.0)]

    assert counted(bad) == {}


@VERSIONS
async def test_readings_of_a_quality_that_is_not_good_are_skipped_and_counted(
    influx_database: InfluxDatabase, version: str
):
    await write_lines(
        influx_database,
        [
            line(0, 0, "Value=1", "Q=192i"),
            line(0, 1, "Value=2", "Q=64i"),
            line(0, 2, "Value=3"),
            line(0, 3, "Q=64i"),
            line(1, 0, "Value=4", 'Q="Good"'),
            line(1, 1, "Value=5", 'Q="Bad"'),
            line(2, 0, "Value=true", "Q=192.0"),
            line(2, 1, "Value=true", "Q=192.5"),
            line(3, 0, 'Value="Bad"', "Q=true"),
            line(3, 1, 'Value="Bad"', "Q=false"),
            line(4, 0, "Value=6", "Q=true"),
            line(4, 1, "Value=7", "Q=false"),
            line(4, 0, "Value=8", "Q=false", tag="WORSE"),
        ],
    )
    bad = BadReadings(SystemClock())

    good = (192, "Good", True)
    async with opened(influx_database, bad=bad, version=version, quality_field="Q", good=good) as sensors:
        every = await read(sensors)
        again = await read(sensors, weeks(0, 2))
        newest = {
            end: await sensors.get_last_before([TAG, "WORSE"], from_ns(at(*end)), ALL.start)
            for end in ((5, 0), (4, 0), (2, 0), (1, 0), (0, 0))
        }

    assert every == [(at(0), 1), (at(1), 4), (at(2), 1), (at(4), 6)]
    assert again == every[:2]
    assert newest == {
        (5, 0): {TAG: (at(4), 6)},
        (4, 0): {TAG: (at(2), 1)},
        (2, 0): {TAG: (at(1), 4)},
        (1, 0): {TAG: (at(0), 1)},
        (0, 0): {},
    }
    assert counted(bad) == {(TAG, Fault.QUALITY): 6, (TAG, Fault.TEXT): 1}
    assert {count.example for count in bad.counts()} == {
        "2026-01-05 00:01:00: 64 in field 'Q'",
        "2026-01-26 00:00:00: 'Bad' in field 'Value'",
    }


@pytest.mark.parametrize(
    ("good", "texts", "others"),
    [
        ("192", ["192", "192.0", " 192 ", "+192.", "0192"], ["19", "1920", "192.5", "-192", "Good"]),
        ("-0.5", ["-0.5", "-.50", "-0.500"], ["0.5", "-5", "-0.05"]),
        ("true", ["true", "TRUE", " True", "1", "1.0"], ["false", "0", "truely", "10"]),
        ("0", ["0", "-0.0", "false"], ["", "00x", "true", "."]),
        ("it's a/b (1)?", ["it's a/b (1)?", " it's a/b (1)?"], ["it's a/b", "it's a/b 1", "xit's a/b (1)?"]),
    ],
)
@VERSIONS
async def test_texts_of_a_quality_are_good_to_the_newest_reading_as_to_all(
    influx_database: InfluxDatabase, version: str, good: str, texts: list[str], others: list[str]
):
    qualities = [*texts, *others]
    await write_lines(
        influx_database,
        [line(0, 0, "Value=1", f'Q="{quality}"', tag=f"T{number}") for number, quality in enumerate(qualities)],
    )
    tags = [f"T{number}" for number in range(len(qualities))]

    async with opened(influx_database, version=version, quality_field="Q", good=(good,)) as sensors:
        every = await sensors.get_data_for_range(tags, ALL, max_bytes=PLENTY)
        newest = await sensors.get_last_before(tags, ALL.end, ALL.start)

    assert [tag for tag in tags if len(every[tag])] == tags[: len(texts)]
    assert sorted(newest) == sorted(tags[: len(texts)])


@pytest.mark.parametrize("version", ["1", "2"])
async def test_a_field_of_the_same_name_as_a_tag_changes_nothing(influx_database: InfluxDatabase, version: str):
    """The server compares the field otherwise: then no sensor has readings, and every one exists."""
    await write_lines(
        influx_database,
        [line(0, 0, "Value=1", also=",site=a"), line(0, 1, "Value=2", also=",site=b"), line(0, 0, "Value=9", tag="B")],
    )
    await write_lines(influx_database, [line(3, 0, "tag=5", 'site="a"', tag="B")])

    async with opened(influx_database, version=version, where={"site": "a"}) as sensors:
        assert await read(sensors) == [(at(0), 1)]
        assert await sensors.get_last_before([TAG], ALL.end, ALL.start) == {TAG: (at(0), 1)}
        assert await sensors.get_sensor_list() == [TAG]
        assert not await sensors.sensor_exists("NONE")


async def test_a_tag_of_qualities_is_named_with_the_setting_that_takes_tags(influx_database: InfluxDatabase):
    await write_lines(influx_database, [line(0, 0, "Value=1", also=",status=Good")])

    async with opened(influx_database, quality_field="status", good=("Good",)) as sensors:
        with pytest.raises(Unavailable, match=r"'status' .*sensors\.quality_field.* is a tag.*sensors\.where"):
            await read(sensors)


async def test_without_its_field_of_qualities_nothing_is_read(influx_database: InfluxDatabase):
    await write_lines(influx_database, MIXED)

    async with opened(influx_database, quality_field="Quality", good=(192,)) as sensors:
        for asking in (read(sensors), sensors.get_last_before([TAG], ALL.end, ALL.start), sensors.sample([TAG])):
            with pytest.raises(Unavailable, match=r"no field 'Quality'.*sensors\.quality_field") as refused:
                await asking
            assert refused.value.alarm


@VERSIONS
async def test_further_tags_select_among_the_series_of_a_sensor(influx_database: InfluxDatabase, version: str):
    await write_lines(
        influx_database,
        [
            line(0, 0, "Value=1", also=r",site=it's\ a,unit=C"),
            line(0, 1, "Value=2", also=r",site=it's\ a,unit=F"),
            line(0, 2, "Value=3", also=",site=b,unit=C"),
            line(0, 3, "Value=4", also=",unit=C"),
            line(0, 4, "Value=5", tag="OTHER", also=",site=b,unit=C"),
        ],
    )

    async def selected(**where: str) -> list[float]:
        async with opened(influx_database, version=version, where=where) as sensors:
            assert "OTHER" in await sensors.get_sensor_list() or where != {"site": "b"}
            every = await read(sensors)
            newest = await sensors.get_last_before([TAG], ALL.end, ALL.start)
            assert newest == {TAG: every[-1]}
            return [value for _, value in every]

    assert await selected() == [1, 2, 3, 4]
    assert await selected(site="it's a") == [1, 2]
    assert await selected(site="it's a", unit="F") == [2]
    assert await selected(site="") == [4]
    async with opened(influx_database, version=version, where={"site": "it's a"}) as sensors:
        assert await sensors.get_sensor_list() == [TAG]
        assert not await sensors.sensor_exists("OTHER")
        with pytest.raises(Rejected, match="OTHER") as refused:
            await sensors.get_data_for_range(["OTHER"], ALL, max_bytes=PLENTY)
    assert refused.value.reason is Reason.UNKNOWN_SENSOR


@VERSIONS
@pytest.mark.parametrize("where", [{"place": "a"}, {"site": "c"}, {"site": "a", "unit": "C"}], ids=str)
async def test_further_tags_that_no_series_has_are_an_alarm(
    influx_database: InfluxDatabase, where: dict[str, str], version: str
):
    """And no plant of unknown sensors, which would park every model."""
    await write_lines(influx_database, [line(0, 0, "Value=1", also=",site=a"), line(0, 0, "Value=1", also=",unit=C")])

    async with opened(influx_database, version=version, where=where) as sensors:
        for asking in (read(sensors), sensors.sensor_exists(TAG), sensors.get_sensor_list()):
            with pytest.raises(Unavailable, match=r"check sensors\.where") as refused:
                await asking
            assert refused.value.alarm


BORDER = Window(from_ns(at(1, -60)), from_ns(at(1, 60)))  # of two shards, and read at once


async def test_a_type_that_is_new_is_read_within_a_minute(influx_database: InfluxDatabase):
    clock = ManualClock()
    await write_lines(influx_database, [line(1, -2, "Value=1.5")])
    async with opened(influx_database, clock=clock) as sensors:
        assert await read(sensors, BORDER) == [(at(1, -2), 1.5)]
        await write_lines(influx_database, [line(1, 2, "Value=true")])
        await clock.advance(timedelta(minutes=1))

        assert await read(sensors, BORDER) == [(at(1, -2), 1.5), (at(1, 2), 1)]


async def test_types_that_are_new_are_read_at_once_where_one_of_them_shows(influx_database: InfluxDatabase):
    bad = BadReadings(SystemClock())
    await write_lines(influx_database, MIXED[8:])
    async with opened(influx_database, clock=ManualClock(), bad=bad) as sensors:
        assert await read(sensors, weeks(4, 5)) == NUMBERS[6:]
        await write_lines(influx_database, [line(1, -2, "Value=true"), line(1, 2, 'Value="Bad"')])
        alone = await select(influx_database, f'SELECT "Value" FROM "sensors" WHERE time < {at(2)}')

        assert await read(sensors, BORDER) == [(at(1, -2), 1)]

    assert [len(series["values"]) for series in alone] == [1]  # one of the types
    assert counted(bad) == {(TAG, Fault.TEXT): 1}


async def test_a_field_whose_type_is_another_one_now_is_read(influx_database: InfluxDatabase):
    """The types that were known then are of no use: what was text are numbers."""
    await write_lines(influx_database, [line(0, 0, 'Value="Bad"')])
    async with opened(influx_database, clock=ManualClock()) as sensors:
        assert await read(sensors) == []
        await write_lines(influx_database, [line(1, 0, "Value=2.5")])

        assert await read(sensors) == [(at(1), 2.5)]


@pytest.mark.parametrize("limit", [3, 7, 100])
@VERSIONS
async def test_a_limit_on_rows_loses_none_of_the_types(influx_servers: InfluxServers, limit: int, version: str):
    server = influx_servers.start({"INFLUXDB_HTTP_MAX_ROW_LIMIT": str(limit)})
    async with fresh_influx_database(server.url) as database:
        wide = [line(0, 0, *(f"other{number}=1" for number in range(20)), tag="WIDE")]
        more = [line(1, minute, f"Value={minute}i", "Q=1") for minute in range(2, 300)]
        await write_lines(database, [*MIXED, *more, *wide])
        bad = BadReadings(SystemClock())
        async with opened(database, bad=bad, version=version) as sensors:
            expected = sorted([*NUMBERS, *((at(1, minute), float(minute)) for minute in range(2, 300))])
            for _ in range(2):
                assert await read(sensors) == expected
        assert counted(bad) == {(TAG, Fault.TEXT): 2}


async def test_many_readings_of_several_types_come_in_pieces(influx_database: InfluxDatabase):
    count = 60_000
    lines = [f"sensors,tag={TAG} Value={number}.5,Q={number % 3}i {at(0) + number}" for number in range(count)]
    lines += [f'sensors,tag={TAG} Value={"true"},Q="0" {at(1) + number}' for number in range(count)]
    await write_lines(influx_database, lines)
    bad = BadReadings(SystemClock())

    async with opened(influx_database, bad=bad, quality_field="Q", good=(0,)) as sensors:
        every = await sensors.get_data_for_range([TAG], ALL, max_bytes=PLENTY)

    series = every[TAG]
    assert (np.diff(series.times) > 0).all()
    assert series.values[: count // 3].tolist() == [number + 0.5 for number in range(0, count, 3)]
    assert series.values[count // 3 :].tolist() == [1.0] * count
    assert counted(bad) == {(TAG, Fault.QUALITY): count - count // 3}


async def test_bad_readings_are_counted_once_however_often_they_are_read(influx_database: InfluxDatabase):
    await write_lines(influx_database, [line(0, minute, "Value=1", f"Q={minute % 2}i") for minute in range(180)])
    bad = BadReadings(SystemClock())

    async with opened(influx_database, bad=bad, quality_field="Q", good=(0,)) as sensors:
        for _ in range(2):
            for start, end in ((0, 60), (0, 120), (60, 180)):
                await read(sensors, Window(from_ns(at(0, start)), from_ns(at(0, end))))

    assert counted(bad) == {(TAG, Fault.QUALITY): 90}


@pytest.mark.parametrize("parameters", [{"tag": TAG}, {}], ids=["a tag", "every tag"])
async def test_what_is_shown_to_people_is_what_is_asked(influx_database: InfluxDatabase, parameters: dict[str, str]):
    await write_lines(
        influx_database, [*MIXED, line(4, 1, "Value=1", "Q=1i", also=",site=a"), line(4, 2, "Value=9", "Q=1i")]
    )

    async with opened(influx_database, quality_field="Q", good=(1,), where={"site": "a"}) as sensors:
        await read(sensors)
        shown = sensors.get_native_range_specifier(ALL, parameters)

    (series,) = await select(influx_database, shown)
    assert series["values"] == [[at(4, 1), None, 1, None, 1]]
    assert '"Value"::boolean, "Value"::float, "Value"::string, "Q"' in shown


async def test_a_sample_says_what_there_is(influx_database: InfluxDatabase):
    await write_lines(
        influx_database, [*MIXED, line(0, 5, "Value=2", tag="TWO", also=",site=a"), line(1, 5, "Value=2i", tag="TWO")]
    )
    await write_lines(influx_database, [line(3, 5, 'Value="on"', tag="TEXT")])

    async with opened(influx_database) as sensors:
        assert isinstance(sensors, SampledSource)
        found = await sensors.sample([TAG, "TWO", "TEXT"])

    assert [tuple(getattr(each, name) for name in ("tag", "readings", "first", "last")) for each in found.sensors] == [
        (TAG, 1, from_ns(at(0)), from_ns(at(4))),
        ("TWO", 1, from_ns(at(0, 5)), from_ns(at(1, 5))),
        ("TEXT", 0, from_ns(at(3, 5)), from_ns(at(3, 5))),
    ]
    assert list(found.notes) == [
        (
            "field 'Value' of 'sensors' has the types boolean, float, integer and string;"
            " text is skipped and counted (sensors.text)"
        ),
        "TWO: has 2 series, which are read as one (site=a; site=); sensors.where selects among them",
    ]


@pytest.mark.parametrize("field", ["Quality", "status", "Value_status"])
async def test_a_sample_names_qualities_that_are_not_used(influx_database: InfluxDatabase, field: str):
    await write_lines(influx_database, [line(0, 0, "Value=-999", f"{field}=0i", "Other=1", "Other_status=1")])

    async with opened(influx_database) as sensors:
        found = await sensors.sample([TAG])
    async with opened(influx_database, quality_field=field, good=(192,)) as sensors:
        used = await sensors.sample([TAG])

    (note,) = found.notes
    assert note.startswith(f"field '{field}' of 'sensors' seems to have qualities")
    assert note.endswith("(sensors.quality_field)")
    assert used.notes == ()


async def test_a_sample_names_text_that_is_refused(influx_database: InfluxDatabase):
    await write_lines(influx_database, MIXED[6:8])

    async with opened(influx_database, text="refuse") as sensors:
        found = await sensors.sample([TAG])

    assert list(found.notes) == [
        "field 'Value' of 'sensors' is text; text refuses a window (sensors.text)",
        (
            f"InfluxDB, '{TAG}' at 2026-01-26 00:00:00: 'Bad' in field 'Value' is not a number,"
            ' and sensors.text is "refuse"'
        ),
    ]


async def test_a_sample_of_numbers_has_nothing_to_say(influx_database: InfluxDatabase):
    dense = [f"sensors,tag={TAG} Value={number} {at(0) + number * 10**7}" for number in range(600_000, 0, -1)]
    await write_lines(influx_database, dense)

    async with opened(influx_database) as sensors:
        found = await sensors.sample([TAG])

    (sensor,) = found.sensors
    assert sensor.readings == 360_000  # of the newest hour: a day does not fit
    assert found.notes == ()
