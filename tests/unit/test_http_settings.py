"""``http.allowed_hosts``: which names are accepted."""

from pathlib import Path

import pytest

from latigo.domain.errors import ConfigurationError
from latigo.settings import HttpSettings, load_settings


def http(tmp_path: Path, toml: str = "", **environ: str) -> HttpSettings:
    path = tmp_path / "latigo.toml"
    path.write_text(f"[http]\n{toml}", encoding="utf-8")
    return load_settings(path, environ).http


@pytest.mark.parametrize(
    "name", ["*", "localhost", "latigo.example.com", "latigo.example.com.", "10.0.0.1", "::1", "[::1]", "a_b-c"]
)
def test_names_and_addresses_are_accepted(tmp_path: Path, name: str) -> None:
    assert http(tmp_path, f'allowed_hosts = ["{name}"]').allowed_hosts == (name,)


@pytest.mark.parametrize(
    "name", ["a:80", "http://a", "a/b", "*.example.com", "a b", "[::1", "a..b", ".a", "a,b", "[::1]:80", "é"]
)
def test_what_can_be_no_host_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"http\.allowed_hosts\[0\]: should"):
        http(tmp_path, f'allowed_hosts = ["{name}"]')


def test_none_at_all_is_refused_and_nothing_is_the_default(tmp_path: Path) -> None:
    assert http(tmp_path).allowed_hosts is None
    for toml in ("allowed_hosts = []", 'allowed_hosts = [""]'):
        with pytest.raises(ConfigurationError, match=r"http\.allowed_hosts"):
            http(tmp_path, toml)


def test_a_variable_lists_names_with_commas(tmp_path: Path) -> None:
    assert http(tmp_path, LATIGO_HTTP__ALLOWED_HOSTS="a, b").allowed_hosts == ("a", "b")


def test_tokens_have_names_and_say_what_they_may(tmp_path: Path) -> None:
    (tmp_path / "anna.token").write_text("secret-of-anna\n")
    toml = f'tokens.anna = {{ file = "{tmp_path}/anna.token", may = "act" }}\ntokens.board = {{ token = "abcdef" }}'

    tokens = http(tmp_path, toml).all_tokens

    assert {name: (each.token.get_secret_value(), each.may) for name, each in tokens.items()} == {
        "anna": ("secret-of-anna", "act"),
        "board": ("abcdef", "read"),
    }


def test_the_single_token_is_the_one_named_default_and_may_act(tmp_path: Path) -> None:
    token = http(tmp_path, 'token = "abcdef"').all_tokens["default"]

    assert (token.token.get_secret_value(), token.may) == ("abcdef", "act")


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        (
            'token = "a1b2"\ntokens.default = { token = "c3d4" }',
            r"http\.token: is set, and so is http\.tokens\.default",
        ),
        ('tokens = { a = { token = "a1b2" }, b = { token = "a1b2" } }', r"http\.tokens: a and b have the same token"),
        ("require_token_to_read = true", r"http\.require_token_to_read: needs http\.tokens"),
        ('tokens.a = { token = "a1b2", may = "rule" }', r"http\.tokens\.a\.may: should be 'read' or 'act'"),
        ('tokens.a = { may = "act" }', r"http\.tokens\.a\.token: is missing"),
        ('tokens."a b" = { token = "a1b2" }', r"http\.tokens"),
        ('tokens.a = { file = "/nowhere/token" }', r"http\.tokens\.a\.token: /nowhere/token cannot be read"),
        ('base_path = "latigo"', r'http\.base_path: should be a path such as "/latigo"'),
        ('base_path = "/a b"', r"http\.base_path: should"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, toml: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        http(tmp_path, toml)


def test_a_base_path_ends_without_a_slash(tmp_path: Path) -> None:
    assert [http(tmp_path, f'base_path = "{path}"').base_path for path in ("/latigo/", "/a/b", "/", "")] == [
        "/latigo",
        "/a/b",
        "",
        "",
    ]


def test_no_command_takes_the_variables_of_the_command_line_for_settings(tmp_path: Path) -> None:
    assert http(tmp_path, LATIGO_URL="http://x", LATIGO_TOKEN="y", LATIGO_TOKEN_FILE="z").tokens == {}
