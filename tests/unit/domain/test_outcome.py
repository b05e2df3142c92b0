"""How a task can end."""

from latigo.domain.coverage import Coverage
from latigo.domain.outcome import Stored
from tests.support.build import window


def test_a_window_that_ended_in_full_is_covered_and_has_rows_only_if_they_are_given():
    stored, with_rows = Stored.in_full(window("10:00", "11:00")), Stored.in_full(window("10:00", "11:00"), rows=6)

    assert (stored.covered, stored.exceptions, stored.rows) == (Coverage((window("10:00", "11:00"),)), (), 0)
    assert with_rows.rows == 6
