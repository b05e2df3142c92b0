"""Predictions as line protocol, read by a small parser that follows InfluxDB's description of it."""

import re
from collections import Counter
from itertools import pairwise, product
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from latigo.domain.errors import Reason, Rejected
from latigo.domain.model import ModelRef
from latigo.domain.series import Column, Predictions
from latigo.providers.influx.line_protocol import MOST_LINES, column_of, encode, halves

PUMP = ModelRef("plant-a", "pump-1")
SECOND = 1_000_000_000
OUTPUT, SCORE = Column("model-output", "GRA-TT-001"), Column("total-anomaly-scaled", "")


class Line(NamedTuple):
    """One point, as the server understands it."""

    measurement: str
    tags: tuple[tuple[str, str], ...]
    field: str
    value: float
    time: int  #: ns


def parse(text: str, unit: int) -> Line:
    """Split at what is not escaped, then undo escapes; a backslash before any other character stands for itself."""
    series, fields, time = re.split(r"(?<!\\) ", text)
    measurement, *tags = re.split(r"(?<!\\),", series)
    field, value = fields.split("=")
    named = [re.split(r"(?<!\\)=", tag) for tag in tags]
    return Line(
        re.sub(r"\\([, ])", r"\1", measurement),
        tuple((key, re.sub(r"\\([,= ])", r"\1", name)) for key, name in named),
        field,
        float(value),
        int(time) * unit,
    )


def parsed(predictions: Predictions) -> list[Line]:
    encoded = encode(predictions)
    unit = {"s": SECOND, "ns": 1}[encoded.precision]
    return [parse(line, unit) for body in encoded.bodies for line in body.decode().split("\n")]


def predictions(
    *rows: list[float],
    columns: tuple[Column, ...] = (OUTPUT, SCORE),
    model: ModelRef = PUMP,
    revision: str = "1600000000000",
    times: list[int] | None = None,
) -> Predictions:
    at = [600 * SECOND * number for number in range(len(rows))] if times is None else times
    values = np.array(rows, np.float64).reshape(len(rows), len(columns))
    return Predictions(model, revision, np.array(at, np.int64), columns, values)


def names(alphabet: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=1, max_size=12).filter(lambda name: not name.endswith("\\"))


ODD = st.sampled_from(r""",= \"'#;|/.*$aZ9æ日""") | st.characters(exclude_characters="\n", exclude_categories=["Cs"])
TAGS = names(ODD)
MODELS = TAGS.filter(lambda name: not {"\0", "\r"}.intersection(name))
GROUPS = names(st.sampled_from(r""",= "'-_aZ9æ日"""))
FLOATS = st.floats(allow_nan=True, allow_infinity=True)


@st.composite
def any_predictions(draw: st.DrawFn) -> Predictions:
    columns = draw(
        st.lists(st.builds(Column, GROUPS, TAGS | st.just("")), min_size=1, max_size=6, unique=True).filter(
            lambda columns: all(group != tag for group, tag in columns)
        )
    )
    seconds = draw(st.lists(st.integers(-(2**32), 2**32), max_size=5, unique=True).map(sorted))
    beyond = draw(st.just(0) | st.integers(0, SECOND - 1))
    values = draw(arrays(np.float64, (len(seconds), len(columns)), elements=FLOATS))
    at = np.array(seconds, np.int64) * SECOND + beyond
    return Predictions(ModelRef(draw(MODELS), draw(MODELS)), "1", at, tuple(columns), values)


def test_a_point_is_written_as_gordos_own_client_does():
    encoded = encode(predictions([97.32165313419445, 0.98], columns=(Column("model-output", "GRA-TE  23.PV"), SCORE)))

    assert b"\n".join(encoded.bodies).decode().split("\n") == [
        r"model-output,machine=pump-1,project=plant-a,sensor_name=GRA-TE\ \ 23.PV sensor_value=97.32165313419445 0",
        "total-anomaly-scaled,machine=pump-1,project=plant-a,sensor_name=total-anomaly-scaled sensor_value=0.98 0",
    ]


@given(any_predictions())
def test_every_finite_point_and_no_other_can_be_read_from_the_lines(written: Predictions):
    result = parsed(written)

    expected = {
        (column, int(time), float(value).hex())
        for time, row in zip(written.times, written.values, strict=True)
        for column, value in zip(written.columns, row, strict=True)
        if np.isfinite(value)
    }
    machine_and_project = {"machine": written.model.name, "project": written.model.project}
    assert {
        (column_of(each.measurement, dict(each.tags)["sensor_name"]), each.time, each.value.hex()) for each in result
    } == expected
    assert len(result) == len(expected)
    assert all(dict(each.tags).items() >= machine_and_project.items() for each in result)


@given(any_predictions())
def test_a_series_is_named_by_three_tags_and_never_by_the_revision(written: Predictions):
    other = Predictions(written.model, "2", written.times, written.columns, written.values)

    result = parsed(written)

    assert {tuple(key for key, _ in each.tags) for each in result} <= {("machine", "project", "sensor_name")}
    assert {each.field for each in result} <= {"sensor_value"}
    assert [repr(each) for each in result] == [repr(each) for each in parsed(other)]


