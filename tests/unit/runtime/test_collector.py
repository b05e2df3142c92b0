"""The collector of garbage is paused, and goes on afterwards."""

import gc

import pytest

from latigo.runtime.collector import collector_paused


def fail_while_paused() -> None:
    with collector_paused():
        raise RuntimeError("a bug")


def test_the_collector_is_paused_and_goes_on_also_after_an_error() -> None:
    with collector_paused():
        assert not gc.isenabled()
    assert gc.isenabled()

    with pytest.raises(RuntimeError):
        fail_while_paused()
    assert gc.isenabled()


def test_of_two_that_overlap_none_leaves_the_collector_paused() -> None:
    first, second = collector_paused(), collector_paused()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)

    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
