"""The file that describes a running server."""

from pathlib import Path

import pytest

from latigo.postgres import postmaster
from latigo.postgres.postmaster import Postmaster


def test_a_file_that_a_server_has_created_and_not_written_yet_is_read_once_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken for that of a server that is gone, it would be removed, or its server be left without a reaper."""
    file = tmp_path / "postmaster.pid"
    file.touch()
    monkeypatch.setattr(postmaster, "wait", lambda _: file.write_text(f"4711\n{tmp_path}\n1\n5432\n/run\n"))

    assert Postmaster.read(tmp_path) == Postmaster(4711, Path("/run"), "starting")


def test_a_file_that_stays_empty_is_of_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "postmaster.pid").touch()
    waits: list[float] = []
    monkeypatch.setattr(postmaster, "wait", waits.append)

    read = Postmaster.read(tmp_path)

    assert read is not None
    assert not read.is_alive(tmp_path)
    assert sum(waits) < 1
