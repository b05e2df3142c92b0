"""The time for what others send grows with its size, not with the square of it.

Each case is measured at a size and at four times that: linear work takes four times as long, quadratic work sixteen
times. CPU time of this thread, the best of all runs; a case is measured again only while it looks quadratic. What is
bounded, and at its largest done before it counts as a stall of the event loop, is fast enough whatever its curve: so
short a time depends on whose data the caches of a shared processor hold.
"""

import base64
import gc
import gzip
import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote
from zoneinfo import ZoneInfo

import msgpack
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from latigo.dataset import row_filter
from latigo.domain.errors import LatigoError
from latigo.domain.model import ModelRef
from latigo.domain.series import Column, Predictions
from latigo.providers.bad_readings import BadReadings
from latigo.providers.files.delimited import DelimitedFile
from latigo.providers.files.lines import RowForm, last_row_end, line_of_row, without_comments, without_damage
from latigo.providers.files.reading import InvalidFile, Layout
from latigo.providers.files.times import TimeParser
from latigo.providers.gordo import frames, responses
from latigo.providers.gordo.checks import _check_columns
from latigo.providers.gordo.metadata import model_spec
from latigo.providers.influx import errors as influx_errors
from latigo.providers.influx import line_protocol
from latigo.providers.influx.responses import UnreadableError, column_of, decode
from latigo.runtime.clock import SystemClock
from latigo.runtime.documents import MOST_VALUES, read_json
from latigo.runtime.http import retry_after
from latigo.runtime.off_loop import in_order
from latigo.runtime.redaction import excerpt, mask_text, masked_by
from latigo.settings import FileSensors, load_settings
from latigo.task_queue import envelope
from latigo.web.hosts import named_hosts

_FAST_S = 0.025
_MOST = 9.0  #: times as long at four times the size
_ROUNDS = 12
REF = ModelRef("plant-a", "pump-1")
REFUSED = (LatigoError, InvalidFile, UnreadableError, frames.UnreadableResponse)


class Case(NamedTuple):
    """Something that reads ``make(n)``."""

    name: str
    make: Callable[[int], Any]
    read: Callable[[Any], object]
    size: int = 100_000  #: of n at its largest


