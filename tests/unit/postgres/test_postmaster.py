"""The file that describes a running server."""

import os
import subprocess
from pathlib import Path
from threading import Event

import pytest

from latigo.postgres.cluster import Cluster
from latigo.postgres.postmaster import Postmaster
from latigo.runtime.clock import SystemClock


def test_a_file_that_a_server_has_created_and_not_written_yet_is_read_once_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken for that of a server that is gone, it would be removed, or its server be left without a reaper."""
    file = tmp_path / "postmaster.pid"
    file.touch()
    monkeypatch.setattr("time.sleep", lambda _: file.write_text(f"4711\n{tmp_path}\n1\n5432\n/run\n"))

    assert Postmaster.read(tmp_path) == Postmaster(4711, Path("/run"), "starting")


def test_a_new_file_that_stays_empty_is_of_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "postmaster.pid").touch()
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)

    read = Postmaster.read(tmp_path)

    assert read is not None
    assert not read.is_alive(tmp_path)
    assert sum(waits) < 1


@pytest.mark.parametrize(("content", "pid"), [("", 0), ("-4711\n", -4711)], ids=["empty", "single-user mode"])
def test_a_file_that_gets_no_id_any_more_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, pid: int
) -> None:
    """Supervision looks at it every 20 ms."""
    file = tmp_path / "postmaster.pid"
    file.write_text(content)
    os.utime(file, (1, 1))
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)

    assert Postmaster.read(tmp_path) == Postmaster(pid, tmp_path, "starting")
    assert waits == []


def test_a_process_in_single_user_mode_holds_the_data_and_is_not_stopped(tmp_path: Path) -> None:
    """Somebody uses it; and minus its id is no process to signal, but a group of them."""
    data = tmp_path / "data"
    data.mkdir()
    program = tmp_path / "postgres"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen(["sleep", "600"], executable=program, cwd=data) as single:
        try:
            (data / "postmaster.pid").write_text(f"-{single.pid}\n{data}\n")
            cluster = Cluster(tmp_path, {}, SystemClock(), "ledger/embedded", Event())

            cluster.stop()

            assert cluster.is_alive()
        finally:
            single.kill()
