#!/usr/bin/env python
"""Write resampling cases with gordo-core's answers, for tests that do not have gordo-core.

    dataset_cases.py OUT.jsonl [--named] [--random N] [--wide N] [--seed S]

tests/data/gordo_dataset_cases.jsonl is what "--named --random 150 --seed 1" writes.

One JSON object a line:

    name       named cases, then random-NNN, then wide-NNNN: more frequencies, methods, tag names and
               limits, infinite and repeated values, and row filters out of a grammar
    raw        {tag: [[time, value or null], ...]}   times in ISO 8601, UTC, ascending
    config     Gordo dataset config, with train_start_date and train_end_date
    look_back  the value before the start may be used to fill a gap at the start
    end_closed the raw value at the very end belongs to the period
    expected   {"X": frame, "y": frame} or {"error": exception name, "message": text}
               frame: {"columns": [...], "index": [times], "data": [[row], ...]}
"""

import argparse
import json
import logging
import os
import random
import warnings
from pathlib import Path

os.environ.setdefault("NUMEXPR_MAX_THREADS", "2")

import pandas as pd  # noqa: E402

from dataset_oracle import run  # noqa: E402

DAY = "2025-01-01T"


def t(clock):
    return clock if "T" in clock else f"{DAY}{clock}Z" if clock.count(":") == 2 else f"{DAY}{clock}:00Z"


def case(name, raw, start="10:00", end="11:00", look_back=True, end_closed=False, **config):
    return {
        "name": name,
        "raw": {tag: [[t(clock), value] for clock, value in points] for tag, points in raw.items()},
        "config": {"train_start_date": t(start), "train_end_date": t(end), "tag_list": list(raw), **config},
        "look_back": look_back,
        "end_closed": end_closed,
    }


STEPS = [(f"10:{m:02d}", v) for m, v in ((1, 1.0), (11, 2.0), (21, 3.0), (31, 4.0), (41, 5.0), (51, 6.0))]
SPARSE = [("10:01", 10.0), ("10:31", 40.0)]
GAP = [("10:01", 0.0), ("12:01", 12.0)]
EDGES = [
    ("10:00", 1.0),
    ("10:05", 3.0),
    ("10:09:59.999", 5.0),
    ("10:10", 10.0),
    ("10:29", 20.0),
    ("10:51", 50.0),
]
LATE = [("09:36", 0.0), ("10:41", 60.0)]
TWO = {"a": STEPS, "b": SPARSE}


