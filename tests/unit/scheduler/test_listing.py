"""What follows from a model list."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.domain.windows import DAY, slot_length
from latigo.ledger.model_protocol import KnownModel
from latigo.scheduler.listing import Changes, changes, is_acceptable, longest_window
from latigo.scheduler.selection import SelectedModels
from tests.support.build import HALF_HOUR, NOW

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def known(name: str, *, revision: str = "1000", state: str = "active", stale: bool = False) -> KnownModel:
    return KnownModel(
        1, name, revision, state, stale, resolution=10 * MINUTE, slot=HALF_HOUR, delay=5 * MINUTE, fold=DAY
    )


@pytest.mark.parametrize(
    ("models", "lost", "acceptable"),
    [
        (9000, 0, True),
        (9000, 1800, True),  # 20 %
        (9000, 1801, False),
        (9000, 9000, False),  # Gordo's directory is gone
        (5, 1, True),
        (5, 2, False),
        (4, 4, True),  # too few to quarantine
        (0, 0, True),
    ],
)
def test_a_list_that_loses_more_than_a_fifth_of_its_models_is_quarantined(models: int, lost: int, acceptable: bool):
    assert is_acceptable(models, lost, None, NOW, accepted=False) is acceptable


@pytest.mark.parametrize(
    ("stood", "acceptable"), [(timedelta(0), False), (59 * MINUTE, False), (HOUR, True), (DAY, True)]
)
def test_a_quarantined_list_is_accepted_once_it_has_stood_for_an_hour(stood: timedelta, acceptable: bool):
    assert is_acceptable(10, 10, NOW - stood, NOW, accepted=False) is acceptable


def test_a_quarantined_list_is_acted_upon_once_it_is_accepted():
    assert is_acceptable(10, 10, NOW, NOW, accepted=True)


def listed(*models: str, revision: str = "1000", left_out: Sequence[str] = ()) -> SelectedModels:
    return SelectedModels("plant", revision, models, tuple(left_out))


def test_only_what_is_new_or_may_have_changed_is_described():
    models = [
        known("same"),
        known("older", revision="999"),
        known("stale", stale=True),
        known("back", state="gone"),
        known("again", state="unregistered"),
        known("odd", state="unusable"),
        known("off", state="disabled"),
    ]

    changed = changes(models, listed("again", "back", "new", "odd", "off", "older", "same", "stale"))

    assert changed == Changes(describe=("again", "back", "new", "older", "stale"), predicted=4)


def test_a_list_of_an_older_revision_says_nothing_of_what_is_known_in_a_newer_one():
    models = [
        known("pump", revision="1001"),
        known("stale", revision="1001", stale=True),
        known("back", revision="1001", state="gone"),
        known("unlisted", revision="1001"),
        known("fan", revision="999"),
    ]

    changed = changes(models, listed("back", "fan", "new", "pump", "stale", revision="1000"))

    assert changed == Changes(describe=("fan", "new"), older=3, predicted=4)


@given(st.lists(st.sampled_from(["fan", "pump", "valve"]), unique=True), st.integers(900, 1001))
def test_a_list_of_an_older_revision_than_the_accepted_one_adds_and_ends_nothing(names: list[str], revision: int):
    models = [
        known("pump", revision="1001"),
        known("fan", revision="1000", state="gone"),
        known("valve", revision="1000", stale=True),
        known("mixer", revision="1000"),
    ]

    older = changes(models, listed(*names, revision=str(revision), left_out=["mixer"]), "1002")

    assert (older.describe, older.gone, older.lost, older.outdated) == ((), (), 0, True)
    assert older.deselected == ("mixer",)


def test_a_list_of_the_accepted_revision_decides():
    models = [known("pump"), known("fan", state="gone")]

    assert changes(models, listed("fan"), "1000") == Changes(describe=("fan",), gone=("pump",), predicted=1, lost=1)


def test_revisions_are_numbers():
    assert changes([known("pump", revision="999")], listed("pump", revision="1000")).describe == ("pump",)


def test_what_settings_leave_out_is_deselected_and_not_lost():
    models = [
        known("pump"),
        known("off", state="disabled"),
        known("odd", state="unusable"),
        known("long ago", state="unregistered"),
        known("fan"),
    ]

    changed = changes(models, listed("fan", left_out=["long ago", "never", "odd", "off", "pump"]))

    assert changed == Changes(deselected=("pump", "off", "odd"), predicted=3)


def test_what_is_not_listed_any_more_is_gone_and_lost_if_it_was_predicted():
    models = [
        known("pump"),
        known("off", state="disabled"),
        known("long ago", state="gone"),
        known("odd", state="unusable"),
    ]

    assert changes(models, listed()) == Changes(gone=("pump", "off", "odd"), predicted=2, lost=2)


def test_an_unusable_model_is_described_again_in_a_new_revision():
    assert changes([known("odd", state="unusable")], listed("odd", revision="1001")).describe == ("odd",)


resolutions = st.sampled_from([MINUTE, 5 * MINUTE, 7 * MINUTE, 10 * MINUTE, 25 * MINUTE, HOUR, 36 * HOUR])


@given(resolutions, st.integers(1, 3000).map(lambda minutes: minutes * MINUTE))
def test_windows_are_whole_slots_within_the_longest_window_and_at_least_one(resolution, max_window):
    slot = slot_length(resolution, HALF_HOUR)

    longest = longest_window(max_window, slot, resolution)

    assert longest % slot == timedelta(0)
    assert longest == slot or longest <= max_window < longest + slot


@pytest.mark.parametrize("resolution", [7 * MINUTE, 25 * MINUTE, 36 * HOUR])
def test_where_folding_would_change_the_rows_a_window_is_one_slot(resolution: timedelta):
    assert longest_window(30 * DAY, DAY, resolution) == DAY
