"""Metrics as exposed to Prometheus."""

from prometheus_client import Counter

from latigo.runtime.metrics import exposition, new_registry


def test_a_registry_exposes_its_own_metrics_and_those_of_the_process() -> None:
    registry = new_registry()
    Counter("pumps_started_total", "Pumps.", registry=registry).inc(3)

    text, content_type = exposition(registry)

    assert content_type.startswith("text/plain; version=")
    assert b"\npumps_started_total 3.0\n" in text
    assert b"\nprocess_cpu_seconds_total " in text
    assert b"_created" not in text


def test_registries_do_not_share_metrics() -> None:
    for _ in range(2):
        Counter("pumps_started_total", "Pumps.", registry=new_registry())

    assert b"pumps" not in exposition(new_registry())[0]


def test_who_accepts_openmetrics_gets_it() -> None:
    text, content_type = exposition(new_registry(), "application/openmetrics-text; version=1.0.0")

    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")
