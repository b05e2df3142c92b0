"""What the pages are served with: ``http.time_zone``, ``http.frame_ancestors``, ``http.grafana_url``."""

from pathlib import Path

import pytest

from latigo.domain.errors import ConfigurationError
from latigo.settings import HttpSettings, load_settings


def http(tmp_path: Path, toml: str) -> HttpSettings:
    path = tmp_path / "latigo.toml"
    path.write_text(f"[http]\n{toml}", encoding="utf-8")
    return load_settings(path, {}).http


@pytest.mark.parametrize(
    "origin", ["https://grafana.example.com", "http://10.0.0.1:3000", "'self'", "https://*.example.com", "https://a:*"]
)
def test_an_origin_may_frame_the_pages(tmp_path: Path, origin: str) -> None:
    assert http(tmp_path, f'frame_ancestors = ["{origin}"]').frame_ancestors == (origin,)


@pytest.mark.parametrize(
    "origin", ["*", "grafana.example.com", "https://a; script-src *", "https://a https://b", "https://a/b"]
)
def test_what_would_widen_the_policy_is_refused(tmp_path: Path, origin: str) -> None:
    with pytest.raises(ConfigurationError, match=r"http\.frame_ancestors\[0\]: should be an origin"):
        http(tmp_path, f'frame_ancestors = ["{origin}"]')


def test_the_board_of_a_model_fills_in_what_is_known(tmp_path: Path) -> None:
    template = "https://g.example.com/d/1?var-model={model}&from={from}"

    assert http(tmp_path, f'grafana_url = "{template}"').grafana_url == template
    for wrong, reason in (("javascript:alert(1)", "should be an address"), (template + "{who}", "no {who}")):
        with pytest.raises(ConfigurationError, match=rf"http\.grafana_url: .*{reason}"):
            http(tmp_path, f'grafana_url = "{wrong}"')


def test_the_zone_of_the_plant_has_to_exist(tmp_path: Path) -> None:
    assert http(tmp_path, 'time_zone = "Europe/Oslo"').time_zone == "Europe/Oslo"
    with pytest.raises(ConfigurationError, match=r"http\.time_zone: is not a time zone"):
        http(tmp_path, 'time_zone = "Mars/Base"')
