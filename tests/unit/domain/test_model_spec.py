"""What is kept of a model, and how it is written down."""

from datetime import timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.domain.model import DatasetConfig, ModelRef, ModelSpec
from tests.support.build import a_spec
from tests.support.specs import specs


@given(specs())
def test_a_spec_survives_json(spec: ModelSpec):
    data = orjson.loads(orjson.dumps(spec.to_json()))

    assert ModelSpec.from_json(spec.ref, spec.revision, spec.anomaly, data) == spec


@given(specs(), st.data())
def test_a_spec_that_lacks_anything_is_not_read(spec: ModelSpec, data: st.DataObject):
    written = spec.to_json()
    del written[data.draw(st.sampled_from(sorted(written)))]

    with pytest.raises(KeyError):
        ModelSpec.from_json(spec.ref, spec.revision, spec.anomaly, written)


def test_what_is_kept_holds_no_names_and_no_secrets():
    written = a_spec("pump", project="plant", revision="1000").to_json()

    assert not {"project", "name", "revision", "data_provider"} & set(written)


def test_every_tag_is_read_once_in_the_order_of_gordo_core():
    dataset = DatasetConfig(("b", "a"), ("a", "c", "b"), filter_tags=("d", "a"))

    assert dataset.tags == ("b", "a", "c", "d")


@pytest.mark.parametrize(("offset", "rows", "minutes"), [(0, 1, 50), (1, 3, 60), (11, 13, 160)])
def test_a_model_that_looks_back_needs_more_rows_and_more_context(offset: int, rows: int, minutes: int):
    spec = a_spec(model_offset=offset)

    assert spec.rows_needed == rows
    assert spec.context == timedelta(minutes=minutes)


@given(st.text(st.characters(exclude_characters="/", codec="utf-8"), min_size=1), st.text(min_size=1))
def test_names_are_read_as_they_are_written(project: str, name: str):
    text = str(ModelRef(project, name))

    if "/" in name:
        with pytest.raises(ValueError, match="PROJECT/MODEL"):
            ModelRef.parse(text)
    else:
        assert ModelRef.parse(text) == (project, name)


@pytest.mark.parametrize("text", ["", "/", "plant", "plant/", "/pump", "a/b/c"])
def test_what_is_not_a_project_and_a_model_is_refused(text: str):
    with pytest.raises(ValueError, match="PROJECT/MODEL"):
        ModelRef.parse(text)
