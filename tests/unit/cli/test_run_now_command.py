"""What `latigo models run-now --wait` says of a task."""

import pytest

from latigo.cli.commands.models_run_now import _ended
from latigo.reports.tasks import TaskEnd
from latigo.web.api.controls import Running
from tests.support.build import NOW, at

RUNNING = Running(task=7, start=at("11:30"), end=at("12:00"), claimed_by="", waits=False, stopped="")


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (
            TaskEnd(outcome="", reason="", detail="no answer; its model is paused", rows=0, next_attempt=None),
            "plant/pump: not predicted yet: no answer; its model is paused",
        ),
        (
            TaskEnd(outcome="", reason="", detail="no answer", rows=0, next_attempt=NOW),
            "plant/pump: not predicted yet, and tried again at 2026-03-01T12:07:00Z: no answer",
        ),
        (None, "plant/pump: the task was withdrawn, since the model has changed or was paused"),
    ],
)
def test_why_a_task_waits_is_said_once(end: TaskEnd | None, said: str):
    assert _ended("plant/pump", RUNNING, end) == said
