"""What a cell means: one definition of numbers, whichever parser reads them, held against one made of digits."""

import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from latigo.domain.errors import BadReading
from latigo.domain.windows import to_ns
from latigo.providers.bad_readings import BadReadings
from latigo.providers.files.cells import Cells, Notation, NotNumbers, are_good, tags_in
from latigo.providers.files.csv_block import CsvBlock, Unit
from latigo.providers.files.reading import Layout
from latigo.providers.qualities import Qualities
from latigo.runtime.clock import SystemClock
from latigo.settings import FileSensors as FileSensorsSettings
from tests.support.examples import examples
from tests.support.sensor_files import DAY, clock

DIGITS = "0123456789"
GROUPS = {" ": " \u00a0\u2009\u202f", "'": "'\u2019"}


def read_number(text: str, point: str, thousands: str) -> float | None:
    """Return a number as the settings describe it, digit by digit; None if it is not one."""
    sign = -1 if text[:1] in {"-", "\u2212"} else 1
    text = text[1:] if text[:1] in {"-", "+", "\u2212"} else text
    if text.lower() in {"inf", "infinity"}:
        return sign * math.inf
    mantissa, _, exponent = text.replace("E", "e").partition("e")
    scale = exponent[1:] if exponent[:1] in {"+", "-"} else exponent
    if any(digit not in DIGITS for digit in scale) or ("e" in text.lower() and not scale):
        return None
    whole, found, fraction = mantissa.partition(point)
    marks = GROUPS.get(thousands, thousands)
    if any(mark in whole for mark in marks):
        for mark in marks:
            whole = whole.replace(mark, "\0")
        first, *groups = whole.split("\0")
        if not 1 <= len(first) <= 3 or any(len(group) != 3 for group in groups):
            return None
        whole = first + "".join(groups)
    if not whole + fraction or any(digit not in DIGITS for digit in whole + fraction):
        return None
    if found and not whole and not fraction:
        return None
    number = Fraction(int(whole + fraction or "0"), 10 ** len(fraction))
    power = int(scale or "0") * (-1 if exponent[:1] == "-" else 1)
    number *= Fraction(10) ** power
    try:
        return sign * float(number)
    except OverflowError:
        return sign * math.inf


NOTATIONS = st.sampled_from([(".", ""), (",", ""), (",", "."), (".", ","), (".", " "), (",", "'"), ("·", "")])
NUMBER_LIKE = st.one_of(
    st.from_regex(r"[+-]?\d{1,3}([.,' \u00a0]\d{3}){0,2}([.,]\d{0,3})?([eE][+-]?\d{1,3})?", fullmatch=True),
    st.from_regex(r"[+-]{0,2}\d{0,2}[.,_ ]?\d{0,2}([eE][+-]?\d{0,3})?", fullmatch=True),
    st.from_regex(r"[+-]?(inf|infinity|INF|iNfInItY)", fullmatch=True),
    st.text("+-\u2212.,'eE0123 \u00a0infx\u0661\u017f", max_size=8),
    st.floats(allow_nan=False).map(repr),
    st.floats(allow_nan=False).map(lambda number: repr(number).replace(".", ",")),
)


def block(layout: Layout, *cells: str) -> CsvBlock:
    """Return rows whose cells are quoted, so that they may hold anything."""
    rows = "".join(f'{clock(n)};"{cell}"\n' for n, cell in enumerate(cells))
    units = [Unit(0, len(cells))]
    return CsvBlock(Path("a.csv"), layout, ("time", "A"), rows.encode(), 2, {}, BadReadings(SystemClock()), units)


def layout_of(point: str, thousands: str, **options: Any) -> Layout:
    return Layout.of(
        FileSensorsSettings(
            path=Path("a.csv"), separator=";", decimal_point=point, thousands=thousands, text="refuse", **options
        )
    )