def named():
    yield case("buckets-left-closed-left-label", {"a": EDGES})
    yield case("end-not-reached-by-data", {"a": [("10:01", 1.0), ("10:51", 50.0), ("11:00", 99.0)]})
    yield case("end-closed", {"a": [("10:01", 1.0), ("10:51", 50.0), ("11:00", 99.0)]}, end_closed=True)
    yield case("start-and-end-off-grid", {"a": EDGES}, start="10:04", end="10:35")
    yield case("end-on-grid-makes-one-more-row", {"a": EDGES}, end="10:30")
    yield case("gap-linear", {"a": GAP}, end="12:30")
    yield case("gap-linear-limit-50T", {"a": GAP}, end="12:30", interpolation_limit="50T")
    yield case("gap-linear-limit-25T", {"a": GAP}, end="12:30", interpolation_limit="25T")
    yield case(
        "gap-ffill-limit-50T",
        {"a": GAP},
        end="12:30",
        interpolation_limit="50T",
        interpolation_method="ffill",
    )
    yield case("gap-limit-none", {"a": GAP}, end="12:30", interpolation_limit=None)
    yield case("limit-below-resolution", {"a": GAP}, end="12:30", interpolation_limit="9T")
    yield case("limit-equals-resolution", {"a": GAP}, end="12:30", interpolation_limit="10T")
    yield case("look-back", {"a": LATE})
    yield case("look-back-off", {"a": LATE}, look_back=False)
    yield case("look-back-too-old", {"a": LATE}, interpolation_limit="20T")
    yield case("look-back-limit-30T", {"a": LATE}, interpolation_limit="30T")
    yield case("look-back-limit-50T", {"a": LATE}, interpolation_limit="50T")
    yield case("look-back-is-linear-even-with-ffill", {"a": LATE}, interpolation_method="ffill")
    yield case("look-back-rounds-up", {"a": [("09:56", 0.0), ("10:41", 60.0)]})
    yield case("look-back-half-rounds-to-even-up", {"a": [("09:55", 0.0), ("10:41", 60.0)]})
    yield case("look-back-half-rounds-to-even-down", {"a": [("09:45", 0.0), ("10:41", 60.0)]})
    yield case("look-back-not-used-when-period-is-empty", {"a": [("09:56", 5.0)]})
    yield case("look-back-used-when-period-has-only-nan", {"a": [("09:56", 5.0), ("10:20", None)]})
    yield case("look-back-needs-epoch-grid", {"a": [("09:40", 0.0), ("10:41", 60.0)]}, resolution="7T")
    yield case("no-data", {"a": []})
    yield case("only-nan", {"a": [("10:20", None)]})
    yield case("one-tag-without-data", {"a": STEPS, "b": []})
    yield case(
        "nan-is-no-value",
        {"a": [("10:01", 1.0), ("10:02", None), ("10:11", None), ("10:21", 3.0)]},
        end="10:40",
    )
    yield case("duplicate-times", {"a": [("10:01", 1.0), ("10:01", 3.0), ("10:11", 5.0)]}, end="10:20")
    yield case("inner-join", TWO, interpolation_limit="10T")
    yield case("targets", TWO, tag_list=["a"], target_tag_list=["b", "a"])
    yield case("tag-objects", TWO, tag_list=[{"name": "a", "asset": "x"}, {"name": "b"}])
    yield case("same-tag-two-shapes", TWO, tag_list=["a"], target_tag_list=[{"name": "a", "asset": "x"}])
    for method in ("sum", "count", "min", "max", "first", "last", "median", "std"):
        points = [("10:01", 1.0), ("10:02", 4.0), ("10:21", 3.0)]
        yield case(f"aggregate-{method}", {"a": points}, end="10:30", aggregation_methods=method)
    for resolution in ("7T", "45T", "1H", "1D", "600S", "10min", "H"):
        points = [("10:01", 1.0), ("10:40", 5.0)]
        yield case(f"resolution-{resolution}", {"a": points}, look_back=False, resolution=resolution)
    yield case("row-filter", TWO, row_filter="a > 2 & a < 5")
    yield case("row-filter-words", TWO, row_filter="a > 2 and not (a > 4)")
    yield case("row-filter-and-before-or", TWO, row_filter="a == 1 | a > 4 & b > 35")
    yield case("row-filter-list", TWO, row_filter=["a > 1", "b > 20", "a != 5"])
    yield case("row-filter-list-is-joined-as-text", TWO, row_filter=["(a == 1) | (a > 4)", "b > 35"])
    yield case("row-filter-chain", TWO, row_filter="2 < a <= 4")
    yield case("row-filter-arithmetic", TWO, row_filter="sqrt(a) > 1.5 & abs(b) < 1e9 & a % 2 == 0")
    yield case("row-filter-in", TWO, row_filter="a in [1, 3]")
    yield case("row-filter-not", TWO, row_filter="~(a > 2)")
    yield case(
        "row-filter-index",
        TWO,
        row_filter="'2025-01-01 10:10:00+00:00' < index < '2025-01-01 10:40:00+00:00'",
    )
    yield case("row-filter-single-equals-filters-nothing", TWO, row_filter="a = 2")
    yield case("row-filter-backticks", {"1903.R-29/LT 1018.MA_Y": GAP}, row_filter="`1903.R-29/LT 1018.MA_Y` >= 2")
    for name, text in {
        "rolling": "a.rolling(3).mean() > 3",
        "rolling-median": "b.shift(1).rolling(3, 1).median() >= 30",
        "rolling-time": "a.rolling('30T').std() > 0.9",
        "running-for-half-an-hour": "a.gt(2).rolling(3).min() == 1",
        "comparison-methods": "a.gt(2) & b.lt(40)",
        "between-inclusive": "a.between(2, 4, 'left') | a.between(5, 6, False)",
        "along": "a.shift(1).ffill() > 2 & a.shift(2).bfill() < 4 & a.shift(1).interpolate() > 2",
        "cumulated": "a.cumsum() > 6 & a.cummax() < 6",
        "rank": "b.rank() > 4.5",
        "pct-change": "a.pct_change() > 0.3",
        "values": "a.values > 2",
        "calendar": "index.dt.minute > 20 & index.dt.dayofweek == 2",
        "slashes": "index > '2025/01/01 10:20 UTC'",
        "month-name": "index > 'Jan 1, 2025 10:20 UTC'",
        "date-without-offset": "index > '2025/01/01'",
        "method-takes-a-date-without-offset": "index.gt('2025/01/01 10:20')",
    }.items():
        yield case(f"row-filter-{name}", TWO, row_filter=text)
    for limit in ("1D+1H", "+30T", "1D-1H"):
        yield case(f"limit-{limit}", {"a": GAP}, end="12:30", interpolation_limit=limit)
    tenths = [("10:00:00", 1.0), ("10:00:01", 5.0)]
    yield case("limit-below-a-second", {"a": tenths}, end="10:00:01", resolution="100ms", interpolation_limit="300ms")
    for method in ("quantile", "size", "var", "sem", "prod", "nunique"):
        points = [("10:01", 1.0), ("10:02", 4.0), ("10:03", None), ("10:21", 3.0), ("10:22", 8.0)]
        yield case(f"aggregate-{method}-of-two", {"a": points}, end="10:30", aggregation_methods=method)
    yield case("row-filter-nothing-left", TWO, row_filter="a > 100")
    switch = {"a": STEPS, "switch": [("10:01", 1.0), ("10:31", 0.0)]}
    yield case("row-filter-on-another-tag", switch, tag_list=["a"], row_filter="switch > 0.5")
    yield case("row-filter-tag-without-data", {"a": STEPS}, row_filter="switch > 0.5")
    yield case(
        "row-filter-tag-gap-drops-rows",
        switch,
        tag_list=["a"],
        row_filter="switch >= 0",
        interpolation_limit="10T",
    )
    yield case("ignored-row-filter-buffer", TWO, row_filter="a != 3", row_filter_buffer_size=1)
    yield case(
        "ignored-known-filter-periods",
        TWO,
        known_filter_periods=["~('2025-01-01 10:10:00+00:00' <= index <= '2025-01-01 10:40:00+00:00')"],
    )
    yield case("ignored-n-samples-threshold", TWO, n_samples_threshold=1000)
    yield case("period-empty", TWO, end="10:00")


