"""X and y from raw readings, equal to gordo-core's. Pure: numpy in, numpy out.

``config`` parses a model's metadata, ``resample`` aggregates readings into buckets and fills gaps, ``row_filter``
parses and applies the filter language, ``build`` combines them.
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