def first_reading(layout: Layout, *cells: str) -> str | None:
    """Return the first cell as a number in hexadecimal; None if it is refused, "" if it is no reading."""
    start = to_ns(DAY)
    try:
        chunks = list(block(layout, *cells).read({"A"}, start, start + 1))
    except BadReading:
        return None
    return "".join(value.hex() for chunk in chunks for value in chunk.values.tolist())


@settings(max_examples=examples(600))
@given(cell=NUMBER_LIKE.filter(lambda cell: cell.strip() not in {"", "-"}), notation=NOTATIONS)
@example(cell="1.100", notation=(",", ""))
@example(cell="1,100", notation=(".", ""))
@example(cell="1.1000", notation=(",", "."))
@example(cell="1.234.567,5", notation=(",", "."))
@example(cell="1 234,5", notation=(",", "'"))
@example(cell="1\u202f234.5", notation=(".", " "))
@example(cell="1\u2019234,5", notation=(",", "'"))
@example(cell="\u22121,5", notation=(",", ""))
@example(cell="\u0661", notation=(".", ""))
@example(cell="1e999", notation=(".", ""))
@example(cell="1e-999", notation=(",", "."))
@example(cell="\u017f", notation=(".", ""))
def test_a_number_is_the_same_for_every_parser_and_for_one_made_of_digits(cell: str, notation: tuple[str, str]):
    layout = layout_of(*notation)
    expected = read_number(cell.strip(), *notation)

    alone, among_text = first_reading(layout, cell), first_reading(layout, cell, "no number")
    parquet = layout.notation.numbers(pa.array([cell], pa.string_view()))

    assert alone == (None if expected is None else expected.hex())
    assert among_text == alone
    assert parquet.values[0].hex() == (math.nan if expected is None else expected).hex()
    assert (parquet.texts is not None or parquet.others is not None) == (expected is None)


@pytest.mark.parametrize(
    ("cell", "notation"),
    [
        ("1.234", (",", "")),
        ("1.234,5", (",", "")),
        ("12.34", (",", ".")),
        ("1.1000", (",", ".")),
        ("1.10.100", (",", ".")),
        ("1,5", (".", "")),
        (",5", (".", "")),
        ("5,", (".", "")),
        ("1,234.5", (".", "")),
        ("12,34,567.8", (".", "")),
        ("12,34,567.8", (".", ",")),
        ("1'234", (".", "")),
        ("1\u2019234.5", (".", "")),
        ("1 234", (".", "")),
        ("1\u202f234,5", (",", ".")),
        ("1_000", (".", "")),
        ("1.5D+03", (".", "")),
        ("1.5d3", (".", "")),
        ("(12.5)", (".", "")),
        ("12.5-", (".", "")),
        ("- 5", (".", "")),
        ("\uff11\uff12", (".", "")),
        ("1\u066b5", (".", "")),
        ("\u22121,5", (".", "")),
    ],
)
def test_a_number_in_another_notation_is_refused_whatever_becomes_of_text(cell: str, notation: tuple[str, str]):
    start = to_ns(DAY)
    layout = Layout.of(
        FileSensorsSettings(path=Path("a.csv"), separator=";", decimal_point=notation[0], thousands=notation[1])
    )

    with pytest.raises(BadReading, match=r"line 2: .* in column 'A' .*sensors\.decimal_point or sensors\.thousands"):
        list(block(layout, cell).read({"A"}, start, start + 1))
    assert list(block(layout, "1", cell).read({"A"}, start, start + 1)), "it is in no row of the window"


TEXTS = ["Bad", "[-11059] No Good Data For Calculation", "I/O Timeout", "12.3 degC", "45 %", "0x1F", "1e", "--1"]
TEXTS += ["1 2", ".", "2026-03-01", "01.03.2026", "12:30", "1.2.3", "192.168.10.2", "#DIV/0!", "1e5.5", "e5", "()"]


@pytest.mark.parametrize("cell", TEXTS)
def test_anything_else_is_text(cell: str):
    found = Notation().numbers(pa.array([cell, "1"]))

    assert found.texts is not None
    assert found.texts.tolist() == [True, False]
    assert found.others is None
    assert np.isnan(found.values).tolist() == [True, False]


