"""Valid and invalid configurations, and their errors."""

import json
import re
import traceback
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from latigo.domain.errors import ConfigurationError
from latigo.domain.model import ModelRef
from latigo.runtime.redaction import MASK
from latigo.settings import (
    EmbeddedLedger,
    FileSensors,
    PluginSensors,
    PostgresLedger,
    PostgresSink,
    Settings,
    SimulatedSensors,
    load_settings,
    overrides_for,
)
from latigo.settings.reference import to_toml

MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a folder without a ``latigo.toml``."""
    monkeypatch.chdir(tmp_path)


def load(toml: str = "", **environ: str) -> Settings:
    file = Path("given.toml")
    file.write_text(toml)
    return load_settings(file, environ)


def refusal(toml: str = "", **environ: str) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        load(toml, **environ)
    return [line.strip() for line in str(refused.value).splitlines()[1:]]


# --- where values come from ------------------------------------------------------------------------------------------


def test_without_file_and_environment_the_defaults_of_the_design_hold() -> None:
    settings = load_settings(None, {})

    assert settings == Settings()
    assert (settings.schedule.interval, settings.schedule.delay) == (30 * MINUTE, 5 * MINUTE)
    assert settings.schedule.max_window == timedelta(days=1)
    assert (settings.backfill.horizon, settings.backfill.max_catch_up) == (timedelta(days=7), timedelta(days=30))
    assert settings.backfill.min_share == 0.05
    assert (settings.executor.lease, settings.executor.renew) == (timedelta(seconds=30), timedelta(seconds=10))
    assert (settings.executor.hard_limit, settings.executor.max_attempts) == (15 * MINUTE, 5)
    assert (settings.executor.backoff_first, settings.executor.backoff_longest) == (MINUTE / 2, 60 * MINUTE)
    assert (settings.circuit.failures, settings.circuit.share, settings.circuit.last) == (5, 0.5, 20)
    assert (settings.circuit.probe_first, settings.circuit.probe_longest) == (MINUTE / 4, 2 * MINUTE)
    assert (settings.planner.lease, settings.planner.renew) == (timedelta(seconds=15), timedelta(seconds=5))
    assert (settings.models.connect_timeout, settings.models.predict_timeout) == (timedelta(seconds=5), 5 * MINUTE)
    assert isinstance(settings.sensors, FileSensors)
    assert (settings.sensors.read_timeout, settings.sensors.read_budget) == (MINUTE, 128_000_000)
    (sink,) = settings.predictions
    assert isinstance(sink, PostgresSink)
    assert (sink.required, sink.write_timeout) == (True, MINUTE)
    assert (settings.http.host, settings.http.port, settings.http.token) == ("127.0.0.1", 8080, None)


def test_the_environment_is_stronger_than_the_file_key_by_key() -> None:
    settings = load('[schedule]\ninterval = "1h"\ndelay = "10m"', LATIGO_SCHEDULE__DELAY="20m")

    assert (settings.schedule.interval, settings.schedule.delay) == (60 * MINUTE, 20 * MINUTE)


def test_the_file_is_the_one_on_the_command_line_else_the_one_in_the_environment_else_the_one_here() -> None:
    for name, port in (("latigo.toml", 1), ("named.toml", 2), ("given.toml", 3)):
        Path(name).write_text(f"[http]\nport = {port}")

    assert load_settings(None, {}).http.port == 1
    assert load_settings(None, {"LATIGO_CONFIG": "named.toml"}).http.port == 2
    assert load_settings(Path("given.toml"), {"LATIGO_CONFIG": "named.toml"}).http.port == 3


def test_a_file_that_was_asked_for_has_to_be_there() -> None:
    with pytest.raises(ConfigurationError, match=r"missing\.toml cannot be read"):
        load_settings(None, {"LATIGO_CONFIG": "missing.toml"})


def test_a_file_that_is_not_toml_is_refused_with_the_line() -> None:
    Path("broken.toml").write_text("[http]\nport = = 80")

    with pytest.raises(ConfigurationError, match=r"broken\.toml is not TOML: .*line 2"):
        load_settings(Path("broken.toml"), {})


def test_lists_and_tables_can_come_from_the_environment() -> None:
    settings = load(
        LATIGO_MODELS__PROJECTS="plant-a, plant-b",
        LATIGO_MODELS__EXCLUDE='["plant-a/x*"]',
        LATIGO_MODELS__HEADERS__AUTHORIZATION="Basic abc",
        LATIGO_OVERRIDE='[{"match": "plant-a/*", "enabled": false}]',
        LATIGO_CIRCUIT='{"failures": 7}',
        LATIGO_CIRCUIT__LAST="30",
    )

    assert settings.models.projects == ("plant-a", "plant-b")
    assert settings.models.exclude == ("plant-a/x*",)
    assert settings.models.headers["authorization"].get_secret_value() == "Basic abc"
    assert settings.override[0].enabled is False
    assert (settings.circuit.failures, settings.circuit.last) == (7, 30)


def test_the_constructor_does_not_read_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATIGO_HTTP__PORT", "1")

    assert Settings().http.port == 8080


def test_the_embedded_ledger_lives_in_the_users_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    usual, moved, reported = (
        load(),
        load(XDG_DATA_HOME="/data"),
        load('[ledger]\ndata_dir = "/x"', XDG_DATA_HOME="/data"),
    )

    folders = [
        settings.ledger.data_dir for settings in (usual, moved, reported) if isinstance(settings.ledger, EmbeddedLedger)
    ]
    assert folders == [Path.home() / ".local/share/latigo/ledger", Path("/data/latigo/ledger"), Path("/x")]


def test_the_data_folder_of_the_user_is_nothing_to_another_kind_of_ledger() -> None:
    settings = load(XDG_DATA_HOME="/data", LATIGO_LEDGER__KIND="postgres", LATIGO_LEDGER__URL="postgresql://h/d")

    assert isinstance(settings.ledger, PostgresLedger)


def test_kinds_choose_the_keys() -> None:
    assert isinstance(load().sensors, FileSensors)
    assert load('[sensors]\nkind = "simulated"\nseed = 3').sensors == SimulatedSensors(seed=3)

    plugin = load('[sensors]\nkind = "python:plant.source:open"\noptions = { region = "north" }').sensors
    assert isinstance(plugin, PluginSensors)
    assert plugin.options == {"region": "north"}


def test_sizes_are_written_with_units() -> None:
    assert load('[sensors]\nread_budget = "64MiB"').read_budget == 64 * 2**20


# --- several sources -------------------------------------------------------------------------------------------------


TWO_SOURCES = """
[[sensors]]
kind = "influx"
tags = ["GRA-*", "1903.?T*"]

