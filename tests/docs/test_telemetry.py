"""The vocabulary of metrics and events is complete, and keeps its rules."""

import ast
import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from latigo.telemetry.events import EVENTS
from latigo.telemetry.metrics import LABELS, Metrics

SOURCE = Path(__file__).parents[2] / "src" / "latigo"
METHODS = {"debug", "info", "warning", "error", "exception", "critical"}


def logged() -> set[str]:
    """The first argument of every call such as ``log.info("noun.past_verb", ...)``, also where one of two is chosen."""
    return {
        text.value
        for file in SOURCE.rglob("*.py")
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and call.args and _logs(call.func)
        for text in _texts(call.args[0])
        if isinstance(text.value, str)
    }


def _logs(function: ast.expr) -> bool:
    """Methods of a logger, and names that stand for one of them."""
    return (isinstance(function, ast.Attribute) and function.attr in METHODS) or (
        isinstance(function, ast.Name) and function.id in {"log", "told"}
    )


def _texts(argument: ast.expr) -> list[ast.Constant]:
    chosen = [argument.body, argument.orelse] if isinstance(argument, ast.IfExp) else [argument]
    return [each for each in chosen if isinstance(each, ast.Constant)]


def metrics() -> list[MetricWrapperBase]:
    return [each for each in vars(Metrics(CollectorRegistry())).values() if isinstance(each, MetricWrapperBase)]


def test_every_event_that_is_logged_is_described_in_telemetry_and_no_other() -> None:
    assert sorted(logged() - set(EVENTS)) == []
    assert sorted(set(EVENTS) - logged()) == []


def test_events_are_a_noun_and_what_happened_to_it() -> None:
    for event in EVENTS:
        assert re.fullmatch(r"[a-z_]+\.[a-z_]+", event)


def test_metrics_are_named_and_labelled_by_rule() -> None:
    assert metrics()
    for metric in metrics():
        (family,) = metric.describe()
        assert re.fullmatch(r"latigo(_[a-z]+)+", family.name)
        assert set(metric._labelnames) <= LABELS
        assert family.documentation.endswith(".")


def test_a_stage_is_timed_even_when_it_fails() -> None:
    registry = CollectorRegistry()
    kept = Metrics(registry)

    with kept.stage("read"):
        pass
    with pytest.raises(ZeroDivisionError), kept.stage("read"):
        _ = 1 / 0

    assert registry.get_sample_value("latigo_stage_seconds_count", {"stage": "read"}) == 2
