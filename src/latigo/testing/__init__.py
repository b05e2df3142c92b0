"""Contract suites for authors of plug-ins: what every source and sink promises, as classes of tests to subclass.

Needs the extra ``testing``. Nothing of the product imports it.
"""

import pytest

pytest.register_assert_rewrite(f"{__name__}.sensors", f"{__name__}.predictions")  # before they are imported

from latigo.testing.predictions import FencedPredictionStoreContract, OpenPredictions, PredictionStoreContract  # noqa: E402
from latigo.testing.sensors import OpenSensors, SensorSourceContract  # noqa: E402

__all__ = [
    "FencedPredictionStoreContract",
    "OpenPredictions",
    "OpenSensors",
    "PredictionStoreContract",
    "SensorSourceContract",
]
