"""Models are selected by the names that people type."""

import pytest

from latigo.domain.errors import Misused, UnknownName
from latigo.domain.model import ModelRef
from latigo.domain.selector import select_models

KNOWN = [ModelRef(*name.split("/")) for name in ("b/pump-1", "a/pump-2", "a/pump-1", "a/fan[1]", "a/fan")]


@pytest.mark.parametrize(
    ("names", "selected"),
    [
        (["a/fan"], ["a/fan"]),
        (["a/fan", "a/fan", "a/f*"], ["a/fan", "a/fan[1]"]),
        (["b"], ["b/pump-1"]),
        (["?"], ["a/fan", "a/fan[1]", "a/pump-1", "a/pump-2", "b/pump-1"]),
        (["*/pump-[1]"], ["a/pump-1", "b/pump-1"]),
        (["a/fan[[]1]"], ["a/fan[1]"]),
        ([], []),
    ],
)
def test_names_are_exact_or_patterns_of_project_and_model(names: list[str], selected: list[str]):
    assert [str(ref) for ref in select_models(names, KNOWN)] == selected


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("a/pmup-1", "the nearest known one is a/pump-1"),
        ("", "unknown project"),
        ("pump-2", "unknown project; .*a model is named with its project: a/pump-2$"),
        ("pump-1", "a model is named with its project: a/pump-1, b/pump-1$"),
        ("a/x*", "matches none of the 5 known models"),
        ("a/b/c", "unknown model"),
        ("a" * 501, "is longer than 500 characters"),
    ],
)
def test_a_name_that_selects_nothing_is_refused(name: str, problem: str):
    with pytest.raises(Misused, match=problem):
        select_models(["b", name], KNOWN)


def test_of_no_models_none_is_selected():
    with pytest.raises(UnknownName, match="no project is known yet"):
        select_models(["a"], [])
