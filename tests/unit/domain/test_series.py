"""Rows of predictions."""

import numpy as np

from latigo.domain.series import Written


def test_a_write_that_left_nothing_has_no_times_of_the_type_that_times_have():
    nothing = Written.nothing()

    assert (len(nothing), nothing.times.dtype, nothing.newer) == (0, np.dtype(np.int64), 0)
