"""What stops an embedded server when it has no user left, between its attempts."""

import fcntl
from pathlib import Path

import pytest

from latigo.postgres import reaper


def test_while_a_user_of_an_older_program_is_there_it_waits_between_attempts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a program locks the file ``users`` alone, so that nothing else holds the attempts up."""
    postmaster = tmp_path / "data" / "postmaster.pid"
    postmaster.parent.mkdir()
    postmaster.write_text("1")
    (tmp_path / "guard").touch()
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            postmaster.unlink()  # as when that program stops the server

    monkeypatch.setattr("time.sleep", pause)
    with (
        (tmp_path / "users").open("ab") as older,
        (tmp_path / "present").open("ab") as present,
        (tmp_path / "reaper").open("ab") as alone,
    ):
        fcntl.flock(older, fcntl.LOCK_SH)
        reaper.stop_when_unused(tmp_path, present, alone.fileno())

    assert pauses == [1.0, 1.0, 1.0]
