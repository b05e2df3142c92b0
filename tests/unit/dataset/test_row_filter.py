import itertools
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.dataset import row_filter
from latigo.dataset.row_filter import Table
from latigo.domain.errors import Reason, Rejected
from latigo.domain.windows import to_ns

START = datetime(2025, 1, 1, 10, tzinfo=UTC)
TIMES = np.array([to_ns(START + timedelta(minutes=10 * row)) for row in range(7)], np.int64)
#: The frame of the reference page's examples; ``c`` goes below zero, ``n`` holds counts.
TABLE = Table(
    TIMES,
    {
        "a": np.array([1.0, 2, 3, 4, 5, 6, 6]),
        "b": np.array([10.0, 20, 30, 40, 40, 40, 40]),
        "c": np.array([-2.5, -1, 0, 1.5, 2, 3, 7]),
        "n": np.array([0, 1, 2, 3, 0, 1, 2]),
        "1903.R-29/LT 1018.MA_Y": np.array([0.0, 1, 2, 3, 4, 5, 6]),
        "it's (x) & y|z": np.array([0.0, 0, 0, 0, 1, 1, 1]),
    },
)


def rows(text: str) -> list[int]:
    return row_filter.parse(text).mask(TABLE).nonzero()[0].tolist()


#: Answers of gordo-core 0.3.6.
EXAMPLES = {
    "a > 2 & a < 5": [2, 3],
    "a > 2 and not (a > 4)": [2, 3],
    "a == 1 | a > 4 & b > 35": [0, 4, 5, 6],
    "(a == 1 | a > 4) & b > 35": [4, 5, 6],
    "not a > 2 & b > 3": [0, 1],
    "~(a > 2)": [0, 1],
    "2 < a <= 4": [2, 3],
    "a > 2 == True": [],
    "(a > 2) == True": [2, 3, 4, 5, 6],
    "(a > 2) & True": [2, 3, 4, 5, 6],
    "a > 2 & 1 == 1": [2, 3, 4, 5, 6],
    "sqrt(a) > 1.5 & abs(b) < 1e9 & a % 2 == 0": [3, 5, 6],
    "a // 2 == 1": [1, 2],
    "a in [1, 3]": [0, 2],
    "a in (1, 3)": [0, 2],
    "a == [1, 3]": [0, 2],
    "a not in [1, 3]": [1, 3, 4, 5, 6],
    "a != [1, 3]": [1, 3, 4, 5, 6],
    "[1, 3] in a": [0, 2],
    "a + 1 in [2, 3]": [0, 1],
    "a in [1+1, -1]": [1],
    "a in []": [],
    "b in a": [],
    "a = 2": [0, 1, 2, 3, 4, 5, 6],
    "a = b > 2": [0, 1, 2, 3, 4, 5, 6],
    "`1903.R-29/LT 1018.MA_Y` >= 2": [2, 3, 4, 5, 6],
    "`it's (x) & y|z` > 0 & a < 6": [4],
    "`a` > 5": [5, 6],
    "a > 5 # and `so on": [5, 6],
    "\n a > 5 \n": [5, 6],
    "'2025-01-01 10:10:00+00:00' < index < '2025-01-01 10:40:00+00:00'": [2, 3],
    "~('2025-01-01 10:10:00+00:00' <= index <= '2025-01-01 10:40:00+00:00')": [0, 5, 6],
    "index > '2025-01-01T12:40:00+02:00'": [5, 6],
    "index > '2025-01-01 10:40:00 UTC'": [5, 6],
    "index > '2025-01-01 10:40:00 +00:00'": [5, 6],
    "index == '2025-01-01 10:10:00+00:00'": [1],
    "index not in ['2025-01-01 10:10:00+00:00', '2025-01-01T10:00Z']": [2, 3, 4, 5, 6],
    "a > 0x5": [5, 6],
    "a > 5 and a < 1_0": [5, 6],
    "a.shift(1) > 4": [5, 6],
    "a.shift() > 4": [5, 6],
    "a.shift(1).isna()": [0],
    "a.shift(99).notna()": [],
    "a.diff() > 0": [1, 2, 3, 4, 5],
    "a.shift(1).diff() > 0": [2, 3, 4, 5, 6],
    "a > a.mean()": [3, 4, 5, 6],
    "a > a.mean() + a.std()": [5, 6],
    "b == b.max() & a != a.max()": [3, 4],
    "a.quantile(0.5) < a": [4, 5, 6],
    "a.count() == 7 & a.sum() == 27 & a == a.min()": [0],
    "c.abs() == 2": [4],
    "c.round() == 2": [3, 4],
    "c.clip(0, 2) == 2": [4, 5, 6],
    "c.between(1, 3)": [3, 4, 5],
    "c.between(1, 3, 'neither')": [3, 4],
    "c.isin([2, 3])": [4, 5],
    "a.shift(1).fillna(9) == 9": [0],
    "(a > 2)*1 + (b > 20)*1 + (a > 4) * 1 >= 2": [2, 3, 4, 5, 6],
    "(a > 2) + (b > 20) + (a > 4) >= 2": [],
    "c // 2 < 0": [0, 1],
    "c % 2 == 1.5": [0, 3],
    "-c > 0": [0, 1],
    "c ** 2 > 9": [6],
    "c ** 0.5 > 0": [3, 4, 5, 6],
    "1 / a < 0.2": [5, 6],
    "arctan2(c, 1) > 1.2": [5, 6],
    "n // (n - 1) == 0 & a == 2": [1],  # numexpr divides whole numbers by 0 and gets 0
    "a < 9**9**9 & a > 5": [5, 6],
    "+a > 5": [5, 6],
    "a.gt(2)": [2, 3, 4, 5, 6],
    "a.gt(2) & b.lt(40)": [2],
    "~a.gt(2)": [0, 1],
    "a.gt(2) == True": [2, 3, 4, 5, 6],
    "a.ge(2.5)": [2, 3, 4, 5, 6],
    "a.le(b.shift(1))": [1, 2, 3, 4, 5, 6],
    "a.eq(6)": [5, 6],
    "a.ne(6)": [0, 1, 2, 3, 4],
    "a.gt(2).eq(True)": [2, 3, 4, 5, 6],
    "a.clip(2).gt(3)": [3, 4, 5, 6],
    "a.gt(2).sum() > 1 & a > 3": [3, 4, 5, 6],
    "a.gt(2).any() & a > 3": [3, 4, 5, 6],
    "a.gt(2).all() & a > 3": [],
    "a.gt(2).cumsum() > 2": [4, 5, 6],
    "a.gt(2) * 1 > 0": [2, 3, 4, 5, 6],
    "a.gt(2) + a.gt(3) > 1": [],
    "a.add(b) > 30": [2, 3, 4, 5, 6],
    "a.sub(1) > 2": [3, 4, 5, 6],
    "a.mul(2) > 6": [3, 4, 5, 6],
    "a.div(2) > 1": [2, 3, 4, 5, 6],
    "a.pow(2) > 3": [1, 2, 3, 4, 5, 6],
    "a.mod(2) == 1": [0, 2, 4],
    "a.floordiv(2) == 1": [1, 2],
    "n.mod(2) == 1": [1, 3, 5],
    "n.floordiv(0) == 0": [],
    "n.floordiv(n) == 0": [0, 4],
    "a.rolling(3).mean() > 3": [4, 5, 6],
    "a.rolling(3, 1).mean() > 3": [4, 5, 6],
    "a.rolling(3, 1, True).mean() > 3": [3, 4, 5, 6],
    "a.rolling(4, 2, True).mean() > 3": [3, 4, 5, 6],
    "a.rolling(3).median() > 3": [4, 5, 6],
    "a.rolling(3).std() > 0.5": [2, 3, 4, 5, 6],
    "a.rolling(3).var() < 0.6": [6],
    "a.rolling(3).quantile(0.3) > 2": [3, 4, 5, 6],
    "a.rolling(3).count() > 2": [2, 3, 4, 5, 6],
    "a.shift(1).rolling(3).count() > 1": [2, 3, 4, 5, 6],
    "a.rolling(3, 0).sum() > 2": [1, 2, 3, 4, 5, 6],
    "a.rolling(100).mean() > 2": [],
    "a.rolling(100, 1).mean() > 2": [3, 4, 5, 6],
    "a.rolling('30T').mean() > 3": [4, 5, 6],
    "a.rolling('0.5H').median() > 2": [3, 4, 5, 6],
    "a.rolling('5T').mean() > 2": [2, 3, 4, 5, 6],
    "a.rolling('30T', 3).mean() > 2": [3, 4, 5, 6],
    "a.rolling(3).mean() in [2, 3]": [2, 3],
    "a.rolling(3).mean().isna()": [0, 1],
    "a.rolling(3).mean().diff() > 0": [3, 4, 5, 6],
    "a.gt(2).rolling(2).min() == 1": [3, 4, 5, 6],
    "n.rolling(2).sum() > 2": [2, 3, 4, 6],
    "a.shift(1).ffill() > 3": [4, 5, 6],
    "a.shift(1).bfill() > 0": [0, 1, 2, 3, 4, 5, 6],
    "a.shift(2).pad() < 3": [2, 3],
    "a.shift(2).backfill() < 2": [0, 1, 2],
    "a.shift(1).interpolate() > 3": [4, 5, 6],
    "a.shift(1).interpolate('time') > 1": [2, 3, 4, 5, 6],
    "a.rank() > 3": [3, 4, 5, 6],
    "a.rank() == 6.5": [5, 6],
    "a.cumsum() > 6": [3, 4, 5, 6],
    "a.cumprod() > 6": [3, 4, 5, 6],
    "a.cummax() > 3": [3, 4, 5, 6],
    "a.cummin() == 1": [0, 1, 2, 3, 4, 5, 6],
    "a.pct_change() > 0.3": [1, 2, 3],
    "a.pct_change(2) > 0.5": [2, 3, 4],
    "a.where(a.gt(2)) > 3": [3, 4, 5, 6],
    "a.where(a.gt(2), 9) > 3": [0, 1, 3, 4, 5, 6],
    "a.mask(a.gt(2)) > 1": [1],
    "a.nunique() > a": [0, 1, 2, 3, 4],
    "a.size > 2 & a > 3": [3, 4, 5, 6],
    "a.values > 2": [2, 3, 4, 5, 6],
    "(a.values > 2) & (b > 20)": [2, 3, 4, 5, 6],
    "not a.values > 2": [0, 1],
    "a.shift(1).values > 2": [3, 4, 5, 6],
    "a.between(2, 4, 'left')": [1, 2],
    "a.between(2, 4, True)": [1, 2, 3],
    "a.between(2, 4, False)": [2],
    "a.between(c, b)": [0, 1, 2, 3, 4, 5],
    "index.dt.minute > 20": [3, 4, 5],
    "index.dt.hour in [10]": [0, 1, 2, 3, 4, 5],
    "index.dt.minute.isin([10, 20])": [1, 2],
    "index.dt.hour * 60 + index.dt.minute > 615": [2, 3, 4, 5, 6],
    "index.dt.dayofweek == 2 & index.dt.weekday == 2 & index.dt.dayofyear == 1 & a > 5": [5, 6],
    "index.dt.year == 2025 & index.dt.month == 1 & index.dt.day == 1 & index.dt.quarter == 1 & a > 5": [5, 6],
    "index.dt.second > 0": [],
    "index > '2025/01/01 10:40 UTC'": [5, 6],
    "index > 'Jan 1, 2025 10:40 UTC'": [5, 6],
    "index > '1 January 2025 11:40 +0100'": [5, 6],
    "index == '01/01/2025 10:10 AM GMT'": [1],
    "index.gt('2025/01/01 10:40')": [5, 6],
    "index.between('2025-01-01 10:10', '2025-01-01 10:30', 'neither')": [2],
    "index.isin(['2025/01/01 10:10 UTC'])": [1],
}


