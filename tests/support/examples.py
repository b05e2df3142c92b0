"""How many examples a test of properties tries."""

from hypothesis import settings

_USUAL = 100


def examples(number: int) -> int:
    """Return a number of examples, in proportion to those of the profile: see tests/conftest.py."""
    return max(number * settings().max_examples // _USUAL, 1)
