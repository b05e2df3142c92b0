"""Rules of the roles: every default stands in the settings, and every key arrives where it belongs."""

import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from latigo.domain.lane_share import LaneShare
from latigo.executor.circuits import CircuitRules
from latigo.executor.loop import ExecutorRules
from latigo.ledger.settling import RetryRules
from latigo.postgres.database import open_database
from latigo.postgres.migrate import migrate
from latigo.postgres.schema import current_revision, require_usable, upgrade
from latigo.scheduler.loop import SchedulerRules
from latigo.settings import CircuitSettings, ExecutorSettings
from latigo.wiring.roles import circuit_rules, retry_rules

SECOND = timedelta(seconds=1)
#: Arguments that are no setting.
FIXED = {"downstream", "isolated_starts", "_owed", "_turns"}


@pytest.mark.parametrize(
    "made",
    [
        CircuitRules,
        ExecutorRules,
        LaneShare,
        RetryRules,
        SchedulerRules,
        current_revision,
        migrate,
        open_database,
        require_usable,
        upgrade,
    ],
)
def test_what_the_settings_configure_has_no_second_default(made: Callable[..., Any]):
    parameters = inspect.signature(made).parameters.values()

    assert {each.name for each in parameters if each.default is not each.empty} <= FIXED


def test_every_key_of_the_circuits_is_the_rule_of_its_name():
    settings = CircuitSettings(failures=7, share=0.25, last=40, probe_first=3 * SECOND, probe_longest=9 * SECOND)

    assert circuit_rules(settings) == CircuitRules(
        failures=7, share=0.25, last=40, first_pause=3 * SECOND, longest_pause=9 * SECOND
    )


def test_every_key_of_the_back_off_is_the_rule_of_its_name():
    settings = ExecutorSettings(max_attempts=7, backoff_first=3 * SECOND, backoff_longest=9 * SECOND)

    assert retry_rules(settings) == RetryRules(max_attempts=7, backoff_first=3 * SECOND, backoff_longest=9 * SECOND)
