"""Metrics of several processes as one exposition."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from latigo.runtime.merged_metrics import as_text, encoded, merge


def a_process(
    tasks: dict[str, int], *, in_flight: float = 0.0, lag: float = 0.0, seconds: tuple[float, ...] = ()
) -> str:
    registry = CollectorRegistry()
    counter = Counter("latigo_tasks_total", "Tasks.", ("lane",), registry=registry)
    for lane, count in tasks.items():
        counter.labels(lane).inc(count)
    Gauge("latigo_in_flight_tasks", "Now.", registry=registry).set(in_flight)
    Gauge("latigo_loop_lag_seconds", "Lag.", registry=registry).set(lag)
    histogram = Histogram("latigo_task_seconds", "Time.", buckets=(1.0, 5.0), registry=registry)
    for each in seconds:
        histogram.observe(each)
    return generate_latest(registry).decode()


def values(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_figures_are_added_up_by_their_labels_and_of_the_lag_the_largest_counts():
    one = a_process({"live": 3, "backfill": 1}, in_flight=2, lag=0.5, seconds=(0.5, 3.0))
    other = a_process({"live": 4}, in_flight=5, lag=0.2, seconds=(9.0,))

    merged = values(as_text(merge([one, other])))

    assert merged["latigo_tasks_total", (("lane", "live"),)] == 7
    assert merged["latigo_tasks_total", (("lane", "backfill"),)] == 1
    assert merged["latigo_in_flight_tasks", ()] == 7
    assert merged["latigo_loop_lag_seconds", ()] == 0.5
    assert [merged["latigo_task_seconds_bucket", (("le", le),)] for le in ("1.0", "5.0", "+Inf")] == [1, 2, 3]
    assert merged["latigo_task_seconds_sum", ()] == 12.5


def test_one_exposition_stays_as_it_is():
    text = a_process({"live": 3}, in_flight=2, lag=0.5, seconds=(0.5,))

    assert values(as_text(merge([text]))) == values(text)


def test_of_a_process_that_has_ended_what_it_counted_remains():
    ended = a_process({"live": 3}, in_flight=2, lag=0.5, seconds=(0.5,))
    remains = as_text(merge([ended], only_rising=True))

    merged = values(as_text(merge([a_process({"live": 1}, in_flight=1), remains])))

    assert merged["latigo_tasks_total", (("lane", "live"),)] == 4
    assert merged["latigo_task_seconds_count", ()] == 1
    assert merged["latigo_in_flight_tasks", ()] == 1


def test_open_metrics_are_spoken_to_those_who_accept_them():
    body, content_type = encoded(merge([a_process({"live": 3})]), "application/openmetrics-text; version=1.0.0")

    assert content_type.startswith("application/openmetrics-text")
    assert body.rstrip().endswith(b"# EOF")


def test_what_is_no_exposition_is_refused():
    with pytest.raises(ValueError, match="could not convert"):
        merge(["latigo_tasks_total{"])
