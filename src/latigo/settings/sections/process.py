"""One process: ``[executor]``, ``[circuit]``, ``[http]`` and ``[log]``."""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from latigo.settings.sections.base import Section
from latigo.settings.values import (
    BasePath,
    Duration,
    HostNames,
    Origins,
    Positive,
    Secret,
    Text,
    TimeZoneName,
    UrlTemplate,
)


class ExecutorSettings(Section):
    """``[executor]``."""

    concurrency: int = Field(
        default=32, ge=1, le=1024, description="Most tasks at once; the working limit adapts to the model server."
    )
    grace: Duration = Field(
        default=timedelta(seconds=25), description="Time to finish or hand back the tasks in flight after SIGTERM."
    )
    lease: Positive = Field(default=timedelta(seconds=30), description="How long a claim on a task lasts.")
    renew: Positive = Field(default=timedelta(seconds=10), description="How often a claim is renewed.")
    hard_limit: Positive = Field(
        default=timedelta(minutes=15),
        description="Longest time of work on a task, not counting waits for its turn; a call cut by it counts as"
        " unanswered.",
    )
    max_attempts: int = Field(default=5, ge=1, le=100, description="Failed attempts before a task is parked.")
    backoff_first: Positive = Field(default=timedelta(seconds=30), description="Wait after the first failed attempt.")
    backoff_longest: Positive = Field(
        default=timedelta(hours=1), description="The wait doubles with every attempt, up to this."
    )


class CircuitSettings(Section):
    """``[circuit]``."""

    failures: int = Field(default=5, ge=1, description="Failures in a row that open a circuit.")
    share: float = Field(default=0.5, gt=0, le=1, description="Share of failures among the last calls that opens it.")
    last: int = Field(default=20, ge=1, le=1000, description="How many last calls the share is taken of.")
    probe_first: Positive = Field(default=timedelta(seconds=15), description="Wait before the first probe.")
    probe_longest: Positive = Field(
        default=timedelta(minutes=2), description="The wait doubles with every failed probe, up to this."
    )


class HttpSettings(Section):
    """``[http]``."""

    enabled: bool = Field(default=True, description="Whether to listen at all.")
    host: Text = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 for every one.")
    port: int = Field(default=8080, ge=0, le=65535, description="Port to listen on; 0 lets the system choose.")
    allowed_hosts: HostNames | None = Field(
        default=None,
        description="Names by which clients may address this server, without port; * for any. By default loopback"
        " names where host is one, else any. Probes and metrics answer to any name.",
        examples=[["latigo.example.com"]],
    )
    base_path: BasePath = Field(
        default="",
        description="Path in front of every address, where a reverse proxy serves Latigo below one. Requests with and"
        " without it are answered, so that the proxy may leave it or take it off.",
        examples=["/latigo"],
    )
    time_zone: TimeZoneName | None = Field(
        default=None,
        description="Time zone of the plant, which the pages offer beside UTC and the browser's own.",
        examples=["Europe/Oslo"],
    )
    frame_ancestors: Origins = Field(
        default=(),
        description="Origins whose pages may show Latigo's in a frame, such as a Grafana; by default none.",
        examples=[["https://grafana.example.com"]],
    )
    grafana_url: UrlTemplate | None = Field(
        default=None,
        description="Address of the board of one model, to which the pages link. {project}, {model}, {from} and {to}"
        " are filled in; the last two are milliseconds since 1970.",
        examples=["https://grafana.example.com/d/latigo-model?var-model={model}&from={from}&to={to}"],
    )
    token: Secret | None = Field(
        default=None,
        description="Deprecated: nothing reads it. It is accepted, with a warning.",
        examples=["a-bearer-token"],
        json_schema_extra={"deprecated": "nothing reads it, so leave it out"},
    )


class LogSettings(Section):
    """``[log]``."""

    format: Literal["auto", "console", "json"] = Field(
        default="auto", description="auto is console on a terminal, json elsewhere."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The lowest level that is logged."
    )
