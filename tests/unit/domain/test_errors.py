"""Errors, sorted by what to do next."""

import pickle
from datetime import timedelta

import pytest

from latigo.domain import errors
from latigo.domain.errors import (
    CircuitOpen,
    Failed,
    LatigoError,
    NoData,
    PartlyDown,
    Reason,
    Rejected,
    TimedOut,
    Unavailable,
    describe_tags,
)


def test_everything_that_latigo_raises_on_purpose_can_be_caught_as_one():
    raised = [result for result in vars(errors).values() if isinstance(result, type) and issubclass(result, Exception)]

    assert len(raised) > 8
    assert all(issubclass(each, LatigoError) for each in raised)


@pytest.mark.parametrize("kind", [TimedOut, CircuitOpen, PartlyDown])
def test_a_time_out_an_open_circuit_and_an_unavailable_part_are_waited_for_alike(kind: type[Unavailable]):
    error = kind("no answer", downstream="gordo/plant", retry_after=timedelta(seconds=3), alarm=True)

    assert isinstance(error, Unavailable)
    assert (error.downstream, error.retry_after, error.alarm) == ("gordo/plant", timedelta(seconds=3), True)


def test_errors_carry_what_the_handler_needs():
    rejected = Rejected("no such tag", reason=Reason.UNKNOWN_SENSOR, whole_model=True)

    assert (str(rejected), rejected.reason, rejected.whole_model) == ("no such tag", Reason.UNKNOWN_SENSOR, True)
    assert Failed("500", retry_after=timedelta(minutes=1)).retry_after == timedelta(minutes=1)
    assert NoData("nothing", tags=["a", "b"]).tags == ("a", "b")


def test_only_the_window_is_parked_unless_the_whole_model_is_at_fault():
    assert not Rejected("values", reason=Reason.VALUES_REFUSED).whole_model


def test_reasons_are_words_that_survive_the_ledger():
    assert all(Reason(str(reason)) is reason and pickle.loads(pickle.dumps(reason)) is reason for reason in Reason)


@pytest.mark.parametrize(
    ("tags", "text"),
    [
        ([], ""),
        (["a"], "'a'"),
        (["a", "b"], "'a', 'b'"),
        (list("abcde"), "'a', 'b', 'c', 'd', 'e'"),
        (list("abcdefg"), "'a', 'b', 'c', 'd', 'e' and 2 more"),
        ({"a": 1, "b": 2}, "'a', 'b'"),
    ],
)
def test_a_few_tags_are_named_and_the_rest_counted(tags: list[str], text: str):
    assert describe_tags(tags) == text


def test_a_message_as_long_as_what_a_peer_sent_is_cut_and_other_parts_are_kept():
    text, number = LatigoError("x" * 100_000, 7).args

    assert len(text) < 20_000
    assert number == 7


def test_an_error_about_tags_has_its_message_and_all_of_them():
    for error in (
        NoData("no rows", tags=["b", "a"]),
        Rejected("no rows", reason=Reason.UNKNOWN_SENSOR, tags=["b", "a"]),
    ):
        assert (str(error), error.tags) == ("no rows", ("b", "a"))


def test_the_error_of_one_downstream_is_that_of_another_with_the_same_wait():
    wait = timedelta(seconds=9)

    error = Unavailable("too many requests", downstream="sensors/influx", retry_after=wait, alarm=True).at(
        "sink/influx"
    )

    assert (str(error), error.downstream) == ("too many requests", "sink/influx")
    assert (error.retry_after, error.alarm) == (wait, True)