MARKERS = ["", " ", "NaN", "nan", "NAN", "-nan", "NA", "na", "N/A", "n/a", "#N/A", "null", "Null", "NULL", "None"]
MARKERS += ["\\N", "-", "1.#QNAN", "-1.#IND", "1.#IND", "1.#qnan", "1.#QNAN0", "-1.#IND000", "1,#QNAN", "1.#SNAN"]
MARKERS += ["nan(1)", "NaN(abc)", "-nan()", "+NAN(_)", "nAn", "nuLL", "nONE"]


@pytest.mark.parametrize("cell", MARKERS)
def test_a_marker_is_no_reading_in_any_case_of_letters(cell: str):
    layout = layout_of(".", "")  # which refuses text

    assert first_reading(layout, cell) == ""
    assert first_reading(layout, cell, "no number") == ""


@pytest.mark.parametrize("cell", ["No Data", "NO DATA", "no data", " -999 ", "-999", "-999.0", "-9.99e2", "-999,00"])
@pytest.mark.parametrize("point", [".", ","])
def test_more_markers_are_texts_in_any_case_and_numbers_however_they_are_written(cell: str, point: str):
    layout = layout_of(point, "", missing=["no data", -999])
    cell = cell.replace(".", point).replace(",", point)

    assert first_reading(layout, cell) == ""
    assert first_reading(layout, "7", cell) == (7.0).hex()


def test_a_marker_may_be_written_as_the_cells_are():
    assert np.isnan(Notation(",", ".", ["-9.999,5"]).numbers(pa.array(["-9999,5", "-9.999,5"])).values).all()


@pytest.mark.parametrize("text", ["1.#INF", "1.#inf00", "inf", "+INFINITY"])
def test_infinity_is_a_number(text: str):
    values = Notation().numbers(pa.array([text, "-" + text.lstrip("+")])).values

    assert values.tolist() == [math.inf, -math.inf]


@pytest.mark.parametrize("cell", ["true", "TRUE", "True", " true "])
def test_booleans_are_one_and_zero(cell: str):
    layout = layout_of(".", "")

    assert first_reading(layout, cell) == (1.0).hex()
    assert first_reading(layout, "false", "no number") == (0.0).hex()
    assert Notation().numbers(pa.array([True, False])).values.tolist() == [1, 0]


@pytest.mark.parametrize("marker", ["true", "TRUE", "1"])
def test_a_boolean_may_stand_for_no_reading(marker: str):
    notation = Notation(missing=[marker])

    for column in (pa.array([True, False]), pa.array(["true", "false"])):
        assert np.isnan(notation.numbers(column).values).tolist() == [True, False]


# Every type of Arrow


TEXT_TYPES = [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view()]


@pytest.mark.parametrize("kind", [*TEXT_TYPES, pa.dictionary(pa.int8(), pa.string())], ids=str)
def test_text_of_any_type_means_the_same(kind: Any):
    texts = pa.array(["1.5", None, "Bad", "1,5", "-999", "NA", "true"])
    column = texts.dictionary_encode() if pa.types.is_dictionary(kind) else texts.cast(kind)

    found = Notation(missing=["-999"]).numbers(column)

    assert [None if math.isnan(value) else value for value in found.values] == [1.5, None, None, None, None, None, 1]
    assert found.texts is not None
    assert found.others is not None
    assert np.flatnonzero(found.texts).tolist() == [2]
    assert np.flatnonzero(found.others).tolist() == [3]
    assert tags_in(column) == {"1.5", "Bad", "1,5", "-999", "NA", "true"}


NUMBER_TYPES = [pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.decimal32(5, 1)]
NUMBER_TYPES += [pa.decimal128(20, 3), pa.decimal256(50, 3), pa.dictionary(pa.int8(), pa.int32())]


