"""Readings out of files, as a data provider of gordo-core: ``start <= time < end``, and a look-back.

``build_plant_model.py`` trains a model on it (Gordo imports ``FileProvider`` by the name written in the dataset
config), and ``client_windows.py`` gives it to Gordo's own client.
"""

import pandas as pd
from dataset_oracle import FrameProvider, read_raw
from gordo_core.data_providers.base import GordoBaseDataProvider
from gordo_core.utils import capture_args


def read_wide(path):
    """``;``-separated, a column a tag, times in ``datetime`` without offset, which are UTC."""
    frame = pd.read_csv(path, sep=";", float_precision="round_trip")
    frame.index = pd.to_datetime(frame.pop("datetime"), utc=True)
    return {tag: frame[tag].astype(float) for tag in frame.columns}


class FileProvider(FrameProvider):
    """One file, in the ``long`` layout of ``dataset_oracle.py`` or ``wide`` as above."""

    @capture_args
    def __init__(self, path: str, layout: str = "long"):
        super().__init__(read_raw(path) if layout == "long" else read_wide(path))

    def to_dict(self):
        return GordoBaseDataProvider.to_dict(self)
