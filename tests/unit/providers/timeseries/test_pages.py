"""Answers are cut into arrays only where that means the same as reading them as JSON."""

import json
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from latigo.providers.timeseries import pages
from latigo.providers.timeseries.pages import Page, parse_page, read_page, scan_page
from latigo.providers.timeseries.points import UnreadableError

#: As the real service wrote them, and the emulator does.
RECORDED = (
    b'{"data":{"items":[{"id":"96236C02-0000-4000-8000-4cd03f1e7a10","datapoints":['
    b'{"time":"2021-02-01T09:54:05.4200000Z","value":12.5,"status":192},'
    b'{"time":"2021-02-01T09:54:06.0000001Z","value":-3,"status":0},'
    b'{"time":"2021-02-01T09:54:07.0000000Z","value":1.5E-7,"status":2147483843}]},'
    b'{"id":"b","datapoints":[]},{"id":"c","datapoints":[{"time":"2021-02-01T09:54:05.0000000Z","value":0,"status":64}]}]},'
    b'"continuationToken":"abc"}'
)

VALUES = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(lambda value: orjson.dumps(value).decode()),
    st.integers(-(2**63), 2**64 - 1).map(str),
    st.sampled_from(
        [
            *("-0", "0.10", "1e5", "1E+05", "5e-324", "1e999", "01", "1.", ".5", "+1", "-", "NaN", "Infinity"),
            *("null", "true", '"1.5"', '"a,b"', "[1]", "[1,2]", "{}", "", " 7 ", "7 ", "1,2", '"x', 'y"', "1}", "]"),
            "9" * 40,
        ]
    ),
)
TIMES = st.sampled_from(
    [
        *("2026-01-01T08:00:03.4200000Z", "2026-01-01T08:00:03.4200001Z", "1969-12-31T23:59:59.9999999Z"),
        *("2026-01-01T08:00:03Z", "2026-01-01T08:00:03.42Z", "2026-01-01T08:00:03.000+01:00"),
        *("2026-13-01T08:00:03.0000000Z", "2026-01-01 08:00:03.0000000Z", "2026-01-01T24:00:00.0000000Z"),
        *("x" * 28, '2026-01-01T08:00:03.42","a":Z', "2026-01-01T08:00:03.420000\\nZ"),
    ]
)
STATUSES = st.sampled_from(
    ["192", "0", "64", "24", "4294967295", "0192", "-1", "192.0", '"192"', "null", "1e2", " 192"]
)
POINTS = st.builds('{{"time":"{}","value":{},"status":{}}}'.format, TIMES, VALUES, STATUSES)
GOOD_POINTS = st.builds(
    '{{"time":"{}","value":{},"status":{}}}'.format,
    st.integers(-(2**62), 2**62).map(lambda time: f"{np.datetime64(time // 100 * 100, 'ns')}"[:-2] + "Z"),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda value: orjson.dumps(value).decode()),
    st.integers(0, 2**32 - 1),
)
OTHER_POINTS = st.sampled_from(
    [
        '{"time":"2026-01-01T08:00:03.4200000Z","value":1}',
        '{"value":1,"time":"2026-01-01T08:00:03.4200000Z","status":192}',
        '{"time": "2026-01-01T08:00:03.4200000Z", "value": 1.0, "status": 192}',
        '{"time":"2026-01-01T08:00:03.4200000Z","value":1,"value":2,"status":192}',
        '{"time":"2026-01-01T08:00:03.4200000Z","value":1,"status":0,"status":192}',
        '{"time":"2026-01-01T08:00:03.4200000Z","avg":1,"max":2}',
        '{"time":"2026-01-01T08:00:03.4200000Z","value":{"a":1,"status":192}',
        "7",
        "{}",
    ]
)
KEYS = st.sampled_from(
    ['"datapoints":', '"datapoints": ', '"datapoint\\u0073":', '"Datapoints":', '"a":1,"datapoints":']
)
SEPARATORS = st.sampled_from([","] * 8 + [" ,", ", ", ",,", ""])


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    points = st.one_of(GOOD_POINTS, GOOD_POINTS, GOOD_POINTS, POINTS, OTHER_POINTS)
    if draw(st.booleans()):
        points = GOOD_POINTS
    items = []
    for _ in range(draw(st.integers(0, 3))):
        own = draw(SEPARATORS).join(draw(st.lists(points, max_size=4)))
        name = draw(st.sampled_from(["a", "A", "b", 'datapoints\\":[', "datapoints"]))
        items.append(f'{{"id":"{name}",{draw(KEYS)}[{own}]}}')
    token = draw(st.sampled_from(["", ',"continuationToken":"next"', ',"continuationToken":null', ',"datapoints":[0]']))
    return f'{{"data":{{"items":[{",".join(items)}]}}{token}}}'.encode()


def read(body: bytes) -> Page | None:
    """Return what reading an answer as JSON means; None if it cannot be read."""
    try:
        return parse_page(bytearray(body))
    except (ValueError, UnreadableError):
        return None


