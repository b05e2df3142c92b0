"""The colours of states: how far apart they are for every kind of colour vision, and whether text can be read."""

import re
from importlib import resources
from itertools import combinations

import pytest
from coloraide import Color

STYLE = (resources.files("latigo.web") / "static" / "latigo.css").read_text(encoding="utf-8")
PAIRS = {
    name: {"light": light, "dark": dark}
    for name, light, dark in re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\);", STYLE)
}
STATES = {name.removeprefix("state-"): pair for name, pair in PAIRS.items() if name.startswith("state-")}
#: The least difference (Delta E 2000) between two states that the palette was made for; below 10 is confusable.
LEAST = {"light": 20.0, "dark": 17.0}
VISIONS = ("normal", "protan", "deutan", "tritan")


def seen(colour: str, vision: str) -> Color:
    return Color(colour) if vision == "normal" else Color(colour).filter(vision, method="machado").fit("srgb")


def differences(scheme: str, vision: str) -> list[tuple[float, str, str]]:
    named = {name: seen(pair[scheme], vision) for name, pair in STATES.items() if name != "paused"}
    assert len(named) == 9
    pairs = combinations(named.items(), 2)
    return sorted((a.delta_e(b, method="2000"), x, y) for (x, a), (y, b) in pairs)


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("scheme", list(LEAST))
def test_no_two_states_look_alike(scheme: str, vision: str) -> None:
    nearest = next(pair for pair in differences(scheme, vision) if "none" not in pair)

    assert round(nearest[0], 1) >= LEAST[scheme], nearest


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("scheme", list(LEAST))
def test_what_is_not_desired_is_like_nothing_but_expired_which_has_a_pattern(scheme: str, vision: str) -> None:
    nearest = next(pair for pair in differences(scheme, vision) if "none" in pair and "expired" not in pair)

    assert nearest[0] >= 9, nearest  # dark covered with tritan vision has 9.4


def test_paused_has_the_colour_of_not_desired_and_a_pattern() -> None:
    assert STATES["paused"] == STATES["none"]


@pytest.mark.parametrize("scheme", list(LEAST))
@pytest.mark.parametrize("state", ["missing", "parked", "flight"])
def test_what_matters_stands_out_against_covered(scheme: str, state: str) -> None:
    assert Color(STATES[state][scheme]).contrast(STATES["covered"][scheme]) >= 3


@pytest.mark.parametrize("scheme", list(LEAST))
@pytest.mark.parametrize("text", ["text", "quiet", "accent", "alarm", "good", "warn"])
@pytest.mark.parametrize("background", ["panel", "page", "raised"])
def test_text_can_be_read(scheme: str, text: str, background: str) -> None:
    assert Color(PAIRS[text][scheme]).contrast(PAIRS[background][scheme]) >= 4.5