def random_case(number, rng):
    resolution = rng.choice(["10T"] * 4 + ["1T", "5T", "15T", "30T", "1H", "7T", "90S"])
    step = pd.Timedelta(resolution)
    start = pd.Timestamp("2025-03-01T00:00:00Z") + pd.Timedelta(minutes=rng.randrange(0, 1440, 10))
    if rng.random() < 0.3:
        start += pd.Timedelta(seconds=rng.randrange(1, 600))
    length = step * rng.randint(1, 24)
    if rng.random() < 0.3:
        length += pd.Timedelta(seconds=rng.randrange(1, 900))
    end = start + length
    raw = {}
    for i in range(rng.randint(1, 3)):
        density = rng.choice([0.2, 0.7, 1.5, 4.0])
        points = []
        now = start - step * rng.choice([0, 0, 1, 3, 12, 40]) - pd.Timedelta(seconds=rng.randrange(0, 60))
        while now <= end + step:
            now += step / density * rng.uniform(0.1, 2.0)
            now = now.floor("1ms")
            if rng.random() < 0.07:
                now += step * rng.randint(2, 8)
            value = None if rng.random() < 0.05 else round(rng.gauss(50, 20), 3)
            points.append([now.isoformat().replace("+00:00", "Z"), value])
        raw[f"tag {i}"] = points
    config = {
        "train_start_date": start.isoformat(),
        "train_end_date": end.isoformat(),
        "tag_list": list(raw),
        "resolution": resolution,
    }
    if rng.random() < 0.6:
        config["aggregation_methods"] = rng.choice(
            ["mean", "max", "min", "sum", "count", "first", "last", "median", "std"]
        )
    if rng.random() < 0.7:
        config["interpolation_method"] = rng.choice(["ffill", "linear_interpolation"])
    if rng.random() < 0.7:
        limit = int(step.total_seconds() * rng.choice([1, 1.5, 2, 3, 6, 10]))
        config["interpolation_limit"] = f"{limit}S"
    if len(raw) > 1 and rng.random() < 0.3:
        config["target_tag_list"] = [config["tag_list"].pop()]
    if rng.random() < 0.4:
        tag = rng.choice(list(raw))
        config["row_filter"] = rng.choice(
            [
                f"`{tag}` > 45",
                f"(`{tag}` > 30) & (`{tag}` < 70)",
                f"`{tag}` < 30 | `{tag}` > 50",
                f"~(`{tag}` > 60)",
            ]
        )
    return {
        "name": f"random-{number:03d}",
        "raw": raw,
        "config": config,
        "look_back": rng.random() < 0.7,
        "end_closed": rng.random() < 0.2,
    }