def test_points_that_are_not_finite_are_left_out_one_by_one():
    encoded = encode(predictions([np.nan, 1.0], [2.0, np.inf], [-np.inf, np.nan], [3.0, 4.0]))

    assert [line.split(b" ")[1] for line in b"\n".join(encoded.bodies).split(b"\n")] == [
        b"sensor_value=2.0",
        b"sensor_value=3.0",
        b"sensor_value=1.0",
        b"sensor_value=4.0",
    ]
    assert encoded.points_by_row.tolist() == [1, 1, 0, 2]


@pytest.mark.parametrize("value", [1e16, 1e-7, 5e-324, -0.0, 1.7976931348623157e308, 3.0])
def test_values_are_floats_to_the_last_bit(value: float):
    (line,) = parsed(predictions([value], columns=(OUTPUT,)))

    assert line.value.hex() == value.hex()


@pytest.mark.parametrize(
    ("times", "precision", "ends"),
    [
        ([0, 600 * SECOND, -SECOND], "s", [b"0", b"600", b"-1"]),
        ([0, 600 * SECOND + 1], "ns", [b"0", b"600000000001"]),
        ([600 * SECOND + SECOND // 2], "ns", [b"600500000000"]),
    ],
)
def test_times_are_seconds_where_all_are_whole_and_nanoseconds_otherwise(
    times: list[int], precision: str, ends: list[bytes]
):
    encoded = encode(predictions(*[[1.0]] * len(times), columns=(OUTPUT,), times=times))

    assert encoded.precision == precision
    assert [line.rsplit(b" ", 1)[1] for line in b"\n".join(encoded.bodies).split(b"\n")] == ends


def test_no_body_holds_more_than_the_most_lines_and_none_is_empty():
    rows = [[float(number), 1.0] for number in range(MOST_LINES)]

    bodies = list(encode(predictions(*rows)).bodies)

    assert [body.count(b"\n") + 1 for body in bodies] == [MOST_LINES, MOST_LINES]
    assert list(encode(predictions()).bodies) == []
    assert list(encode(predictions([np.nan, np.inf])).bodies) == []


UNSPEAKABLE = ["ends in \\", "two\nlines", "half \ud800 a character"]


@pytest.mark.parametrize(
    ("place", "name"),
    [
        *product(["model", "project", "tag", "group"], UNSPEAKABLE),
        *product(["model", "project", "group"], [""]),  # an empty tag is that of a whole-model column
        *product(["model", "project"], ["carriage\rreturn", "null\0byte"]),  # they cannot be queried
    ],
)
def test_a_name_that_cannot_be_written_is_refused_by_name(place: str, name: str):
    model = ModelRef(*{"project": (name, "pump-1"), "model": ("plant-a", name)}.get(place, PUMP))
    column = Column(*{"group": (name, "A"), "tag": ("model-output", name)}.get(place, OUTPUT))

    with pytest.raises(Rejected, match=re.escape(repr(name))) as refused:
        encode(predictions([1.0], columns=(column,), model=model))

    assert (refused.value.reason, refused.value.whole_model) == (Reason.WRITE_REFUSED, True)


@pytest.mark.parametrize("name", ["#comment", "\ttab", r"back\,slash", r"back\ slash", r"back\=slash", r"back\",slash"])
def test_a_column_group_that_the_server_would_lose_is_refused(name: str):
    with pytest.raises(Rejected, match="column group"):
        encode(predictions([1.0], columns=(Column(name, "A"),)))


@pytest.mark.parametrize(
    "columns",
    [
        (SCORE, Column(SCORE.group, SCORE.group)),
        (Column(SCORE.group, SCORE.group),),
        (OUTPUT, SCORE, OUTPUT),
    ],
)
def test_columns_that_would_be_one_series_are_refused_by_name(columns: tuple[Any, ...]):
    with pytest.raises(Rejected, match=re.escape(Counter(columns).most_common(1)[0][0][0])) as refused:
        encode(predictions([1.0] * len(columns), columns=columns))

    assert refused.value.reason is Reason.WRITE_REFUSED


@given(st.lists(st.text("abc", min_size=1), min_size=2, max_size=30))
def test_a_body_is_halved_between_two_of_its_lines(lines: list[str]):
    first, second = halves("\n".join(lines).encode()) or pytest.fail("not halved")

    assert [*first.decode().split("\n"), *second.decode().split("\n")] == lines


def test_a_single_line_has_no_halves():
    assert halves(b"a,b=c sensor_value=1.0 1") is None


@given(st.integers(2, 400))
def test_repeated_halving_ends_with_single_lines(count: int):
    lines = [f"line {number}".encode() for number in range(count)]
    pieces, done, rounds = [b"\n".join(lines)], list[bytes](), 0

    while pieces:
        rounds += 1
        cut = [(piece, halves(piece)) for piece in pieces]
        done += [piece for piece, parts in cut if parts is None]
        pieces = [part for _, parts in cut if parts for part in parts]

    assert sorted(done) == sorted(lines)
    assert rounds <= 2 + 2 * count.bit_length()
    assert all(earlier != later for earlier, later in pairwise(sorted(done)))
