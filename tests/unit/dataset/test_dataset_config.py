from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.dataset import assets, parse_dataset, parse_duration, parse_resolution
from latigo.domain.errors import Reason, Rejected


def dataset(**changes: Any) -> dict[str, Any]:
    return {"type": "gordo_core.time_series.TimeSeriesDataset", "tag_list": ["a", "b"], **changes}


def built_with(*tags: str, **fields: str) -> dict[str, Any]:
    return {"tag_loading_metadata": {"tags": {tag: {"name": tag, **fields} for tag in tags}}}


def test_what_is_missing_is_gordo_cores_default() -> None:
    config = parse_dataset({"tag_list": ["b", "a"]}, None)

    assert config.tag_list == config.target_tag_list == ("b", "a")
    assert config.resolution == timedelta(minutes=10)
    assert config.aggregation == "mean"
    assert config.interpolation_method == "linear_interpolation"
    assert config.interpolation_limit == timedelta(hours=48)
    assert (config.row_filter, config.filter_tags) == ("", ())


def test_targets_and_tags_of_the_row_filter_are_read_after_the_tags_of_x() -> None:
    config = parse_dataset(
        dataset(target_tag_list=["c", "a"], row_filter="`d e` > 1 & b < 2 & c > 0 & index > '2025-01-01T00:00Z'"), None
    )

    assert config.filter_tags == ("d e",)
    assert config.tags == ("a", "b", "c", "d e")


@pytest.mark.parametrize("targets", [None, []])
def test_no_targets_are_the_tags_of_x(targets: object) -> None:
    assert parse_dataset(dataset(target_tag_list=targets), None).target_tag_list == ("a", "b")


def test_a_tag_is_a_name_or_an_object_with_a_name() -> None:
    config = parse_dataset(dataset(tag_list=["a", {"name": "b", "asset": "x"}]), None)

    assert config.tag_list == ("a", "b")


def test_an_interpolation_limit_of_null_is_none() -> None:
    assert parse_dataset(dataset(interpolation_limit=None), None).interpolation_limit is None


@pytest.mark.parametrize("kind", ["RandomDataset", "gordo_dataset.datasets.TimeSeriesDataset", None])
def test_data_sets_of_any_age_are_known(kind: str | None) -> None:
    assert parse_dataset(dataset(type=kind), None).tag_list == ("a", "b")


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"type": "my_package.ImageDataset"}, "type"),
        ({"tag_list": []}, "tag_list"),
        ({"tag_list": "a"}, "tag_list"),
        ({"tag_list": [["a", "asset"]]}, "tag_list"),
        ({"tag_list": [{"asset": "x"}]}, "tag_list"),
        ({"tag_list": [{"name": 1}]}, "tag_list"),
        ({"target_tag_list": [{"name": "a", "asset": "x"}]}, "tag_list"),
        ({"target_tag_list": 3}, "target_tag_list"),
        ({"asset": "x", "default_tag": {"asset": "x"}}, "default_tag"),
        ({"default_tag": "x"}, "default_tag"),
        ({"resolution": "T"}, "resolution"),
        ({"resolution": None}, "resolution"),
        ({"aggregation_methods": ["mean"]}, "aggregation_methods"),
        ({"aggregation_methods": "ohlc"}, "aggregation_methods"),
        ({"aggregation_methods": "skew"}, "aggregation_methods"),
        ({"aggregation_methods": None}, "aggregation_methods"),
        ({"interpolation_method": "bfill"}, "interpolation_method"),
        ({"interpolation_limit": "9T"}, "interpolation_limit"),
        ({"interpolation_limit": "soon"}, "interpolation_limit"),
        ({"row_filter": "a >"}, "row_filter"),
        ({"row_filter": {"a": 1}}, "row_filter"),
        ({"row_filter": ["a > 1", 2]}, "row_filter"),
        ({"row_filter": ["a = 1"]}, "row_filter"),
    ],
    ids=str,
)
def test_what_cannot_be_used_rejects_the_model_and_names_the_key(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(Rejected, match=rf"^{key}: ") as rejected:
        parse_dataset(dataset(**changes), None)

    assert rejected.value.reason is Reason.BAD_METADATA
    assert rejected.value.whole_model


def test_the_same_fields_may_come_from_the_tag_or_from_the_default() -> None:
    config = parse_dataset(dataset(target_tag_list=[{"name": "a", "asset": "x"}], asset="x"), None)

    assert config.target_tag_list == ("a",)


def test_a_tag_that_the_model_was_built_without_is_named() -> None:
    with pytest.raises(Rejected, match="'tan'"):
        parse_dataset(dataset(row_filter="a > tan"), built_with("a", "b"))

    assert parse_dataset(dataset(row_filter="a > c"), built_with("a", "b", "c")).filter_tags == ("c",)


@pytest.mark.parametrize("meta", [None, {}, {"tag_loading_metadata": {}}, {"tag_loading_metadata": {"tags": None}}])
def test_metadata_that_lists_no_tags_says_nothing_against_any(meta: dict[str, Any] | None) -> None:
    assert parse_dataset(dataset(row_filter="c > 1"), meta).filter_tags == ("c",)


def test_a_list_of_filters_is_joined_as_text() -> None:
    config = parse_dataset(dataset(row_filter=["(a == 1) | (a > 4)", "b > 35"]), None)

    assert config.row_filter == "(a == 1) | (a > 4) & b > 35"


def test_fifteen_filters_of_a_list_stand_together() -> None:
    config = parse_dataset(dataset(row_filter=["a > 0"] * 14 + ["a == 1 | a > 4", "b > 35 | b < 0"]), None)

    together = " & ".join(["a > 0"] * 14 + ["a == 1 | a > 4"])
    assert config.row_filter == f"({together}) & (b > 35 | b < 0)"


def test_the_asset_is_the_one_that_the_model_was_built_with() -> None:
    config = dataset(tag_list=[{"name": "a", "asset": "old"}, "b", {"name": "c", "facility": "f"}])

    result = assets(config, built_with("a", asset="new"))

    assert result == {"a": "new", "c": "f"}


def test_default_assets_are_those_of_every_tag() -> None:
    assert assets(dataset(asset="x"), None) == {"a": "x", "b": "x"}


# --- times ------------------------------------------------------------------------------------------------------------

#: Results of pandas 1.5.3 for each of these.
RESOLUTIONS = {
    "10T": 600,
    "10t": 600,
    "10min": 600,
    "10Min": 600,
    "600S": 600,
    "600s": 600,
    " 10 T ": 600,
    "1H": 3600,
    "1h": 3600,
    "0.5H": 1800,
    "1.5T": 90,
    "1H30T": 5400,
    "1h 30min": 5400,
    "1D": 86400,
    "2D": 172_800,
    "90S": 90,
    "1500ms": 1.5,
    "1500L": 1.5,
    "0.1S": 0.1,
    "7U": 7e-6,
    "3600000000000N": 3600,
}


@pytest.mark.parametrize(("text", "seconds"), RESOLUTIONS.items())
def test_a_resolution_is_a_pandas_frequency(text: str, seconds: float) -> None:
    assert parse_resolution(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        *("T", "min", "10", "10m", "10M", "1MS", "1W", "1B", "1BH", "1H30", "PT10M", "00:10:00", "-10T", "0T", "1hour"),
        *("", "1500N", "9" * 40 + "D", "1" * 100 + "T", "10T;", "1e3T"),
        *(10, None, 10.0, ["10T"]),
    ],
)
def test_what_is_no_frequency_of_fixed_length_is_no_resolution(text: object) -> None:
    with pytest.raises(Rejected, match="resolution: "):
        parse_resolution(text)


