"""One process: ``[executor]``, ``[circuit]``, ``[http]`` and ``[log]``."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from latigo.settings.sections.base import Section
from latigo.settings.values import (
    BasePath,
    Duration,
    HeaderSecret,
    HostNames,
    Origins,
    Positive,
    Text,
    TimeZoneName,
    TokenName,
    UrlTemplate,
)

#: The name of the token that ``http.token`` is.
DEFAULT_TOKEN = "default"  # noqa: S105 - a name


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


class HttpToken(Section):
    """One entry of ``http.tokens``."""

    token: HeaderSecret = Field(description="The bearer token; its file may be named by file as well.")
    may: Literal["read", "act"] = Field(default="read", description="Whether who has it may act, or read only.")

    @model_validator(mode="before")
    @classmethod
    def _file_of_the_token(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and "file" in given and "token_file" not in given:
            return {("token_file" if key == "file" else key): value for key, value in given.items()}
        return given


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
        description="Path below which a reverse proxy serves Latigo, where it passes that on; empty for none.",
        examples=["/latigo"],
    )
    time_zone: TimeZoneName | None = Field(
        default=None,
        description="Time zone of the plant, which the pages offer with UTC and the browser's own.",
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
    tokens: Annotated[dict[TokenName, HttpToken], Field(max_length=1000)] = Field(
        default={},
        description="Bearer tokens by the name of who has them, which actions are recorded under: each a file, and"
        " whether it may read or act. Acting needs one.",
        json_schema_extra={"example": '{ op1 = { file = "/etc/latigo/op1.token", may = "act" } }'},
    )
    require_token_to_read: bool = Field(default=False, description="Whether reading needs a token as well.")
    token: HeaderSecret | None = Field(
        default=None,
        description="Deprecated: the token named default in http.tokens, which may act.",
        examples=["a-bearer-token"],
        json_schema_extra={"deprecated": "it is the token default of http.tokens, so name it there"},
    )

    @model_validator(mode="after")
    def _every_token_once(self) -> Self:
        if self.token is not None and DEFAULT_TOKEN in self.tokens:
            raise ValueError("http.token: is set, and so is http.tokens.default: keep the latter")
        names: dict[str, str] = {}
        for name, each in self.all_tokens.items():
            other = names.setdefault(each.token.get_secret_value(), name)
            if other != name:
                raise ValueError(f"http.tokens: {other} and {name} have the same token, so actions would be of either")
        if self.require_token_to_read and not names:
            raise ValueError("http.require_token_to_read: needs http.tokens, without which nothing could be read")
        return self

    @property
    def all_tokens(self) -> Mapping[str, HttpToken]:
        """Return the tokens by name, the deprecated one among them."""
        if self.token is None:
            return self.tokens
        return {DEFAULT_TOKEN: HttpToken(token=self.token, may="act"), **self.tokens}


class LogSettings(Section):
    """``[log]``."""

    format: Literal["auto", "console", "json"] = Field(
        default="auto", description="auto is console on a terminal, json elsewhere."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The lowest level that is logged."
    )