@pytest.mark.parametrize(("text", "kept"), EXAMPLES.items())
def test_a_filter_keeps_the_rows_that_gordo_core_keeps(text: str, kept: list[int]) -> None:
    assert rows(text) == kept


def test_quotients_are_rounded_down_as_numexpr_does() -> None:
    table = Table(TIMES[:4], {"a": np.array([1.0, 0.3, -1.0, 2.5]), "b": np.array([0.1, 0.1, 0.1, -1.0])})

    assert row_filter.parse("a // b in [10, 2, -10, -3]").mask(table).all()
    assert row_filter.parse("a % b <= 0.1").mask(table).all()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a", "not a condition"),
        ("1 == 1", "not a condition"),
        ("a.mean() > 1", "not a condition"),
        ("a > 2 && b > 3", "not valid"),
        ("!a", "not valid"),
        ("@a > 2", "not valid"),
        ("a ^ b", r"a \^ b"),
        ("a > 2; b > 2", "single"),
        ("a > 1\nb > 2", "one line, not 2"),
        ("a if b > 2 else b", "IfExp"),
        ("lambda: a", "Lambda"),
        ("a > 1j", "1j"),
        ("a > 'x'", "compared"),
        ("a in [1, 'x']", "membership"),
        ("1 in a", "membership"),
        ("a in 2", "membership"),
        ("a + 1 == [2, 3]", "only a tag"),
        ("a in [b]", "constants"),
        ("~a", "'~'"),
        ("not a", "'not'"),
        ("-(a > 2)", "sign"),
        ("a & b > 2", "'and'"),
        ("(a > 2) & 1", "'and'"),
        ("(a > 2) - (b > 2)", "arithmetic"),
        ("(a > 2) / 2 > 1", "arithmetic"),
        ("tan(a) > 2", "'tan' .* there are abs, .* tanh"),
        ("max(a, b) > 2", "'max'"),
        ("abs > 2", "not a tag"),
        ("a > columns", "not a tag"),
        ("sin(a, b) > 0", "'sin' takes 1"),
        ("abs(x=a) > 0", "cannot be named"),
        ("a.shift(periods=1) > 0", "cannot be named"),
        ("a.shift(-1) > 0", "'.shift'"),
        ("a.shift(1.5) > 0", "'.shift'"),
        ("a.shift(b) > 0", "'.shift'"),
        ("a.shift(1, 2) > 0", "0 to 1"),
        ("(a + b).shift(1) > 0", "method of tags"),
        ("a.rolling(3) > 1", "compared"),
        ("a.rolling(3)", "not a condition"),
        ("a.rolling(0).mean() > 1", "'.rolling'"),
        ("a.rolling(2.5).mean() > 1", "'.rolling'"),
        ("a.rolling('1M').mean() > 1", "'.rolling'"),
        ("a.rolling(3, 5).mean() > 1", "5 values of a window of 3"),
        ("a.rolling(3).skew() > 1", "'skew' .* there are count, max, mean, median, min, quantile, std, sum, var"),
        ("a.rolling(3).quantile() > 1", "takes 1 argument"),
        ("a.rolling(3).mean(1) > 1", "takes 0 arguments"),
        ("a.rolling(window=3).mean() > 1", "order"),
        ("(a > 2).rolling(3).sum() > 1", r"write a\.gt\(2\)"),
        ("a.where(a > 2) > 1", "'.where'"),
        ("a.gt('x')", "'.gt'"),
        ("a.gt([1, 2])", "'.gt'"),
        ("a.gt(2).shift(1) == True", "'shift'"),
        ("a.interpolate('cubic') > 1", "'.interpolate'"),
        ("a.expanding().mean() > 1", r"'expanding' .* write a\.cumsum\(\)"),
        ("a.dropna() > 1", r"'dropna' .* write a\.notna\(\)"),
        ("a.resample(3) > 1", "'resample' .* there are .* rolling"),
        ("a.mean().shift(1) < a", "'shift' is not supported here: "),
        ("a.values.mean() < a", "methods only"),
        ("a.values in [1, 3]", r"'\.values' cannot be in a list"),
        ("a.values + 1 in [1, 3]", r"'\.values' cannot be in a list"),
        ("index.dt.hour() > 3", "'hour'"),
        ("index.dt.date > 3", "'index.dt' has second, minute, hour"),
        ("index.dt > 3", "compared"),
        ("index.shift(1) > '2025-01-01T00:00Z'", "'shift'"),
        ("index.gt(20250101)", "'.gt'"),
        ("index.isin([20250101])", "'.isin'"),
        ("index.isin(['2025/01/01'])", "offset"),
        ("index > '2025/01/01'", "offset from UTC; write it as"),
        ("index == '2025/01/01'", "offset"),
        ("index in ['2025-01-01T10:10+02:00', '2025-01-01T10:10Z']", "same offset"),
        ("a.between(1)", "2 to 3"),
        ("a.between(1, 2, 'inside')", "'.between'"),
        ("a[0] < a", "Subscript"),
        ("index.hour > 3", r"write index\.dt\.hour"),
        ("index == index", "compared"),
        ("index > 20250101", "compared"),
        ("index > '2025-01-01 10:10:00'", "offset"),
        ("index > 'yesterday'", "not a time; write it as"),
        ("index = 3", "Assign"),
        ("`tag 0` = 3", "Assign"),
        ("a = b = 2", "Assign"),
        ("a += 2", "AugAssign"),
        ("`` > 2", "backticks"),
        ("__import__('os').system('true')", "__import__"),
        ("a.__class__ == 1", "attribute"),
        ("[x for x in a] == 1", "ListComp"),
        ("(a := 2) > 1", "NamedExpr"),
    ],
)
def test_what_is_not_understood_is_named(text: str, named: str) -> None:
    with pytest.raises(Rejected, match=named) as rejected:
        row_filter.parse(text)

    assert rejected.value.reason is Reason.BAD_METADATA
    assert rejected.value.whole_model