WIDE_STEPS = (
    "10T 10T 10T 10min 1T 5T 15T 30T 1H 7T 11T 90S 45T 600S 0.5H 1H30T 13S 2H 5H 250ms 1500L 1D 86400S 1.5T".split()
)
WIDE_METHODS = "mean max min sum count first last median std var sem prod nunique quantile size".split()
#: Without rounding errors, so that filters may ask for equality.
EXACT = {"max", "min", "first", "last", "count", "nunique", "size"}
WIDE_NAMES = ["a", "b1", "tag 0", "1903.R-29/LT 1018.MA_Y", "GRA-TT (x)|y&z", "1902.A.TT-001.PV", "æøå"]
FUNCTIONS = "sin cos exp expm1 sinh cosh tanh arctan arcsinh abs floor ceil sqrt log log10 log1p".split()
SIDES = ["", ", 'left'", ", 'neither'", ", 'both'", ", 'right'", ", True", ", False"]
COMPARISONS = "gt ge lt le".split()
ROLLED = ["mean()", "sum()", "min()", "max()", "median()", "std()", "count()", "quantile(0.3)"]
ALONG = "ffill bfill interpolate rank cumsum cummax cummin pct_change abs round".split()
#: How a label can be written, for pandas to read.
SPELLINGS = [
    "%Y/%m/%d %H:%M:%S.%f UTC",
    "%b %d, %Y %H:%M:%S.%f UTC",
    "%d %B %Y %H:%M:%S.%f +0000",
    "%m/%d/%Y %I:%M:%S.%f %p GMT",
    "%Y%m%dT%H%M%S.%fZ",
]


def quoted(tag):
    return tag if tag.isidentifier() else f"`{tag}`"