[[sensors]]
kind = "timeseries_api"
name = "omnia"
"""


def test_several_sources_are_several_tables() -> None:
    settings = load(TWO_SOURCES)

    assert [(source.source_name, source.tags) for source in settings.sources] == [
        ("influx", ("GRA-*", "1903.?T*")),
        ("omnia", ()),
    ]
    assert settings.read_budget == 128_000_000


def test_one_source_is_one_table_with_the_same_keys_as_before() -> None:
    settings = load('[sensors]\nkind = "influx"', LATIGO_SENSORS__DATABASE="plant")

    (source,) = settings.sources
    assert (source, source.source_name) == (settings.sensors, "influx")
    assert settings.masked()["sensors"]["database"] == "plant"


def test_a_list_of_one_source_is_that_source() -> None:
    assert load('[[sensors]]\nkind = "simulated"').sources == load('[sensors]\nkind = "simulated"').sources


def test_what_is_shown_of_several_sources_is_a_configuration_again() -> None:
    settings = load(TWO_SOURCES)

    assert load(to_toml(settings.masked())) == settings


def test_the_environment_replaces_all_sources_or_sets_a_key_of_the_only_one() -> None:
    replaced = load(TWO_SOURCES, LATIGO_SENSORS='[{"kind": "files", "tags": "A*"}, {"kind": "simulated"}]')

    assert [(source.kind, source.tags) for source in replaced.sources] == [("files", ("A*",)), ("simulated", ())]
    with pytest.raises(ConfigurationError, match=r"sensors: the file has a list of tables, \[\[sensors\]\], .*as JSON"):
        load(TWO_SOURCES, LATIGO_SENSORS__URL="http://elsewhere")


SENSOR_KINDS = ["files", "influx", "timeseries_api", "simulated", "python:package.module:factory"]


def _sources(*tables: str) -> str:
    return "".join(f"[[sensors]]\n{table}\n" for table in tables)


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        ("sensors = []", "sensors: needs at least one source"),
        ("sensors = 3", "sensors: should be a table"),
        ("sensors = [3]", "sensors[0]: should be a table"),
        (
            _sources('kind = "influx"', 'kind = "files"'),
            "sensors[0].tags: is missing: only the last source takes the tags that no pattern matches",
        ),
        (
            _sources('kind = "files"\ntags = "A*"', 'kind = "files"'),
            'sensors[1].name: "files" is the name of another source already',
        ),
        (
            _sources('kind = "files"\ntags = "A*"', 'kind = "influx"\nread_budget = "64MB"'),
            "sensors[1].read_budget: should be that of the first source (128MB): all sources share it",
        ),
        (
            _sources('kind = "files"\ntags = "A*"', 'kind = "inflx"'),
            f'sensors[1].kind: unknown kind; did you mean "influx"? known: {", ".join(SENSOR_KINDS)}',
        ),
        (
            _sources('kind = "influx"\ntgas = "A*"', 'kind = "files"'),
            "sensors[0].tgas: unknown key; the nearest known one is sensors[0].tags",
        ),
        (_sources('kind = "files"\nurl = "x"'), 'sensors[0].url: unknown key; it belongs to kind = "influx"'),
    ],
)
def test_what_is_wrong_with_one_of_several_sources_is_said_of_that_one(toml: str, problem: str) -> None:
    assert refusal(toml) == [problem]


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("[executr]\nconcurrency = 1", "executr: unknown key; the nearest known one is executor"),
        ("concurrency = 1", "concurrency: unknown key; the nearest known one is executor.concurrency"),
        (
            "[executor]\nconcurency = 1",
            "executor.concurency: unknown key; the nearest known one is executor.concurrency",
        ),
        ("[models]\ntokn = 'x'", "models.tokn: unknown key; the nearest known one is models.token"),
        ("[models]\ntoken_fil = 'x'", "models.token_fil: unknown key; the nearest known one is models.token_file"),
        ("[schedule]\nhorizon = '1d'", "schedule.horizon: unknown key; the nearest known one is backfill.horizon"),
        ("[ledger]\ndatadir = 'x'", "ledger.datadir: unknown key; the nearest known one is ledger.data_dir"),
        ("[ledger]\nurl = 'x'", 'ledger.url: unknown key; it belongs to kind = "postgres"'),
        (
            "[[predictions]]\n[[predictions]]\nname = 'two'\nretension = '1d'",
            "predictions[1].retension: unknown key; the nearest known one is predictions[1].retention",
        ),
        (
            "[[override]]\nmatch = 'a/*'\nintervall = '1h'\nenabled = true",
            "override[0].intervall: unknown key; the nearest known one is override[0].interval",
        ),
    ],
)
def test_an_unknown_key_is_refused_by_its_full_name_with_the_nearest_known_one(toml: str, says: str) -> None:
    assert refusal(toml) == [says]


@pytest.mark.parametrize(
    ("variable", "says"),
    [
        ("LATIGO_EXECUTR__CONCURRENCY", "executr: unknown key; the nearest known one is executor"),
        (
            "LATIGO_EXECUTOR__CONCURENCY",
            "executor.concurency: unknown key; the nearest known one is executor.concurrency",
        ),
        ("LATIGO_LOGS", "logs: unknown key; the nearest known one is log"),
        ("LATIGO_SENSORS__PAHT", "sensors.paht: unknown key; the nearest known one is sensors.path"),
    ],
)
def test_an_unknown_variable_is_refused_and_named_as_it_was_written(variable: str, says: str) -> None:
    assert refusal(**{variable: "1"}) == [f"{says} (from {variable})"]


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("LATIGO_EXECUTOR", '{"concurrency": 0}', "executor.concurrency: should be"),
        ("LATIGO_PREDICTIONS", '[{"kind": "postgres", "retention": "soon"}]', "predictions[0].retention: 'soon'"),
        ("LATIGO_HTTP__TOKEN_FILE", "/nowhere/token", "http.token: /nowhere/token cannot be read"),
    ],
)
def test_a_wrong_value_is_reported_with_the_variable_that_holds_it(variable: str, value: str, says: str) -> None:
    (problem,) = refusal(**{variable: value})

    assert problem.startswith(says)
    assert problem.endswith(f" (from {variable})")


def test_variables_of_other_programs_do_not_matter() -> None:
    assert load(PATH="/bin", LATIGOS__PORT="1", MY_LATIGO_PORT="1") == load()


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        (
            "[task_queue]\nkind = 'kafka'\ntopic = 't'",
            "task_queue.kind: unknown kind; known: internal, postgres, eventhub",
        ),
        (
            "[sensors]\nkind = 'simulate'\nseeds = 1",
            (
                'sensors.kind: unknown kind; did you mean "simulated"? '
                "known: files, influx, timeseries_api, simulated, python:package.module:factory"
            ),
        ),
        ("[sensors]\nkind = 'python:plant'", 'sensors.kind: should be written "python:package.module:factory"'),
        ("[ledger]\nkind = 3", "ledger.kind: unknown kind; known: embedded, postgres"),
        (
            "[[predictions]]\nkind = 'null'",
            "predictions[0].kind: unknown kind; known: postgres, influx, timeseries_api, python:package.module:factory",
        ),
    ],
)
def test_an_unknown_kind_is_refused_with_the_known_ones_and_its_keys_are_not_checked(toml: str, says: str) -> None:
    assert refusal(toml) == [says]


@pytest.mark.parametrize(
    ("toml", "key"),
    [
        ('[schedule]\ninterval = "30 minutes"', "schedule.interval"),
        ("[schedule]\ninterval = 30", "schedule.interval"),
        ('[schedule]\ninterval = "0"', "schedule.interval"),
        ('[schedule]\ninterval = "2d"', "schedule.interval"),
        ('[schedule]\nmax_window = "99999999999999d"', "schedule.max_window"),
        ("[backfill]\nmin_share = 1.5", "backfill.min_share"),
        ('[ledger]\nkind = "postgres"', "ledger.url"),
        ('[ledger]\nkind = "postgres"\nurl = "mysql://h/d"', "ledger.url"),
        ('[models]\nurl = "localhost:5555"', "models.url"),
        ('[models]\nurl = "http://h:port"', "models.url"),
        ('[models]\nurl = "http://user:pass@h"', "models.url"),
        ('[models]\nurl = ["http://a", "ftp://b"]', "models.url[1]"),
        ("[models]\nurl = []", "models.url"),
        ('[models]\nurl = ["http://a", "http://a/"]', "models"),
        ('[models]\nurl = ["http://a", "http://b"]\nendpoints = "dns"', "models"),
        ('[models]\nurl = ["http://a:1", "https://a:1"]', "models"),
        ('[models]\nurl = ["http://a", "https://a"]', "models"),
        ('[models]\nurl = ["http://a", "http://A:80"]', "models"),
        ('[models]\nurl = "http://10.0.0.1:5555"\nendpoints = "dns"', "models"),
        ('[models]\nca_file = "ca.pem"\nurl = ["https://a", "http://b"]', "models.ca_file"),
        ('[models]\ninclude = ["plant-a"]', "models.include[0]"),
        ("[models]\nprojects = 3", "models.projects"),
        ('[sensors]\ntimezone = "Norway/Oslo"', "sensors.timezone"),
        ('[sensors]\ntimezone = "Middle/Earth"', "sensors.timezone"),
        ('[sensors]\nseparator = "::"', "sensors.separator"),
        ('[sensors]\nseparator = ";;"', "sensors.separator"),
        ("[sensors]\nseparator = '\"'", "sensors.separator"),
        ('[sensors]\ndecimal_point = "1"', "sensors.decimal_point"),
        ('[sensors]\nthousands = "."', "sensors.thousands"),
        ("[sensors]\ngood = [192]", "sensors.good"),
        ('[sensors]\nquality_column = "status"', "sensors.good"),
        ('[sensors]\nencoding = "base64"', "sensors.encoding"),
        ("[sensors]\ntime_column = []", "sensors.time_column"),
        ('[sensors]\nread_budget = "lots"', "sensors.read_budget"),
        ("predictions = []", "predictions"),
        ("predictions = 3", "predictions"),
        ("[predictions]\nkind = 'postgres'", "predictions"),
        ("[[predictions]]\nrequired = false", "predictions"),
        ("[[predictions]]\n[[predictions]]", "predictions[1].name"),
        ("[executor]\nconcurrency = 0", "executor.concurrency"),
        ("http = 8080", "http"),
        ("[http]\nport = 70000", "http.port"),
        ('[log]\nlevel = "loud"', "log.level"),
        ('[[override]]\nmatch = "plant-a/*"', "override[0]"),
        ("[[override]]\nenabled = false", "override[0].match"),
        ('[[override]]\nmatch = "plant-a"\nenabled = false', "override[0].match"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_the_name_of_its_key(toml: str, key: str) -> None:
    problems = refusal(toml)

    assert [problem.partition(": ")[0] for problem in problems] == [key]


@pytest.mark.parametrize(
    "rest", ["h:port/d", "u:p@ss@h/d", "u:p#ss@h/d", "u:p/ss@h/d", "[::1/d", "h,,i/d", "h/d?sslmode"]
)
def test_a_ledger_url_that_the_driver_cannot_read_is_refused_and_not_shown(rest: str) -> None:
    (problem,) = refusal(f'[ledger]\nkind = "postgres"\nurl = "postgresql://{rest}"')

    assert problem.startswith("ledger.url: ")
    assert rest not in problem


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://h",
        "postgres://user:p%40ss@db.example:5432/latigo?sslmode=require",
        "postgresql://user@/d?host=/run/postgresql&port=5433",
        "postgresql://%2Frun%2Fpostgresql/d",
        "postgresql://[::1]:5432/d",
        "postgresql://h:5432,i:5433/d?target_session_attrs=primary",
    ],
)
def test_a_ledger_url_may_be_whatever_the_driver_reads(url: str) -> None:
    settings = load(LATIGO_LEDGER__KIND="postgres", LATIGO_LEDGER__URL=url)

    assert isinstance(settings.ledger, PostgresLedger)
    assert settings.ledger.url.get_secret_value() == url


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("[backfill]\nhorizon = '1d'\nmax_catch_up = '1d'", "backfill.max_catch_up: should be at least 2d"),
        ("[backfill]\nhorizon = '31d'", "backfill.horizon: should not be longer than backfill.max_catch_up (30d)"),
        (
            "[[override]]\nmatch = 'a/*'\nhorizon = '31d'",
            "override[0].horizon: should not be longer than backfill.max_catch_up (30d)",
        ),
        (
            "[schedule]\ndelay = '3d'\n[backfill]\nmax_catch_up = '2d'\nhorizon = '1d'",
            "schedule.delay: should not be longer than backfill.max_catch_up less 36h (12h)",
        ),
        (
            "[[override]]\nmatch = 'a/*'\ndelay = '29d'",
            "override[0].delay: should not be longer than backfill.max_catch_up less 36h (684h)",
        ),
        (
            "[[predictions]]\nretention = '6d'",
            "backfill.horizon: should not be longer than predictions[0].retention (6d)",
        ),
        ("[executor]\nrenew = '30s'", "executor.renew: should be shorter than executor.lease (30s)"),
        ("[planner]\nlease = '5s'", "planner.renew: should be shorter than planner.lease (5s)"),
        (
            "[executor]\nbackoff_longest = '1s'",
            "executor.backoff_first: should not be longer than executor.backoff_longest (1s)",
        ),
        ("[circuit]\nprobe_first = '1h'", "circuit.probe_first: should not be longer than circuit.probe_longest (2m)"),
    ],
)
def test_a_contradiction_between_keys_names_both(toml: str, says: str) -> None:
    assert refusal(toml) == [says]


def test_a_longest_window_below_the_interval_is_no_contradiction() -> None:
    assert load('[schedule]\nmax_window = "10m"').schedule.max_window == 10 * MINUTE


def test_a_delay_may_be_long_as_long_as_a_slot_of_a_day_can_be_tried_before_it_expires() -> None:
    settings = load("[schedule]\ndelay = '12h'\n[backfill]\nmax_catch_up = '2d'\nhorizon = '1d'")

    assert settings.schedule.delay == timedelta(hours=12)


def test_all_problems_are_reported_at_once() -> None:
    problems = refusal(
        "[executor]\nconcurency = 1\n[log]\nformat = 'xml'\n[http]\nport = 'x'", LATIGO_SCHEDULE__DELAY="soon"
    )

    assert sorted(problem.partition(": ")[0] for problem in problems) == [
        "executor.concurency",
        "http.port",
        "log.format",
        "schedule.delay",
    ]


@given(st.dictionaries(st.from_regex(r"LATIGO_[A-Z_]{0,30}", fullmatch=True), st.text(max_size=20), max_size=4))
@example({"LATIGO_LEDGER__URL": "a", "LATIGO_LEDGER__URL__X": "b"})
@example({"LATIGO_LEDGER": "[]", "LATIGO_LEDGER__KIND": "postgres"})
@example({"LATIGO_PREDICTIONS__0__KIND": "postgres"})
@example({"LATIGO_": "", "LATIGO___": "x", "LATIGO_MODELS____": "{"})
@example({"LATIGO_MODELS__HEADERS": '{"a": 1, "a_file": 2}'})
def test_whatever_the_environment_holds_there_are_settings_or_a_refusal(environ: dict[str, str]) -> None:
    environ.pop("LATIGO_CONFIG", None)
    try:
        settings = load_settings(None, environ)
    except ConfigurationError as refused:
        assert len(str(refused).splitlines()) > 1  # noqa: PT017 - either way is right
    else:
        assert isinstance(settings, Settings)


# --- secrets ---------------------------------------------------------------------------------------------------------


def test_a_secret_may_stand_in_a_file_of_its_own() -> None:
    Path("token").write_text("  from-a-file \n")

    settings = load('[http]\ntoken_file = "token"\n[models.headers]\nX-Key_file = "token"')

    assert settings.http.token is not None
    assert settings.http.token.get_secret_value() == "from-a-file"
    assert settings.models.headers["X-Key"].get_secret_value() == "from-a-file"


def test_a_window_that_is_longer_than_allowed_is_lowered_and_named() -> None:
    longest, longer = (load(f'[schedule]\nmax_window = "{days}d"') for days in (7, 8))

    assert longest.lowered() == {}
    assert longer.lowered() == {"schedule.max_window": "8d is lowered to 7d"}
    assert [each.schedule.longest_window for each in (longest, longer)] == [timedelta(days=7)] * 2


@pytest.mark.parametrize(
    ("toml", "deprecated"),
    [
        ("", []),
        ("[http]\nport = 80", []),
        ('[http]\ntoken = "a"', ["http.token"]),
        ('[http]\ntoken_file = "token"', ["http.token"]),
    ],
)
def test_a_deprecated_key_is_accepted_and_known(toml: str, deprecated: list[str]) -> None:
    Path("token").write_text("from-a-file")

    assert list(load(toml).deprecated()) == deprecated


def test_a_deprecated_key_in_the_environment_is_known() -> None:
    assert list(load(LATIGO_HTTP__TOKEN="a").deprecated()) == ["http.token"]


def test_the_path_of_a_secret_may_come_from_the_environment() -> None:
    Path("url").write_text("postgresql://h/d\n")

    settings = load(LATIGO_LEDGER__KIND="postgres", LATIGO_LEDGER__URL_FILE="url")

    assert isinstance(settings.ledger, PostgresLedger)
    assert settings.ledger.url.get_secret_value() == "postgresql://h/d"


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ('[http]\ntoken = "a"\ntoken_file = "secret"', "is set, and so is its _file"),
        ('[http]\ntoken_file = "missing"', "missing cannot be read: No such file"),
        ('[http]\ntoken_file = "empty"', "empty is empty"),
        ('[http]\ntoken_file = "binary"', "binary is not text in UTF-8"),
        ('[http]\ntoken_file = "large"', "large is larger than"),
        ("[http]\ntoken_file = 3", "its _file should be the path of a file"),
        ('[http]\ntoken = " "', "is empty"),
    ],
)
def test_a_secret_that_cannot_be_read_is_refused_by_the_name_of_its_key(toml: str, says: str) -> None:
    Path("secret").write_text("x")
    Path("empty").write_text("\n")
    Path("binary").write_bytes(b"\xff\xfe")
    Path("large").write_text("x" * 70_000)

    (problem,) = refusal(toml)

    assert problem.startswith(f"http.token: {says}")


def test_masked_settings_hide_secrets_and_passwords_in_urls() -> None:
    masked = load(
        """
        [http]
        token = "s3cret"
        [sensors]
        kind = "python:a.b:c"
        [sensors.options]
        url = "https://reader:pass@word@host/db"
        password = "plain"
        region = "north"
        [sensors.secrets]
        key = "k"
        """
    ).masked()

    assert masked["http"]["token"] == MASK
    assert masked["sensors"]["options"] == {
        "url": f"https://reader:{MASK}@host/db",
        "password": MASK,
        "region": "north",
    }
    assert masked["sensors"]["secrets"] == {"key": MASK}


def test_masked_settings_write_durations_and_sizes_as_they_were_given() -> None:
    masked = load('[executor]\nrenew = "500ms"\n[backfill]\nhorizon = "0"\n[sensors]\nread_budget = "1GiB"').masked()

    assert (masked["executor"]["renew"], masked["backfill"]["horizon"]) == ("500ms", "0")
    assert masked["sensors"]["read_budget"] == "1GiB"
    assert masked["schedule"] == {"interval": "30m", "delay": "5m", "max_window": "1d"}


def test_secret_values_are_known_to_those_who_have_to_hide_them() -> None:
    settings = load("[http]\ntoken = 'a'\n[models]\ntoken = 'b'\nheaders = { X = 'c' }")

    assert settings.secret_values() == {"a", "b", "c"}


def _with_secret(secret: str) -> dict[str, Any]:
    return {
        "http": {"token": secret},
        "models": {"token": secret, "headers": {"X-Key": secret}},
        "ledger": {"kind": "postgres", "url": f"postgresql://user:{secret}@host/db"},
        "sensors": {
            "kind": "python:a.b:c",
            "options": {"password": secret},
            "secrets": {"anything": secret},
        },
        "predictions": [{"kind": "python:a.b:c", "secrets": {"anything": secret}}],
    }


#: Of any text, but for text that settings show anyway, such as the name of a class.
SECRETS = st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=20).map("s3cr3t-{}".format)


@given(SECRETS)
def test_no_secret_ever_appears_in_what_settings_show(secret: str) -> None:
    settings = Settings.model_validate(_with_secret(secret))

    for shown in (
        repr(settings),
        str(settings),
        json.dumps(settings.masked()),
        repr(settings.models),
        str(settings.sensors),
    ):
        assert secret not in shown


BREAK = st.sampled_from(
    [
        {"http": {"tokn": "x"}},
        {"http": {"port": "x"}},
        {"http": {"token_file": "x"}},
        {"models": {"headers": {"X-Key_file": "x"}}},
        {"models": {"headers": 3}},
        {"models": {"token": 3}},
        {"ledger": {"kind": "embedded"}},
        {"ledger": {"url": {"a": "b"}}},
        {"sensors": {"kind": "other"}},
        {"sensors": {"secrets": {"anything_file": "x"}}},
        {"planner": {"lease": "1s"}},
        {"schedule": "x"},
    ]
)


@given(SECRETS, BREAK)
def test_no_secret_ever_appears_in_a_refusal_or_its_traceback(secret: str, broken: dict[str, Any]) -> None:
    environ = {f"LATIGO_{name.upper()}": json.dumps(value) for name, value in _with_secret(secret).items()}
    for section, values in broken.items():
        if isinstance(values, dict):
            wrong = {f"LATIGO_{section.upper()}__{key.upper()}": json.dumps(value) for key, value in values.items()}
            environ |= {name: value.strip('"') for name, value in wrong.items()}
        else:
            environ[f"LATIGO_{section.upper()}"] = values

    try:
        load_settings(None, environ)
    except ConfigurationError as refused:
        assert secret not in "".join(traceback.format_exception(refused))  # noqa: PT017 - some breaks are repaired
        assert refused.__cause__ is None  # noqa: PT017 - a cause would hold what was given
        assert refused.__context__ is None  # noqa: PT017 - so would a context


# --- one model -------------------------------------------------------------------------------------------------------


def test_the_last_override_that_sets_a_key_wins() -> None:
    settings = load(
        """
        [[override]]
        match = "plant-a/*"
        delay = "1h"
        interval = "1h"
        [[override]]
        match = "plant-a/slow-*"
        delay = "3h"
        horizon = "0"
        [[override]]
        match = "*/slow-off"
        enabled = false
        """
    )

    usual = overrides_for(settings, ModelRef("plant-b", "pump"))
    project = overrides_for(settings, ModelRef("plant-a", "pump"))
    slow = overrides_for(settings, ModelRef("plant-a", "slow-off"))

    assert usual == (30 * MINUTE, 5 * MINUTE, timedelta(days=7), True, None)
    assert project == (60 * MINUTE, 60 * MINUTE, timedelta(days=7), True, None)
    assert slow == (60 * MINUTE, 180 * MINUTE, timedelta(0), False, None)


def test_what_a_new_revision_recomputes_is_that_of_the_last_override_that_decides() -> None:
    settings = load(
        """
        [[override]]
        match = "*"
        on_revision = "recompute"
        [[override]]
        match = "plant-a/*"
        on_revision = "recompute"
        recompute = "2d"
        [[override]]
        match = "plant-a/slow-*"
        delay = "3h"
        [[override]]
        match = "plant-a/slow-off"
        on_revision = "keep"
        """
    )

    models = ("plant-b/pump", "plant-a/pump", "plant-a/slow-1", "plant-a/slow-off")
    recomputed = [overrides_for(settings, ModelRef(*name.split("/"))).recompute for name in models]

    assert recomputed == [timedelta(days=7), timedelta(days=2), timedelta(days=2), None]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ('recompute = "2d"', "has no effect without"),
        ('on_revision = "keep"\nrecompute = "2d"', "has no effect without"),
        ('on_revision = "recompute"\nrecompute = "91d"', "should not be longer than predictions[0].retention (90d)"),
        ('on_revision = "recompute"\nrecompute = "0"', "recompute"),
        ('on_revision = "all"', "on_revision"),
    ],
)
def test_what_cannot_be_recomputed_is_refused(keys: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(problem)):
        load(f'[[override]]\nmatch = "*"\n{keys}')


def test_patterns_know_upper_and_lower_case() -> None:
    settings = load('[[override]]\nmatch = "Plant/*"\nenabled = false')

    assert overrides_for(settings, ModelRef("plant", "a")).enabled
    assert not overrides_for(settings, ModelRef("Plant", "a")).enabled


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("[task_queue]\nkind = 'eventhub'", "task_queue: give either connection_string, or namespace and hub"),
        (
            "[task_queue]\nkind = 'eventhub'\nnamespace = 'n.example'\nhub = 'h'\nconnection_string = 'Endpoint=sb://n/'",
            "task_queue: give either connection_string, or namespace and hub",
        ),
        ("[task_queue]\nkind = 'eventhub'\nnamespace = 'n.example'", "task_queue: hub is missing"),
        (
            "[task_queue]\nkind = 'eventhub'\nnamespace = 'n.example'\nhub = 'h'\ncredential = 'client_secret'",
            "needs tenant_id, client_id and client_secret",
        ),
        (
            "[task_queue]\nkind = 'eventhub'\nnamespace = 'n.example'\nhub = 'h'\nexpiration = '15s'",
            "task_queue: expiration should be at least twice balance",
        ),
        ("[sensors]\nkind = 'influx'\nusername = 'u'", "sensors: username and password go together"),
        ("[sensors]\nkind = 'influx'\ngood = [192]", "sensors.good: needs a quality_field"),
        (
            "[sensors]\nkind = 'influx'\nquality_field = 'Status'",
            "sensors.good: should name the good qualities of quality_field, such as [192]",
        ),
        (
            "[sensors]\nkind = 'influx'\nquality_field = 'Value'\ngood = [192]",
            "sensors.quality_field: is the field of the value",
        ),
        ("[sensors]\nkind = 'influx'\nwhere = {tag = 'A'}", "sensors.where: has 'tag', which is the tag_key"),
        ("[sensors]\nkind = 'influx'\nwhere = {Time = 'A'}", "sensors.where: has 'Time', which is no tag"),
        ("[sensors]\nkind = 'influx'\nwhere = {site = \"a\\u0000\"}", "sensors.where.site: nothing in InfluxDB"),
        (
            "[[predictions]]\nkind = 'influx'\nusername = 'u'\npassword = 'p'\ntoken = 't'",
            "predictions[0]: give either token, or username and password",
        ),
    ],
)
def test_keys_that_do_not_go_together_are_refused_by_name(toml: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "latigo.toml"
    file.write_text(toml)

    with pytest.raises(ConfigurationError) as refused:
        load_settings(file, {})

    assert says in str(refused.value)