@given(answers())
@example(RECORDED)
@example(b'{"data":{"items":[]}}')
@example(b"[]")
@example(b"")
def test_a_page_that_is_cut_into_arrays_is_what_json_means(body: bytes) -> None:
    cut = scan_page(bytearray(body))

    if cut is not None:
        meant = read(body)
        assert meant is not None
        assert series_of(cut) == series_of(meant)
        assert cut.token == meant.token


@given(st.lists(st.lists(GOOD_POINTS, max_size=5), max_size=4), st.sampled_from(["", "next"]))
def test_every_answer_in_the_form_of_the_api_is_cut_into_arrays(series: list[list[str]], token: str) -> None:
    items = ",".join(f'{{"id":"{number}","datapoints":[{",".join(own)}]}}' for number, own in enumerate(series))
    body = f'{{"data":{{"items":[{items}]}},"continuationToken":{json.dumps(token)}}}'.encode()

    assert scan_page(bytearray(body)) is not None


@given(st.binary(max_size=40), st.integers(0, len(RECORDED)), st.integers(0, 40))
def test_a_damaged_answer_is_never_read_as_another_one(damage: bytes, place: int, length: int) -> None:
    body = RECORDED[:place] + damage + RECORDED[place + length :]

    cut = scan_page(bytearray(body))

    if cut is not None:
        meant = read(body)
        assert meant is not None
        assert series_of(cut) == series_of(meant)


@given(st.lists(st.lists(GOOD_POINTS, max_size=5), max_size=6), st.integers(0, 400))
def test_a_large_answer_is_cut_in_parts_with_the_same_result(series: list[list[str]], at_once: int) -> None:
    items = ",".join(f'{{"id":"{number}","datapoints":[{",".join(own)}]}}' for number, own in enumerate(series))
    body = f'{{"data":{{"items":[{items}]}}}}'.encode()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pages, "_AT_ONCE", at_once)
        cut = scan_page(bytearray(body))

    if cut is None:  # one series is larger than what is cut at once
        assert max(map(len, series)) * 100 > at_once
    else:
        assert series_of(cut) == series_of(parse_page(bytearray(body)))


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (b'"status":0}', b'"status":012}'),
        (b'"status":0}', b'"status":-1}'),
        (b'"status":0}', b'"status":1:}'),
        (b'"status":0}', b'"statuz":0}'),
        (b'"status":0}', b"}"),
        (b"},{", b"};{"),
        (b"},{", b"} {"),
        (b"}]", b"},]"),
        (b"}]", b"} ]"),
        (b':[{"time', b':[ {"time'),
        (b"12.5", b"1,2"),
        (b"12.5", b""),
        (b"12.5", b"12."),
        (b"12.5", b"012.5"),
        (b"12.5", b"NaN"),
        (b'"value":12.5', b'"value":"12'),
        (b'"time":"', b'"tims":"'),
        (b'"time":"', b'"time":7'),
        (b'Z","value":', b'Z","valus":'),
        (b'Z","value":', b'Z","value";'),
        (b"05.4200000Z", b"61.4200000Z"),
        (b'"datapoints":[]', b'"datapoint\\u0073":[0]'),
        (b'"datapoints":[]', b'"datapoints": [0]'),
        (b'"datapoints":[]', b'"datapoints":7'),
    ],
)
def test_an_answer_that_differs_in_one_place_is_read_as_json(was: bytes, becomes: bytes) -> None:
    assert was in RECORDED

    assert scan_page(bytearray(RECORDED.replace(was, becomes, 1))) is None


def test_the_recorded_form_is_read_without_an_object_for_each_point() -> None:
    page = scan_page(bytearray(RECORDED))

    assert page is not None
    assert page.places == {
        "96236c02-0000-4000-8000-4cd03f1e7a10": [slice(0, 3)],
        "b": [slice(3, 3)],
        "c": [slice(3, 4)],
    }
    assert page.points.times.tolist() == [
        1612173245420000000,
        1612173246000000100,
        1612173247000000000,
        1612173245000000000,
    ]
    assert page.points.values.tolist() == [12.5, -3.0, 1.5e-7, 0.0]
    assert page.points.statuses.tolist() == [192, 0, 2147483843, 64]
    assert page.token == "abc"


@pytest.mark.parametrize(
    "body",
    [
        *(b"[]", b'{"data":[]}', b'{"data":{"items":[1]}}', b'{"data":{"items":[{"id":"a","datapoints":[7]}]}}'),
        b'{"data":{"items":[{"id":"a","datapoints":7}]}}',
    ],
)
async def test_an_answer_of_another_form_is_refused(body: bytes) -> None:
    with pytest.raises(UnreadableError):
        await read_page(bytearray(body))


def series_of(page: Page) -> dict[str, list[list[tuple[int, Any, int]]]]:
    """Return all points, in a form that can be compared: a value by its bytes, so that no sign or NaN is lost."""
    times, values, statuses = page.points
    assert [str(column.dtype) for column in page.points] == ["int64", "float64", "int64"]
    rows = list(zip(times.tolist(), values.view(np.int64).tolist(), statuses.tolist(), strict=True))
    return {name: [rows[place] for place in places] for name, places in page.places.items()}