class FilterGrammar:
    """Random row filters that gordo-core understands."""

    def __init__(self, rng, tags, labels, exact):
        self.rng, self.tags, self.labels, self.exact = rng, tags, labels, exact

    def tag(self):
        return quoted(self.rng.choice(self.tags))

    def constant(self):
        # Not a value that a bucket could have: there a rounding error would decide.
        return f"{self.rng.gauss(30, 25):.3f}7"

    def column(self):
        tag, rng = self.tag(), self.rng
        return rng.choice(
            [
                tag,
                tag,
                f"{tag}.shift({rng.randint(0, 3)})",
                f"{tag}.shift()",
                f"{tag}.diff({rng.randint(1, 2)})",
                f"{tag}.abs()",
                f"{tag}.shift(1).fillna({rng.randint(0, 60)})",
                f"{tag}.clip({rng.randint(0, 30)}, {rng.randint(31, 60)})",
                f"{tag}.clip({tag}.mean())",
                f"{tag}.rolling({self.window()}).{rng.choice(ROLLED)}",
                f"{tag}.shift({rng.randint(0, 2)}).{rng.choice(ALONG)}()",
                f"{tag}.where({self.tag()}.{rng.choice(COMPARISONS)}({rng.randint(0, 60)}))",
                f"{tag}.{rng.choice(['add', 'sub', 'mul', 'div'])}({self.tag()})",
                f"{tag}.gt({rng.randint(0, 60)}).rolling({self.window()}).sum()",
            ]
        )

    def window(self):
        rng = self.rng
        return rng.choice([f"{rng.randint(1, 6)}", f"{rng.randint(3, 6)}, 1", "4, 2, True", "'30T'", "'1H', 2", "'1D'"])

    def label(self):
        label = self.rng.choice(self.labels)
        return self.rng.choice([label, pd.Timestamp(label).strftime(self.rng.choice(SPELLINGS))])

    def of_all(self):
        methods = "mean median min max std var sem sum count quantile nunique".split()
        return f"{self.tag()}.{self.rng.choice(methods)}()"

    def number(self, depth=2):
        rng = self.rng
        if depth == 0 or rng.random() < 0.5:
            return rng.choice([self.column, self.column, self.of_all, self.constant])()
        left, right = self.number(depth - 1), self.number(depth - 1)
        return rng.choice(
            [
                f"({left} {rng.choice('+-*/')} {right})",
                f"({left} {rng.choice('+-*')} {right})",
                f"({left} // {rng.uniform(1, 9):.4f})",
                f"({left} % {rng.uniform(1, 9):.4f})",
                f"({left} ** {rng.choice(['2', '3', '0.5'])})",
                f"-{left}",
                f"{rng.choice(FUNCTIONS)}({left})",
                f"arctan2({left}, {right})",
            ]
        )

    def condition(self, depth=2):
        rng = self.rng
        if depth and rng.random() < 0.6:
            left, right = self.condition(depth - 1), self.condition(depth - 1)
            return rng.choice(
                [
                    f"{left} {rng.choice(['&', '|', 'and', 'or'])} {right}",
                    f"({left}) | ({right})",
                    f"~({left})",
                    f"not {left}",
                    f"({left}) == ({right})",
                    f"({left}) * 1 + ({right}) * 1 >= 1",
                ]
            )
        less = rng.choice("< <= > >=".split())
        low, high = sorted(float(self.constant()) for _ in range(2))
        label = f"'{rng.choice(self.labels)}'"
        plain = [
            f"{self.column()} {less} {self.number()}",
            f"{self.column()} {less} {self.constant()}",
            f"{low} < {self.column()} {rng.choice(['<', '<='])} {high}",
            f"index {rng.choice([less, '==', '!='])} {label}",
            f"{label} {less} index",
            f"index {rng.choice(['in', 'not in'])} [{label}, '{rng.choice(self.labels)}']",
            # pandas' methods take no negative constant
            f"{self.tag()}.between({abs(low)}, {abs(low) + abs(high)}{rng.choice(SIDES)})",
            f"{self.tag()}.shift(1).{rng.choice(['isna', 'notnull'])}()",
            f"{self.column()}.{rng.choice(COMPARISONS)}({self.tag()}.shift(1))",
            f"{self.column()}.{rng.choice(COMPARISONS)}({abs(low)})",
            f"({self.tag()}.values {less} {self.constant()}) & ({self.tag()} == {self.tag()})",
            f"index {less} '{self.label()}'",
            f"index.{rng.choice(COMPARISONS)}('{self.label().removesuffix(' UTC')}')",
            f"index.between({label}, '{self.label()}'{rng.choice(SIDES)})",
            f"index.dt.{rng.choice(['hour', 'minute', 'dayofweek', 'day'])} {less} {rng.randint(0, 20)}",
        ]
        if self.exact:
            some = ", ".join(str(rng.randint(0, 8)) for _ in range(rng.randint(0, 4)))
            plain += [
                f"{self.tag()} {rng.choice(['in', 'not in', '==', '!='])} [{some}]",
                f"{self.tag()} {rng.choice(['==', '!=', '<=', '>'])} {rng.randint(0, 8)}",
                f"{self.tag()} {rng.choice(['in', '<', '=='])} {self.tag()}",
                f"{self.tag()}.isin([{some}])",
                f"{self.tag()} // 2 == {rng.randint(0, 3)}",
                f"{self.tag()} % {rng.randint(1, 3)} == 0",
            ]
        return rng.choice(plain)

    def filter(self):
        plain = [tag for tag in self.tags if tag.isidentifier()]
        if plain and self.rng.random() < 0.05:
            return f"{self.rng.choice(plain)} = {self.number()}"
        if self.rng.random() < 0.1:
            return [f"({self.condition(1)}) | {self.tag()} == {self.tag()}" for _ in range(self.rng.choice([15, 17]))]
        if self.rng.random() < 0.2:
            return [self.condition(1) for _ in range(self.rng.choice([1, 2, 3]))]
        return self.condition()


