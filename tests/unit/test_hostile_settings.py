"""Configurations that are deep, huge, or no text at all: refused in a sentence, and in time."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from latigo.domain.errors import ConfigurationError
from latigo.settings import Settings, load_settings

_LONGEST_MESSAGE = 16_384


def refusal(path: Path | None, **environ: str) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load_settings(path, environ)
    message = str(refused.value)
    assert 0 < len(message) <= _LONGEST_MESSAGE
    return message


def plugin(options: str) -> str:
    return f'[sensors]\nkind = "python:a:b"\n[sensors.options]\n{options}\n'


FILES: Mapping[str, tuple[str | bytes, str]] = {
    "arrays": ("x = " + "[" * 100_000 + "]" * 100_000, "nested more than 32 deep"),
    "arrays in options": (plugin("x = " + "[" * 40 + "]" * 40), "nested more than 32 deep"),
    "open arrays": ("x = " + "[" * 5_000, "nested more than 32 deep"),
    "inline tables": ("x = " + "{a = " * 50_000 + "1" + "}" * 50_000, "nested more than 32 deep"),
    "dotted key": (".".join("a" * 100_000) + " = 1", "a key of more than 32 parts"),
    "dotted key with spaces": (" . ".join("a" * 50_000) + " = 1", "a key of more than 32 parts"),
    "dotted key with quotes": (".".join(['"a.b"'] * 50_000) + " = 1", "a key of more than 32 parts"),
    "dotted keys inside": ("x = {" + ".".join("a" * 50_000) + " = 1}", "a key of more than 32 parts"),
    "table header": ("[" + ".".join("a" * 100_000) + "]", "a key of more than 32 parts"),
    "many keys": ("".join(f"k{number} = 1\n" for number in range(200_000)), "is larger than 1048576 bytes"),
    "keys of a section": (
        "[http]\n" + "".join(f"k{number} = 1\n" for number in range(20_000)),
        "has 20000 problems",
    ),
    "sinks": ("[[predictions]]\n" * 20_000, '"postgres" is the name of another sink already'),
    "long text": (f'[log]\nlevel = "{"x" * 900_000}"', "log.level: should be"),
    "long key": (f"[log]\n{'x' * 900_000} = 1", "unknown key"),
    "long URL": (f'[models]\nurl = "http://{"x" * 900_000}"', "models.url: is longer than 8192 characters"),
    "long secret": (f'[http]\ntoken = "{"x" * 900_000}"', "http.token: is longer than 65536 characters"),
    "long kind": (f'[sensors]\nkind = "{"x" * 900_000}"', "sensors.kind: unknown kind"),
    "integer": ("[http]\nport = " + "9" * 5_000, "is not TOML"),
    "integer that is read": ("[http]\nport = " + "9" * 4_000, "http.port: "),
    "float": ("[circuit]\nshare = 1e999999", "circuit.share: "),
    "date": ("[http]\nport = 9999-99-99", "is not TOML"),
    "NUL": (b'[http]\nhost = "a\0b"', "is not TOML"),
    "NUL in a name": ('[http]\nhost = "a\\u0000b"', "http.host: holds a NUL character"),
    "NUL in a path": ('[ledger]\ndata_dir = "a\\u0000b"', "ledger.data_dir: can be no path"),
    "NUL in a secret's path": ('[http]\ntoken_file = "a\\u0000b"', "http.token: a"),
    "not UTF-8": (b'[http]\nhost = "\xff\xfe"', "is not TOML"),
    "UTF-16": ("[http]\nport = 1".encode("utf-16"), "is not TOML"),
    "a program": (bytes(range(256)) * 100, "is not TOML"),
}


@pytest.mark.parametrize(("content", "says"), FILES.values(), ids=FILES)
def test_a_file_that_no_one_would_write_is_refused(tmp_path: Path, content: str | bytes, says: str) -> None:
    path = tmp_path / "latigo.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())

    assert says in refusal(path)


def test_many_problems_are_counted_and_the_first_described(tmp_path: Path) -> None:
    path = tmp_path / "latigo.toml"
    path.write_text("[http]\n" + "".join(f"k{number} = 1\n" for number in range(50)), encoding="utf-8")

    first, *problems, last = refusal(path).splitlines()

    assert "has 50 problems" in first
    assert (len(problems), last) == (20, "  and 30 more")


def test_long_texts_with_dots_are_no_keys(tmp_path: Path) -> None:
    path = tmp_path / "latigo.toml"
    dots = "." * 1_000
    path.write_text(f"# {dots}\n" + plugin(f"a = \"{dots}\"\nb = '{dots}'\nc = [1.5, 2.5]"), encoding="utf-8")

    assert load_settings(path, {}).sources[0].model_dump()["options"]["a"] == dots


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "latigo.toml"
    path.write_bytes(b"\xef\xbb\xbf[http]\r\nport = 1\r\n")

    assert load_settings(path, {}).http.port == 1


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    pipe, loop = tmp_path / "pipe", tmp_path / "loop"
    os.mkfifo(pipe)
    loop.symlink_to(loop)

    assert refusal(tmp_path).endswith("cannot be read: Is a directory")
    assert refusal(pipe).endswith("cannot be read: is not a regular file")
    assert refusal(Path("/dev/zero")).endswith("cannot be read: is not a regular file")
    assert "cannot be read: " in refusal(loop)
    assert "cannot be read: " in refusal(tmp_path / ("x" * 5_000))
    assert "cannot be read: " in refusal(None, LATIGO_CONFIG="a\0b")


def test_the_default_file_is_refused_as_well_if_it_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "latigo.toml").symlink_to("latigo.toml")

    assert "latigo.toml cannot be read: " in refusal(None)


def test_secrets_and_certificates_are_regular_files(tmp_path: Path) -> None:
    pipe, path = tmp_path / "pipe", tmp_path / "latigo.toml"
    os.mkfifo(pipe)
    path.write_text(f'[http]\ntoken_file = "{pipe}"\n[models]\ntoken_file = "/dev/zero"', encoding="utf-8")

    message = refusal(path)

    assert f"http.token: {pipe} is not a regular file" in message
    assert "models.token: /dev/zero is not a regular file" in message


VARIABLES: Mapping[str, tuple[Mapping[str, str], str]] = {
    "arrays": ({"LATIGO_SENSORS__KIND": "python:a:b", "LATIGO_SENSORS__OPTIONS": "[" * 50_000}, "sensors.options: "),
    "objects": ({"LATIGO_SENSORS": '{"a":' * 20_000 + "1" + "}" * 20_000}, "sensors: should be a table"),
    "objects that are read": (
        {"LATIGO_SENSORS": '{"kind": "python:a:b", "options": ' + '{"a":' * 100 + "1" + "}" * 101},
        "nested more than 32 deep",
    ),
    "keys": ({"LATIGO_HTTP": json.dumps({f"k{number}": 1 for number in range(9_000)})}, "has 9000 problems"),
    "variables": ({f"LATIGO_HTTP__K{number}": "1" for number in range(20_000)}, "more than 1000 environment variables"),
    "sections": ({"LATIGO_" + "__".join("A" * 20_000): "1"}, "nested more than 32 deep"),
    "parts": ({"LATIGO_SENSORS__" + "__".join("A" * 40): "1"}, "nested more than 32 deep"),
    "bytes": ({"LATIGO_HTTP__HOST": "\udcff"}, "http.host: should be a valid string"),
    "bytes in a name": ({"LATIGO_\udcff__A": "1"}, "is not text in UTF-8"),
    "bytes in a key": ({"LATIGO_SENSORS__OPTIONS__\udcff": "1"}, "is not text in UTF-8"),
    "text": ({"LATIGO_LOG__LEVEL": "x" * 100_000}, "log.level: should be"),
    "integer": ({"LATIGO_HTTP__PORT": "9" * 5_000}, "http.port: "),
    "integer in JSON": ({"LATIGO_HTTP": '{"port":' + "9" * 5_000 + "}"}, "http: should be a table"),
    "two spellings": (
        {"LATIGO_HTTP__PORT": "1", "latigo_http__port": "2"},
        "LATIGO_HTTP__PORT and latigo_http__port set the same key",
    ),
    "a list and an item of it": (
        {"LATIGO_PREDICTIONS": '[{"kind": "postgres"}]', "LATIGO_PREDICTIONS__0__RETENTION": "1d"},
        "predictions: LATIGO_PREDICTIONS__0__RETENTION sets a key of it, but another variable sets it as a whole",
    ),
    "no key": ({"LATIGO_EXECUTOR__": "1"}, "executor.renew (from LATIGO_EXECUTOR__)"),
    "no name": ({"LATIGO_HTTP__TOKENS__": "{}"}, 'http.tokens."": should match pattern'),
    "key of an item": (
        {"LATIGO_HTTP__TOKENS": '{"{}": {"tokn": "a-token"}}'},
        "http.tokens.{}.tokn: unknown key; the nearest known one is http.tokens.{}.token (from",
    ),
    "line end in a token": ({"LATIGO_MODELS__TOKEN": "a\n"}, "models.token: must not hold control characters (from"),
    "bytes in a token": ({"LATIGO_MODELS__TOKEN": "\udcff"}, "models.token: must not hold control characters"),
    "line end in the token of a person": (
        {"LATIGO_HTTP__TOKENS__ANNA__TOKEN": "a-token\n"},
        "http.tokens.anna.token: must not hold control characters",
    ),
    "surrogate in the token of a person": (
        {"LATIGO_HTTP__TOKENS": '{"anna": {"token": "\\ud800"}}'},
        "http.tokens.anna.token: must not hold control characters",
    ),
    "line end in a header": (
        {"LATIGO_METADATA_API__HEADERS__X-KEY": "a\r\nb: c"},
        "metadata_api.headers.x-key: must not hold control characters",
    ),
    "name of a header": (
        {"LATIGO_MODELS__HEADERS": '{"a b": "c"}'},
        "models.headers.a b: is no name of a header: 'a b'",
    ),
    "two names of a header": (
        {"LATIGO_MODELS__HEADERS": '{"X-Key": "a", "x-key": "b"}'},
        "models.headers: X-Key and x-key are the same header",
    ),
    "duration": ({"LATIGO_SCHEDULE__INTERVAL": "9" * 100_000 + "m"}, "schedule.interval: "),
}


@pytest.mark.parametrize(("variables", "says"), VARIABLES.values(), ids=VARIABLES)
def test_variables_that_no_one_would_set_are_refused(variables: Mapping[str, str], says: str) -> None:
    assert says in refusal(None, **variables)


def test_a_variable_with_another_letter_in_the_prefix_is_none_of_ours() -> None:
    assert load_settings(None, {"LAT\N{LATIN SMALL LETTER DOTLESS I}GO_HTTP__PORT": "1"}).http.port != 1


def test_the_deepest_options_that_are_accepted_can_be_shown(tmp_path: Path) -> None:
    path = tmp_path / "latigo.toml"
    path.write_text(plugin("x = " + "[" * 29 + "]" * 29), encoding="utf-8")

    settings: Settings = load_settings(path, {})

    assert "[" * 29 in json.dumps(settings.masked())
