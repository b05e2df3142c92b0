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
