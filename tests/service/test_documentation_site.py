"""The documentation site: it builds without a warning, holds every page, and loads nothing from another host."""

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Attributes whose address a browser fetches by itself.
FETCHED = {"action", "background", "data", "poster", "src", "srcset"}
#: Relations of a `link` that a browser does not fetch.
NOT_FETCHED = {"author", "canonical", "index", "next", "prev", "search"}
#: An address with a host, in a style sheet or a script that is fetched or imported.
IN_STYLES = re.compile(r"""(?:url\(\s*|@import\s+)["']?((?:https?:)?//[^"')\s]+)""")


class Fetches(HTMLParser):
    """Collect the addresses that a page makes a browser fetch."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(page)
        self.addresses += IN_STYLES.findall(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.addresses += [value for name, value in given.items() if name in FETCHED]
        if tag == "link" and given.get("rel") not in NOT_FETCHED:
            self.addresses.append(given.get("href", ""))


def from_other_hosts(site: Path) -> Iterator[str]:
    for path in sorted(site.rglob("*")):
        if path.suffix == ".html":
            addresses = Fetches(path.read_text(encoding="utf-8")).addresses
        elif path.suffix == ".css":
            addresses = IN_STYLES.findall(path.read_text(encoding="utf-8"))
        else:
            continue
        for address in addresses:
            if re.match(r"\s*(?:[a-z]+:)?//", address, re.IGNORECASE):
                yield f"{path.relative_to(site)}: {address}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        ["make", "docs", f"VENV={sys.prefix}", f"SITE={folder}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_every_page_of_docs_is_on_the_site(site: Path) -> None:
    pages = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]

    missing = [page for page in pages if not (site / page.relative_to(ROOT)).with_suffix(".html").exists()]

    assert not missing
    assert (site / "index.html").exists()


def test_its_pages_load_nothing_from_other_hosts(site: Path) -> None:
    assert list(from_other_hosts(site)) == []


@pytest.mark.parametrize(
    "page",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/x.css">',
        '<img srcset="https://img.example/x.png 2x">',
        "<style>@font-face { src: url(https://fonts.example/x.woff2) }</style>",
    ],
)
def test_a_page_that_loads_from_another_host_is_noticed(page: str, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(page, encoding="utf-8")

    assert len(list(from_other_hosts(tmp_path))) == 1


def test_links_to_other_hosts_are_allowed(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text('<a href="https://example.org">x</a><link rel="next" href="//x.example">')

    assert list(from_other_hosts(tmp_path)) == []