#: Results of pandas 1.5.3 for each of these.
DURATIONS = {
    "48H": 172_800,
    "48h": 172_800,
    "5T": 300,
    "30m": 1800,
    "30M": 1800,
    "30min": 1800,
    "30minutes": 1800,
    "2H30T": 9000,
    "1H 30T": 5400,
    "1D+1H": 90_000,
    "+1D+1H + 30T": 91_800,
    "1D, 1H": 90_000,
    "+30T": 1800,
    "+1 days 00:30:00": 88200,
    "1D-1H": None,
    "+P1D": None,
    "1hr": 3600,
    "1hour": 3600,
    "1.5H": 5400,
    "1W": 604_800,
    "2 days": 172_800,
    "1day": 86400,
    "1800S": 1800,
    "1800000ms": 1800,
    "1800000000us": 1800,
    "1800000000000ns": 1800,
    "1800000000000": 1800,
    1_800_000_000_000: 1800,
    "00:30:00": 1800,
    "1:30:00": 5400,
    "1 days 00:30:00": 88200,
    "P2D": 172_800,
    "PT30M": 1800,
    "P1DT12H": 129_600,
    "": None,
    "nan": None,
    "H": None,
    "-1H": None,
    "30:00": None,
    "inf": None,
    "P": None,
    "PT": None,
}


@pytest.mark.parametrize(("text", "seconds"), DURATIONS.items(), ids=str)
def test_a_limit_is_a_pandas_duration(text: object, seconds: float | None) -> None:
    if seconds is None:
        with pytest.raises(Rejected, match="interpolation_limit: "):
            parse_duration(text)
    else:
        assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", [False, True, 0.5, None, [], {}, -1])
def test_other_types_are_no_durations(text: object) -> None:
    with pytest.raises(Rejected):
        parse_duration(text)


@given(st.one_of(st.text(max_size=80), st.from_regex(r"P?[0-9.: ]*[a-zA-Z]{0,4}[0-9.:]*[A-Z]?")))
def test_no_text_does_anything_but_give_a_time_or_be_rejected(text: str) -> None:
    for parse in (parse_duration, parse_resolution):
        try:
            assert parse(text) >= timedelta(0)
        except Rejected as rejected:
            assert rejected.reason is Reason.BAD_METADATA  # noqa: PT017 - either end is right


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = ["type", "tag_list", "target_tag_list", "additional_tags", "default_tag", "asset", "resolution"]
KEYS += ["aggregation_methods", "row_filter", "interpolation_method", "interpolation_limit", "tags"]


@given(st.dictionaries(st.sampled_from(KEYS), JSON), JSON)
def test_no_metadata_does_anything_but_be_read_or_be_rejected(config: dict[str, Any], tags: object) -> None:
    meta = {"tag_loading_metadata": {"tags": tags}}
    for changes in (config, dataset(**config)):
        try:
            assert parse_dataset(changes, meta).tag_list
        except Rejected as rejected:
            assert rejected.whole_model  # noqa: PT017 - either end is right
        assert all(isinstance(asset, str) for asset in assets(changes, meta).values())
