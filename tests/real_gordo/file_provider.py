"""Readings out of files, as a data provider of gordo-core: ``start <= time < end``, and a look-back.

``build_plant_model.py`` trains a model on it (Gordo imports ``FileProvider`` by the name written in the dataset
config), and ``client_windows.py`` gives it to Gordo's own client.
"""

from pathlib import Path

import pandas as pd
from dataset_oracle import FrameProvider, read_raw
from gordo_core.data_providers.base import GordoBaseDataProvider
from gordo_core.utils import capture_args


def read_plant(folder):
    """CSV files, sorted by time: ``;``-separated, a column a tag, times in ``datetime`` without offset, which are UTC."""
    parts = [pd.read_csv(path, sep=";", float_precision="round_trip") for path in sorted(Path(folder).glob("*.csv"))]
    frame = pd.concat(parts)
    frame.index = pd.to_datetime(frame.pop("datetime"), utc=True)
    return frame.astype(float).sort_index(kind="stable")


class FileProvider(FrameProvider):
    """A file in the ``long`` layout of ``dataset_oracle.py``, or a folder in the ``wide`` one above."""

    @capture_args
    def __init__(self, path: str, layout: str = "long"):
        super().__init__(read_raw(path) if layout == "long" else dict(read_plant(path).items()))

    def to_dict(self):
        return GordoBaseDataProvider.to_dict(self)
