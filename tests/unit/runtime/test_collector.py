"""The collector of garbage is paused, and goes on afterwards."""

import gc
from threading import Thread

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


def test_another_thread_that_ends_a_pause_while_one_begins_leaves_the_collector_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = collector_paused(), collector_paused()
    first.__enter__()
    ending = Thread(target=first.__exit__, args=(None, None, None))
    ask = gc.isenabled

    def ask_while_another_ends() -> bool:
        enabled = ask()
        ending.start()
        ending.join(0.5)  # it ends here, unless it has to wait
        return enabled

    monkeypatch.setattr(gc, "isenabled", ask_while_another_ends)
    second.__enter__()
    monkeypatch.undo()
    ending.join()
    second.__exit__(None, None, None)

    assert gc.isenabled()