HOSTILE = {
    "parentheses": "(" * 19_000 + "a",
    "tildes": "~" * 19_999,
    "signs": "a > " + "-" * 19_000 + "1",
    "nots": "not " * 4_900 + "a > 1",
    "sums": "+".join(["a"] * 150) + " > 1",
    "many terms": " & ".join(["a>1"] * 3_000),
    "chained": "a" + "<a" * 3_000,
    "methods": "a" + ".abs()" * 200 + " > 1",
    "functions": "abs(" * 150 + "a" + ")" * 150 + " > 1",
    "long": "a > 1" + " " * 20_000 + "& b > 1",
    "digits": "a > " + "9" * 19_000,
    "brackets": "[" * 19_000,
    "null": "a > \x00",
    "surrogate": "a > \ud800",
    "long time": "index > '" + "1" * 19_000 + "'",
    "time of digits": "index > '" + "1" * 64 + "'",
    "time of dots": "index > '" + "1." * 32 + "'",
    "time of words": "index > '" + "Jan " * 16 + "'",
    "long window": "a.rolling(" + "9" * 19_000 + ").mean() > 1",
    "long stretch": "a.rolling('" + "9" * 60 + "D').mean() > 1",
    "rolled windows": "a" + ".rolling(2).mean()" * 200 + " > 1",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_text_is_rejected(text: str) -> None:
    with pytest.raises(Rejected) as rejected:
        row_filter.parse(text)

    assert len(str(rejected.value).encode()) < 1000


def test_a_long_list_of_conditions_is_understood() -> None:
    text = " & ".join(f"(a > {number}.5 | b > 1)" for number in range(300))

    assert rows(text) == list(range(7))


def test_tags_are_found_in_order_and_once() -> None:
    parsed = row_filter.parse("`x y` > b & sqrt(`x y`) > c.shift(1) & index > '2025-01-01T00:00Z' & b > d.mean()")

    assert parsed.tags == ("x y", "b", "c", "d")


def test_an_assignment_reads_the_tags_on_both_sides() -> None:
    assert row_filter.parse("a = b > c").tags == ("a", "b", "c")


def test_values_alone_are_refused_in_a_list() -> None:
    with pytest.raises(Rejected, match=r"'\.values' alone; leave it out"):
        row_filter.join(["a.values > 2"])


def test_a_number_in_a_list_is_true_unless_it_is_zero() -> None:
    assert row_filter.join(["a - 3"]) == "(a - 3) != 0"
    assert rows(row_filter.join(["a - 3"])) == [0, 1, 3, 4, 5, 6]


WORDS = st.sampled_from(
    [
        *("a", "b", "index", "`x y`", "`", "'", '"', "(", ")", "[", "]", ",", ".", "#", "&", "|", "~", "not ", " in "),
        *(
            "=",
            "==",
            "<",
            ">=",
            "+",
            "-",
            "*",
            "/",
            "//",
            "%",
            "**",
            "1",
            "2.5",
            "1e400",
            "'2025-01-01T00:00Z'",
            "True",
        ),
        *(
            ".gt(",
            ".rolling(3)",
            ".rolling('1H', 2)",
            ".rolling(2, 1, True)",
            ".std()",
            ".median()",
            ".ffill()",
            ".values",
        ),
        *(".rank()", ".cumsum()", ".interpolate()", ".dt", ".hour", ".any()", ".size", ".pct_change()", ".floordiv(n)"),
        *("'2025/01/01'", "'Jan 1, 2025 10:30 UTC'", ".between('2025', '2026')", ".where(a.gt(2))", ".quantile(0.5)"),
        *("sqrt", "abs", ".shift(1)", ".mean()", ".between(1, 2)", ".isin([1])", " and ", " or ", " if ", " else "),
    ]
)


@given(st.one_of(st.text(max_size=40), st.lists(WORDS, max_size=15).map("".join)))
def test_any_text_is_a_filter_or_rejected(text: str) -> None:
    try:
        parsed = row_filter.parse(text)
    except Rejected:
        return

    table = Table(TIMES, dict.fromkeys(parsed.tags, TABLE.columns["c"]))
    mask = parsed.mask(table)
    assert mask.shape == (7,)
    assert mask.dtype == np.bool_


SIMPLE = st.one_of(
    st.builds(
        "{} {} {}".format,
        st.sampled_from(["a", "b", "c", "a.shift(1)", "(a + c)", "abs(c)"]),
        st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
        st.sampled_from(["a", "c", "2", "3.5", "b / 10"]),
    ),
    st.sampled_from(["a in [1, 2]", "c.between(0, 2)", "index > '2025-01-01T10:20Z'", "1 < a < 4"]),
)


@given(SIMPLE, SIMPLE)
def test_conditions_combine_as_sets_of_rows(one: str, other: str) -> None:
    left, right = set(rows(one)), set(rows(other))

    assert set(rows(f"{one} & {other}")) == left & right
    assert set(rows(f"{one} | {other}")) == left | right
    assert set(rows(f"~({one})")) == set(range(7)) - left
    assert rows(f"not {one} or not {other}") == rows(f"~({one} and {other})")


@given(st.lists(SIMPLE, min_size=1, max_size=40))
def test_a_list_of_plain_conditions_keeps_what_each_of_them_keeps(items: list[str]) -> None:
    kept = set(itertools.chain(range(7))).intersection(*(rows(item) for item in items))

    assert set(rows(row_filter.join(items))) == kept
