"""The dashboards and data sources in ``deploy/grafana``, and their queries as Grafana sends them."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import yaml

from tests.support.process import ROOT

GRAFANA = ROOT / "deploy" / "grafana"
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
MIXED = "-- Mixed --"  #: Grafana's own: each query of the panel has its data source
#: What Grafana puts a backslash before, in the format ``regex``.
_SPECIAL = re.compile(r"[\\^$*+?.()|\[\]{}/]")
_VARIABLE = re.compile(r"\$\{(\w+):regex\}")

Values = Mapping[str, str | Sequence[str]]
"""Of variables: a text, or several where more than one is chosen."""


class Query(NamedTuple):
    """One query of a panel, or that of a variable."""

    of: str  #: title of the panel and letter of the query, or name of the variable
    source: str  #: uid of the data source
    text: str


def dashboard() -> dict[str, Any]:
    """The only one there is."""
    (file,) = DASHBOARDS
    document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return document


def sources() -> dict[str, dict[str, Any]]:
    """Data sources that are provisioned, by uid."""
    file = GRAFANA / "provisioning" / "datasources" / "latigo.yaml"
    return {each["uid"]: each for each in yaml.safe_load(file.read_text(encoding="utf-8"))["datasources"]}


def queries(board: Mapping[str, Any]) -> Iterator[Query]:
    """The queries of a dashboard."""
    for each in board["templating"]["list"]:
        yield Query(each["name"], each["datasource"]["uid"], each["query"])
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield Query(f"{panel['title']} {target['refId']}", target["datasource"]["uid"], target["query"])


def filled_in(query: str, values: Values, since: datetime, until: datetime, interval: timedelta) -> str:
    """A query as the server gets it."""
    text = _VARIABLE.sub(lambda match: regex(values[match[1]]), query)
    text = text.replace("$timeFilter", f"time >= {_ms(since)}ms and time <= {_ms(until)}ms")
    return text.replace("$__interval", f"{interval.total_seconds():.0f}s")


def regex(value: str | Sequence[str]) -> str:
    """Of the values of a variable, in the format ``regex``."""
    if isinstance(value, str):
        return _SPECIAL.sub(r"\\\g<0>", value)
    escaped = [regex(each) for each in value]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def _ms(time: datetime) -> int:
    return int(time.timestamp() * 1000)