@pytest.mark.parametrize("kind", NUMBER_TYPES, ids=str)
def test_numbers_of_any_type_are_numbers(kind: Any):
    numbers = [Decimal(7), None, Decimal(99)]
    plain = pa.array(numbers, pa.decimal128(5, 0))
    if pa.types.is_dictionary(kind):
        column = plain.cast(pa.int32()).dictionary_encode()
    elif pa.types.is_float16(kind):
        column = pa.array(np.array([7, np.nan, 99], np.float16))
    else:
        column = plain.cast(kind)

    values = Notation(missing=["99"]).numbers(column).values

    assert values[0] == 7
    assert np.isnan(values).tolist() == [False, True, True]


@given(st.decimals(-(10**12), 10**12, places=9))
def test_a_decimal_is_the_nearest_double(number: Decimal):
    values = Notation(",", ".").numbers(pa.array([number], pa.decimal128(30, 9))).values

    assert values[0] == float(Fraction(number))


@pytest.mark.parametrize("number", [2**53 + 1, -(2**63), 2**63 - 1, 123_456_789_012_345_678])
def test_a_large_integer_is_the_nearest_double(number: int):
    assert Notation().numbers(pa.array([number])).values.tolist() == [float(Fraction(number))]


@pytest.mark.parametrize("marker", ["-999.9", "1e38", "-3.4028234663852886e38", "1e300"])
def test_a_marker_is_found_in_the_precision_of_the_column(marker: str):
    with np.errstate(over="ignore"):
        column = pa.array(np.array([np.float32(float(marker)), 1.5], np.float32))

    assert np.isnan(Notation(missing=[marker]).numbers(column).values).tolist() == [True, False]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([DAY]),
        pa.array([DAY.date()]),
        pa.array([1], pa.duration("s")),
        pa.array([1], pa.time32("s")),
        pa.array([b"\xff"]),
        pa.array([b"12"], pa.binary(2)),
        pa.array([[1.0]]),
    ],
    ids=lambda column: str(column.type),
)
def test_a_column_that_cannot_hold_readings_is_refused_by_its_type(column: Any):
    with pytest.raises(NotNumbers, match=str(column.type).partition("[")[0]):
        Notation().numbers(column)


def test_a_column_of_nothing_has_no_readings():
    assert np.isnan(Notation().numbers(pa.nulls(2)).values).all()
    assert Notation().numbers(pa.nulls(2)).texts is None


# Qualities


@pytest.mark.parametrize(
    ("column", "good"),
    [
        (pa.array([192, 0, None]), [True, False, False]),
        (pa.array([192.0, 192.5, None]), [True, False, False]),
        (pa.array(["192", " 192.00 ", "1.92e2", "0", "", None]), [True, True, True, False, False, False]),
        (pa.array(["Good", "good", " Good", "Goods"]), [True, False, True, False]),
        (pa.array([Decimal("192.0"), Decimal("192.1")]), [True, False]),
        (pa.array([True, False, None]), [True, False, False]),
        (pa.array(["True", "false"]), [True, False]),
        (pa.array(["Good", "Bad", None]).dictionary_encode(), [True, False, False]),
        (pa.array(["Good", "Bad"], pa.string_view()), [True, False]),
        (pa.array([b"Good", b"\xff"]), [False, False]),
        (pa.array([DAY]), [False]),
        (pa.nulls(1), [False]),
        (pa.array([math.nan]), [False]),
    ],
)
def test_numbers_compare_as_numbers_and_texts_as_they_are(column: Any, good: list[bool]):
    assert are_good(column, Qualities(("192", "Good", "true"))).tolist() == good


def test_every_text_is_judged_once():
    """States are few, however many cells have them."""
    notation, judged = Notation(), []
    meaning = notation._meaning
    notation._meaning = lambda text: (judged.append(text), meaning(text))[1]  # type: ignore[method-assign,func-returns-value]

    found = notation.numbers(pa.array(["Bad", "1", "Off"] * 1000))

    assert isinstance(found, Cells)
    assert sorted(judged) == ["Bad", "Off"]