@pytest.fixture(autouse=True)
def _no_garbage_collection() -> Iterator[None]:
    """Collect no garbage within a measurement: its share depends on all objects of the process."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def seconds(case: Case, given: Any) -> float:
    begin = time.thread_time()
    with suppress(*REFUSED):
        case.read(given)
    return time.thread_time() - begin


def ensure_linear(case: Case) -> None:
    """Compare the best times of two sizes; measure again only while they look quadratic."""
    whole, quarter = case.make(case.size), case.make(case.size // 4)
    large = small = float("inf")
    for _ in range(_ROUNDS):
        large = min(large, seconds(case, whole))
        if large < _FAST_S:
            return
        small = min(small, seconds(case, quarter), seconds(case, quarter))
        if large < _MOST * small:
            return
    pytest.fail(f"{case.name}: four times the size takes {large / small:.0f} times as long")


# --- What Gordo sends ------------------------------------------------------------------------------------------------


def metadata(**dataset: Any) -> dict[str, Any]:
    return {"metadata": {"dataset": {"tag_list": ["a"], "resolution": "10T", **dataset}, "metadata": {}}}


def some_rows(n: int) -> row_filter.Table:
    return row_filter.Table(np.arange(n, dtype=np.int64) * 60_000_000_000, {"a": np.sin(np.arange(n))})


def read_metadata(document: dict[str, Any]) -> object:
    row_filter.parse.cache_clear()
    return model_spec(document, ref=REF, revision="1")


def tags(n: int) -> list[str]:
    return [f"tag-{number}" for number in range(n)]


def page(body: bytes | str, content_type: str = "text/html") -> responses.Response:
    content = body if isinstance(body, bytes) else body.encode()
    return responses.Response(500, content_type, "1", bytearray(content))


def parquet(n: int) -> bytes:
    columns = {str(("model-output", f"tag-{number}")): [1.0] for number in range(n)}
    table = pa.table({**columns, "time": pa.array([0], pa.timestamp("ns", "UTC"))})
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


FILTERS = {
    "quotes": lambda n: "'" * n,
    "two kinds of quotes": lambda n: "'\"" * (n // 2),
    "escaped quotes": lambda n: "'\\" * (n // 2),
    "escaped double quotes": lambda n: '"\\' * (n // 2),
    "backticks": lambda n: "`" * (n | 1),
    "names of ours": lambda n: " ".join(f"tag{number}_" for number in range(n // 8)),
    "white space in a time": lambda n: "index > 'a" + " " * n + "x'",
    "white space before an offset": lambda n: "index > 'a" + " " * n + "+01:0'",
    "words in a time": lambda n: "index > '" + "Jan " * (n // 4) + "'",
    "times": lambda n: " & ".join(["index > 'Jan 4, 2026 10:30 UTC'"] * (n // 40)),
    "methods": lambda n: " & ".join(["a.rolling(3).mean().gt(2)"] * (n // 40)),
    "parentheses": lambda n: "(" * n,
    "signs": lambda n: "-" * n + "1",
    "sum": lambda n: "+".join("a" * (n // 2)),
    "tags": lambda n: "+".join(f"`{number:x}`" for number in range(n // 12)) + " > 1",
    "refused tags": lambda n: "+".join(f"`{number:x}`" for number in range(n // 12)) + " > 'x'",
    "list": lambda n: "a in [" + ",".join("1" * (n // 4)) + "]",
    "powers": lambda n: "**".join("9" * (n // 4)),
    "comparisons": lambda n: "<".join("a" * (n // 4)),
    "attributes": lambda n: "a" + ".b" * (n // 2),
    "digits": lambda n: "1" * n + " > a",
    "line ends": lambda n: "\r" * n + "a",
}

GORDO = [
    *(
        Case(f"row filter, {name}", make, lambda text: read_metadata(metadata(row_filter=text)), 19_000)
        for name, make in FILTERS.items()
    ),
    *(
        Case(f"rows of {text}", some_rows, row_filter.parse(text).mask, 20_000)
        for text in (
            "a.rolling(5000).std() > a.rolling('9H').mean()",
            "a.rolling(500).median() > a.rank()",
            "a.cumsum() > a.interpolate()",
        )
    ),
    Case("row filter, a list", lambda n: metadata(row_filter=["a > 1"] * (n // 8)), read_metadata, 20_000),
    Case("tags", lambda n: metadata(tag_list=tags(n)), read_metadata),
    Case("accepted tags", lambda n: metadata(tag_list=tags(n)), read_metadata, 20_000),
    Case(
        "tags and a filter",
        lambda n: metadata(
            tag_list=tags(n), target_tag_list=tags(n), row_filter="+".join(tags(n // 20)).replace("-", "") + " > 1"
        ),
        read_metadata,
        20_000,
    ),
    Case("the same tag", lambda n: metadata(tag_list=["a"] * n), read_metadata, 20_000),
    Case(
        "definition",
        lambda n: {**metadata(), "x": 1} | {"metadata": metadata()["metadata"] | {"model": tags(n)}},
        read_metadata,
    ),
    Case("error page", lambda n: page("<p>" * (n // 3)), lambda given: given.text),
    Case("error page that ends late", lambda n: page("<p>" + "</p" * (n // 3)), lambda given: given.text),
    Case("white space in an error", lambda n: page("<p>" + " \n" * (n // 2) + "</p>"), lambda given: given.text),
    Case("JSON error", lambda n: page(orjson.dumps({"error": "a " * n}), "application/json"), lambda given: given.text),
    Case("nested JSON", lambda n: page("[" * n, "application/json"), lambda given: given.text),
    Case(
        "numbers of no JSON",
        lambda n: page('{"a": [' + "NaN," * n + "1]}", "application/json"),
        lambda given: given.text,
        10_000,  # so many bytes explain an error at most
    ),
    Case("array in pieces", lambda n: b"[" + b"1," * n + b"1]", read_json, MOST_VALUES - 10_000),
    Case(
        "objects in pieces", lambda n: orjson.dumps([dict.fromkeys(tags(40_000))] * (n // 40_000)), read_json, 320_000
    ),
    Case("arrays in pieces", lambda n: b"[" + b"[]," * n + b"1]", read_json, 110_000),
    Case("names in order", tags, in_order, 40_000),
    Case("digits", lambda n: page('{"a": NaN, "b": ' + "1" * n + "}", "application/json"), lambda given: given.text),
    Case("column names", lambda n: [str(("model-output", tag)) for tag in tags(n)], frames.wanted_columns, 20_000),
    Case("odd column names", lambda n: ["(" * 2_000] * (n // 20), frames.wanted_columns, 2_000),
    Case("other columns", lambda n: tuple(tags(n)), lambda given: _check_columns("X", given, given[1:]), 20_000),
    Case(
        "parquet",
        parquet,
        lambda body: frames.read_predictions(bytearray(body), model=REF, revision="1", max_rows=10, max_bytes=1 << 28),
        4_000,
    ),
]


# --- What InfluxDB sends ---------------------------------------------------------------------------------------------


def influx_error(body: bytes, content_type: str = "application/json") -> influx_errors.ErrorResponse:
    return influx_errors.ErrorResponse(
        status=400, content_type=content_type, body=body, downstream="sensors/influx", section="sensors"
    )


def series(rows: int, tables: int = 1) -> dict[str, Any]:
    table = {"name": "a", "tags": {"tag": "x"}, "columns": ["time", "Value"], "values": [[1, 2.5]] * rows}
    return {"results": [{"statement_id": 0, "series": [table] * tables}]}


def predictions(n: int) -> Predictions:
    columns = tuple(Column("model-output", tag) for tag in [*tags(n), "tag-0"])
    return Predictions(REF, "1", np.array([0]), columns, np.zeros((1, n + 1)))


INFLUX = [
    Case("readings", lambda n: orjson.dumps(series(n)), lambda body: decode("application/json", body)),
    Case("series", lambda n: orjson.dumps(series(1, n)), lambda body: decode("application/json", body), 20_000),
    Case("integers", lambda n: msgpack.packb(series(n)), lambda body: decode("application/x-msgpack", body)),
    Case(
        "packed series",
        lambda n: msgpack.packb(series(1, n)),
        lambda body: decode("application/x-msgpack", body),
        20_000,
    ),
    Case("packed arrays", lambda n: b"\x91" * n, lambda body: decode("application/x-msgpack", body)),
    Case("nested", lambda n: b"[" * n, lambda body: decode("application/json", body)),
    Case("minus zero", lambda n: b'{"a":[[1,-0],' + b"[" * n, lambda body: decode("application/json", body)),
    Case(
        "names",
        lambda n: decode(
            "application/json",
            orjson.dumps({"results": [{"series": [{"columns": ["value"], "values": [[tag] for tag in tags(n)]}]}]}),
        )[0],
        lambda result: column_of(result, "value"),
    ),
    Case("error", lambda n: influx_error(b"dropped=" * n, "text/plain"), influx_errors.refused_write),
    Case("long error", lambda n: influx_error(orjson.dumps({"error": " a" * n})), influx_errors.refused_read),
    Case("columns twice", predictions, line_protocol.encode, 20_000),
]


# --- Files, messages, headers, settings ------------------------------------------------------------------------------


def wide(n: int) -> bytes:
    cells = ",".join(["1"] * n)
    return (",".join(["time", *tags(n)]) + f"\n2024-01-01T00:00:00Z,{cells}\n").encode()


def read_csv(folder: Path) -> Callable[[bytes], object]:
    path = folder / "wide.csv"

    def read(content: bytes) -> object:
        path.write_bytes(content)
        file = DelimitedFile(path, Layout.of(FileSensors()), SystemClock(), BadReadings(SystemClock()))
        file.check(threading.Event())
        file.refresh(threading.Event())
        begin = int(datetime(2023, 12, 31, tzinfo=UTC).timestamp()) * 10**9
        spans = file.spans(begin, begin + 10 * 86_400 * 10**9)
        return [list(file.read(span, file.tags, begin, begin + 10 * 86_400 * 10**9)) for span in spans]

    return read


CSV = {
    "columns": (wide, 12_000),
    "the same column": (lambda n: ("time" + ",a" * n + "\n").encode(), 100_000),
    "empty columns": (lambda n: ("time" + "," * n + "\n").encode(), 100_000),
    "long header": (lambda n: b"time," + b"a" * n, 3_000_000),
    "quotes in the header": (lambda n: b'time,"' + b'""' * n, 200_000),
    "open quote": (lambda n: b'time,a\n2024-01-01T00:00:00Z,"' + b"x\n" * n, 30_000),
    "malformed rows": (lambda n: b"time,a\n" + b"2024-01-01T00:00:00Z,1,2\n" * n, 8_000),
    "preamble": (lambda n: b"Report\n" * n + b"time,a\n", 100_000),
    "open quotes in the preamble": (lambda n: b'a,"\n' * 99 + b'time,"' + b"x" * n + b'",a\n', 100_000),
    "units": (lambda n: b"time,a\n" + b"s,1\n" * n, 8_000),
    "comments": (lambda n: b"time,a\n" + b"# \n2024-01-01T00:00:00Z,1\n" * n, 8_000),
    "compressed": (lambda n: gzip.compress(b"time,a\n" + b"2024-01-01T00:00:00Z,1\n" * n), 20_000),
    "UTF-16": (lambda n: ("time,a\n" + "2024-01-01T00:00:00Z,1\n" * n).encode("utf-16"), 20_000),
    "odd times": (lambda n: b"time,a\n" + b"2024-01-01 00:00,1\n2024-01-01T00:00:00.5+00:00,1\n" * n, 8_000),
}


def message(n: int) -> bytes:
    return orjson.dumps({"v": 1, "id": 1, "epoch": 1, "project": "a" * n, "spec": {"tag_list": ["a"] * n}})


SECRETS = ["tok/en+with=odd&chars-0123456789", "hunter2", "pw42", "postgresql://me:s%40cret-word@host/db"]
TEXTS = {
    "letters": lambda n: "a" * n,
    "backslashes": lambda n: "\\" * n,
    "percent signs": lambda n: "%25" * (n // 3),
    "percent-encoded": lambda n: "%74" * (n // 3),
    "ampersands": lambda n: "&amp;" * (n // 5),
    "white space": lambda n: " " * n,
    "beginnings of a secret": lambda n: "tok/en+with=" * (n // 12),
    "secrets": lambda n: "hunter2 " * (n // 8),
    "split secrets": lambda n: "hun\nter2\\n" * (n // 10),
    "line ends": lambda n: "\r\n" * (n // 2),
    "escaped line ends": lambda n: "\\n" * (n // 2),
    "spaces before no line end": lambda n: " \t" * (n // 2) + "x\n",
    "escaped characters": lambda n: "\\u0068" * (n // 6),
    "entities": lambda n: "&#104;" * (n // 6),
    "encoded secrets": lambda n: quote("s@cret-word", safe="") * (n // 13),
    "base64": lambda n: base64.b64encode(b"hunter" * (n // 8)).decode(),
    "URLs": lambda n: "://a:" * (n // 5),
    "at signs": lambda n: "://a:" + "@" * n,
    "names": lambda n: "password" * (n // 8) + "=",
    "assignments": lambda n: "token=" * (n // 6),
    "schemes": lambda n: "bearer " * (n // 7),
    "headers": lambda n: "authorization: " * (n // 15),
    "open headers": lambda n: "authorization" + " " * n,
    "web tokens": lambda n: "eyJ" * (n // 3),
    "dotted web tokens": lambda n: "eyJaaaaaaaaaa." * (n // 14),
}

FORM = RowForm(",", 2, (0,), TimeParser(ZoneInfo("UTC")), b"#")
OTHERS = [
    *(Case(f"redaction, {name}", make, masked_by(SECRETS), 200_000) for name, make in TEXTS.items()),
    *(Case(f"masking, {name}", make, mask_text, 200_000) for name, make in TEXTS.items()),
    Case("excerpt", lambda n: "hunter2 " * n, lambda text: excerpt(text, 500), 1_000_000),
    Case("comments", lambda n: b'#,"\na,"b"\n' * n, lambda data: without_comments(data, FORM)),
    Case("open quotes after comments", lambda n: b'#\na,"\n' * n, lambda data: without_comments(data, FORM), 30_000),
    Case("last row", lambda n: b'a,"\n' * n + b'"', lambda data: last_row_end(data, FORM)),
    Case("a row's line", lambda n: b'a,"\n' * n, lambda data: line_of_row(data, FORM, 10**9), 30_000),
    Case("quotes that open again", lambda n: b'","y" ,"\n' * n, lambda data: without_damage(data, FORM), 20_000),
    Case("quotes in quotes", lambda n: b'a,"' + b'""' * n, lambda data: without_damage(data, FORM)),
    Case("quoted cells", lambda n: b'"a",' * n + b'"', lambda data: without_damage(data, FORM)),
    Case(
        "rows after an open quote", lambda n: b'a,"\n' + b"2026-03-01,x\n" * n, lambda data: without_damage(data, FORM)
    ),
    Case("message", message, envelope.decode, 60_000),
    Case("nested message", lambda n: b"[" * n, envelope.decode, 200_000),
    Case("Retry-After", lambda n: {"Retry-After": "Mon, " * n, "Date": "1 " * n}, retry_after, 8_000),
    Case("digits in Retry-After", lambda n: {"Retry-After": "9" * n}, retry_after, 8_000),
    Case("Host", lambda n: "a." * n, lambda text: named_hosts([text], f"http://{text}/"), 8_000),
]


def settings_cases(folder: Path) -> Iterator[Case]:
    path = folder / "latigo.toml"

    def read(text: str) -> object:
        path.write_text(text, encoding="utf-8")
        return load_settings(path, {})

    for name, make, size in (
        ("keys", lambda n: "[http]\n" + "".join(f"k{number} = 1\n" for number in range(n)), 20_000),
        ("sinks", lambda n: "[[predictions]]\n" * n, 4_000),
        ("named sinks", lambda n: "".join(f"[[predictions]]\nname = 's{number}'\n" for number in range(n)), 20_000),
        ("overrides", lambda n: "[[override]]\nmatch = 'a/*'\nhorizon = '9000d'\n" * n, 4_000),
        ("dots", lambda n: "x = '" + "a.b " * n + "'", 100_000),
        ("open quotes", lambda n: 'x = "\n' * n, 100_000),
        ("words", lambda n: "a" * n, 200_000),
        ("patterns", lambda n: f"[models]\ninclude = ['{'*a' * n}']", 20_000),
        ("projects", lambda n: f"[models]\nprojects = {tags(n)}", 20_000),
        ("hosts", lambda n: f"[http]\nallowed_hosts = ['{'a.' * n}']", 20_000),
    ):
        yield Case(name, make, read, size)
    yield Case(
        "variables",
        lambda n: {f"LATIGO_HTTP__K{number}": "1" for number in range(n)},
        lambda env: load_settings(None, env),
        900,
    )


@pytest.mark.parametrize("case", [*GORDO, *INFLUX, *OTHERS], ids=lambda case: case.name)
def test_time_grows_with_size(case: Case) -> None:
    ensure_linear(case)


@pytest.mark.parametrize("name", CSV)
def test_time_grows_with_size_of_a_csv_file(tmp_path: Path, name: str) -> None:
    make, size = CSV[name]
    ensure_linear(Case(name, make, read_csv(tmp_path), size))


def test_time_grows_with_size_of_settings(tmp_path: Path) -> None:
    for case in settings_cases(tmp_path):
        ensure_linear(case)


def test_quadratic_work_is_recognised() -> None:
    def quadratic(n: int) -> int:
        return sum(1 for first in range(n) for second in range(n) if first == second)

    with pytest.raises(pytest.fail.Exception, match="takes"):
        ensure_linear(Case("pairs", lambda n: n, quadratic, 1600))