def wide_case(number, rng):
    resolution = rng.choice(WIDE_STEPS)
    step = pd.Timedelta(pd.tseries.frequencies.to_offset(resolution))
    start = pd.Timestamp("2025-01-01T00:00:00Z") + pd.Timedelta(minutes=rng.randrange(0, 90 * 1440, 10))
    if rng.random() < 0.4:
        start += pd.Timedelta(milliseconds=rng.randrange(1, 600_000))
    length = step * rng.choice([1, 2, 3, 5, 8, 13, 24])
    if rng.random() < 0.4:
        length += pd.Timedelta(milliseconds=rng.randrange(1, 2 * int(step.total_seconds() * 1000)))
    end = start + length
    method = rng.choice(["mean"] * 4 + WIDE_METHODS)
    whole = method in EXACT and rng.random() < 0.6
    infinite = rng.random() < 0.1
    raw = {}
    for name in rng.sample(WIDE_NAMES, rng.choice([1, 1, 2, 2, 3, 4])):
        density = rng.choice([0.4, 0.7, 1.5, 4.0])
        points = []
        now = start - step * rng.choice([0, 0, 1, 3, 12, 40]) - step * rng.random()
        while now <= end + step:
            if rng.random() > 0.1:
                now += step / density * rng.uniform(0.1, 2.0)
            now = now.floor(rng.choice(["1ms", "1us", resolution]))
            if rng.random() < 0.07:
                now += step * rng.randint(2, 8)
            value = float(rng.randint(0, 8)) if whole else round(rng.gauss(50, 20), rng.choice([0, 3, 9]))
            if rng.random() < 0.05:
                value = None
            elif infinite and rng.random() < 0.1:
                value = rng.choice([float("inf"), float("-inf")])
            points.append([max(now, pd.Timestamp(points[-1][0]) if points else now).isoformat(), value])
            if len(points) > 400:
                break
        if rng.random() < 0.1:
            points = [point for point in points if rng.random() < 0.3]
        raw[name] = [[time.replace("+00:00", "Z"), value] for time, value in points]
    config = {
        "train_start_date": start.isoformat(),
        "train_end_date": end.isoformat(),
        "tag_list": list(raw),
        "resolution": resolution,
    }
    if method != "mean":
        config["aggregation_methods"] = method
    if rng.random() < 0.7:
        config["interpolation_method"] = rng.choice(["ffill", "linear_interpolation"])
    if rng.random() < 0.7:
        config["interpolation_limit"] = rng.choice(
            [None] + [f"{int(step.total_seconds() * 1000 * times)}ms" for times in (1, 1.5, 2, 3, 6, 10)]
        )
        if config["interpolation_limit"] and rng.random() < 0.3:
            config["interpolation_limit"] = f"+{config['interpolation_limit']}{rng.choice(['', '+1H', ' + 30T'])}"
    elif step > pd.Timedelta("1D") or rng.random() < 0.2:
        config["interpolation_limit"] = rng.choice(["P14D", "14 days", "336H"])
    if len(raw) > 1 and rng.random() < 0.3:
        config["target_tag_list"] = rng.sample(list(raw), rng.randint(1, len(raw)))
    if len(raw) > 1 and rng.random() < 0.3:
        config["tag_list"] = config["tag_list"][:-1]
    if rng.random() < 0.6:
        labels = [str(start.floor("1D") + step * k) for k in range((start - start.floor("1D")) // step, 30)]
        labels = labels or [str(start), start.isoformat()]
        config["row_filter"] = FilterGrammar(rng, list(raw), labels, method in EXACT and whole).filter()
    return {
        "name": f"wide-{number:04d}",
        "raw": raw,
        "config": config,
        "look_back": rng.random() < 0.7,
        "end_closed": rng.random() < 0.2,
    }


def frame(df):
    df = df.tz_convert("UTC")
    return {
        "columns": [str(c) for c in df.columns],
        "index": [i.isoformat().replace("+00:00", "Z") for i in df.index],
        "data": [[None if v != v else v for v in map(float, row)] for row in df.to_numpy()],
    }


def answer(c):
    raw = {}
    for tag, points in c["raw"].items():
        index = pd.DatetimeIndex([pd.Timestamp(p[0]) for p in points], tz=None if points else "UTC")
        raw[tag] = pd.Series([p[1] for p in points], index=index, name=tag, dtype=float)
    try:
        X, y = run(raw, c["config"], end_closed=c["end_closed"], look_back=c["look_back"])
    except Exception as exc:
        return {"error": type(exc).__name__, "message": str(exc)}
    return {"X": frame(X), "y": frame(y)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--named", action="store_true")
    parser.add_argument("--random", type=int, default=0, metavar="N")
    parser.add_argument("--wide", type=int, default=0, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    rng = random.Random(args.seed)
    cases = list(named()) if args.named else []
    cases += [random_case(i, rng) for i in range(args.random)]
    cases += [wide_case(i, rng) for i in range(args.wide)]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    errors = 0
    with args.out.open("w", encoding="utf-8") as out:
        for c in cases:
            c["expected"] = answer(c)
            errors += "error" in c["expected"]
            out.write(json.dumps(c, ensure_ascii=False, separators=(",", ":")) + "\n")
    print(f"{len(cases)} cases, {errors} of them refused by gordo-core")


if __name__ == "__main__":
    main()
