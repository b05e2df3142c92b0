"""Groups of models that need the same sources, however many models there are."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from latigo.ledger.protocol import ModelTags
from latigo.scheduler import groups as module
from latigo.scheduler.groups import Group, Groups, Sources

A, B = "sensors/a", "sensors/b"


class Ledger:
    """Returns the tags of models that are not known in this epoch."""

    def __init__(self, *models: ModelTags) -> None:
        self.models = models

    async def changed_tags(self, known: Mapping[int, int]) -> Sequence[ModelTags]:
        return [model for model in self.models if known.get(model.model_id) != model.epoch]


def a_model(model_id: int, *tags: str, epoch: int = 1) -> ModelTags:
    return ModelTags(model_id, epoch, "plant", list(tags))


async def groups_of(sources: Sources, ledger: Any) -> Groups:
    return await sources.groups(ledger, ["plant"], [A])


@pytest.mark.parametrize(("many", "in_thread"), [(1, True), (100, False)])
async def test_tags_of_many_models_are_looked_at_in_a_thread_and_only_when_they_have_changed(
    monkeypatch: pytest.MonkeyPatch, many: int, in_thread: bool
):
    monkeypatch.setattr(module, "MANY_NEEDS", many)
    looked: list[tuple[Sequence[str], bool]] = []

    def source_of(tags: Sequence[str]) -> Sequence[str]:
        looked.append((tags, threading.current_thread() is not threading.main_thread()))
        return [f"sensors/{tag[0]}" for tag in tags]

    ledger, sources = Ledger(a_model(1, "a-1"), a_model(2, "b-1", "a-1"), a_model(3, "a-2")), Sources([A, B], source_of)
    first = await groups_of(sources, ledger)
    again = await groups_of(sources, ledger)
    ledger.models = (*ledger.models[:2], a_model(3, "b-2", epoch=2))
    last = await groups_of(sources, ledger)

    in_a, in_b, in_both = (Group("plant", names) for names in ((A,), (B,), (A, B)))
    assert first.by_model == again.by_model == {1: in_a, 2: in_both, 3: in_a}
    assert last.by_model == {1: in_a, 2: in_both, 3: in_b}
    assert looked == [(tags, in_thread) for tags in (["a-1"], ["b-1", "a-1"], ["a-2"], ["b-2"])]


def test_the_models_of_groups_are_all_of_them_and_no_others():
    in_a, in_b, whole = Group("plant", (A,)), Group("plant", (B,)), Group("plant", (A, B))
    groups = Groups(["plant"], (A, B), {1: in_a, 2: in_b, 3: in_a})

    assert sorted(groups.models([in_a]) or []) == [1, 3]
    assert sorted(groups.models([in_a, in_b, whole]) or []) == [1, 2, 3]
    assert groups.models([whole]) == []
    assert set(groups) == {in_a, in_b, whole}


def test_where_no_model_is_apart_groups_are_whole_projects():
    assert Groups(["plant"], (A,)).models([Group("plant", (A,))]) is None


async def test_a_project_that_joins_is_a_group_though_no_model_has_changed():
    ledger: Any = Ledger(a_model(1, "a-1"))
    sources = Sources([A, B], lambda _: [A])
    await sources.groups(ledger, ["plant"], [A])

    groups = await sources.groups(ledger, ["plant", "other"], [A])

    assert set(groups) == {Group("plant", (A, B)), Group("plant", (A,)), Group("other", (A, B))}
