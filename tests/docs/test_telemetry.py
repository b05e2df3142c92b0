"""The vocabulary of metrics and events is complete, and keeps its rules."""

import ast
import re
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from latigo.domain.receipt import Stage
from latigo.telemetry.events import EVENTS
from latigo.telemetry.metrics import LABELS, Metrics
from tests.support.clock import ManualClock
from tests.support.sources import syntax

ROOT = Path(__file__).parents[2]
METHODS = {"debug", "info", "warning", "error", "exception", "critical"}


@cache
def calls() -> list[tuple[str, ast.Call]]:
    """Every call such as ``log.info("noun.past_participle", ...)`` with its event, also where one of two is chosen."""
    return [
        (text.value, call)
        for tree in syntax().values()
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and call.args and _logs(call.func)
        for text in _texts(call.args[0])
        if isinstance(text.value, str)
    ]


def logged() -> set[str]:
    return {event for event, _ in calls()}


def fields_of(description: str) -> set[str]:
    """The fields that a description names after its colon."""
    named = re.search(r": ([a-z_]+(?:, [a-z_]+)*?)(?:, and its traceback)?\.$", description)
    return set(named[1].split(", ")) if named else set()


def _logs(function: ast.expr) -> bool:
    """Methods of a logger, and a name that stands for one of them."""
    return (isinstance(function, ast.Attribute) and function.attr in METHODS) or (
        isinstance(function, ast.Name) and function.id == "log"
    )


def _texts(argument: ast.expr) -> list[ast.Constant]:
    chosen = [argument.body, argument.orelse] if isinstance(argument, ast.IfExp) else [argument]
    return [each for each in chosen if isinstance(each, ast.Constant)]


def metrics() -> list[MetricWrapperBase]:
    return [
        each
        for each in vars(Metrics(CollectorRegistry(), ManualClock())).values()
        if isinstance(each, MetricWrapperBase)
    ]


def test_every_event_that_is_logged_is_described_in_telemetry_and_no_other() -> None:
    assert sorted(logged() - set(EVENTS)) == []
    assert sorted(set(EVENTS) - logged()) == []


def test_the_fields_of_an_event_are_those_of_its_description() -> None:
    logged_fields: dict[str, set[str]] = {event: set() for event in EVENTS}
    open_ended = set()
    for event, call in calls():
        if event in EVENTS:
            logged_fields[event] |= {keyword.arg for keyword in call.keywords if keyword.arg}
            open_ended |= {event for keyword in call.keywords if keyword.arg is None}  # ``**fields``

    for event, fields in logged_fields.items():
        described = fields_of(EVENTS[event])
        assert fields - {"exc_info"} <= described, event
        assert event in open_ended or described <= fields, event


def test_a_description_names_its_fields_at_its_end() -> None:
    assert fields_of("A call failed: attempt, error, wait_s.") == {"attempt", "error", "wait_s"}
    assert fields_of("Settling a task met a bug: task, and its traceback.") == {"task"}
    assert fields_of("The task crashed; with its traceback.") == set()


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
    clock = ManualClock()
    kept = Metrics(registry, clock)

    def fail_after_3_seconds() -> None:
        clock.jump(timedelta(seconds=3))
        _ = 1 / 0

    spent: dict[Stage, float] = {}
    with kept.stage("read", spent):
        clock.jump(timedelta(seconds=2))
    with pytest.raises(ZeroDivisionError), kept.stage("read", spent):
        fail_after_3_seconds()

    assert registry.get_sample_value("latigo_stage_seconds_count", {"stage": "read"}) == 2
    assert registry.get_sample_value("latigo_stage_seconds_sum", {"stage": "read"}) == 5
    assert spent == {"read": 5}


def test_a_round_of_planning_is_timed_by_the_clock() -> None:
    registry, clock = CollectorRegistry(), ManualClock()

    with Metrics(registry, clock).planning():
        clock.jump(timedelta(seconds=4))

    assert registry.get_sample_value("latigo_planning_seconds_sum") == 4


def test_alert_rules_ask_for_metrics_by_labels_that_they_have() -> None:
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text(encoding="utf-8"))
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    labels = {metric._name: set(metric._labelnames) for metric in metrics()}

    asked = [
        (name.removesuffix("_total"), set(re.findall(r"(\w+)[!=~]*=", selector)))
        for alert in alerts
        for name, selector in re.findall(r"(latigo_\w+)(\{[^}]*\})?", alert["expr"])
    ]

    assert asked
    assert [(name, used) for name, used in asked if not used <= labels[name]] == []
    assert all(alert["annotations"]["summary"] for alert in alerts)
