"""Raw readings to X and y, equal to what gordo-core makes of them. Pure: numpy in, numpy out.

``config`` reads a model's metadata, ``resample`` makes buckets and fills them, ``row_filter`` reads and applies the
filter language, ``build`` joins it all.
"""

from latigo.dataset.build import Buckets, Dataset, Emptiness, Missing, SlotOutcome, build
from latigo.dataset.config import assets, parse_dataset, parse_duration, parse_resolution

__all__ = [
    "Buckets",
    "Dataset",
    "Emptiness",
    "Missing",
    "SlotOutcome",
    "assets",
    "build",
    "parse_dataset",
    "parse_duration",
    "parse_resolution",
]
