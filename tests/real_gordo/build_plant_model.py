#!/usr/bin/env python
"""Train one model of a real plant, on the labelled runs of its valve (SKAB, folder ``valve1``).

    build_plant_model.py FOLDER DATA_DIR --until TIME

Writes DATA_DIR as build_models.py does, and prints project, revision and model as JSON. The model learns from what was recorded before
TIME, without the stretches that are labelled as anomalous: they are left out by ``known_filter_periods``, which Gordo
uses for training only. 10 seconds a row, eight tags, squeezed through three principal components.
"""

import argparse
import json
import logging
import sys
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
warnings.filterwarnings("ignore")
logging.disable(logging.ERROR)

import pandas as pd  # noqa: E402

from build_models import build, diff, lossy  # noqa: E402
from file_provider import read_plant  # noqa: E402

PROJECT, REVISION, MODEL = "testbed", "1000", "valve"
LABELS = ["anomaly", "changepoint"]


def stretches(labels):
    """First and last time of every run of ones."""
    number = (labels != labels.shift()).cumsum()
    for _, run in labels[labels == 1].groupby(number[labels == 1]):
        yield run.index[0], run.index[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--until", type=pd.Timestamp, required=True)
    args = parser.parse_args()

    plant = read_plant(args.folder)[: args.until]
    step = pd.Timedelta("10s")
    definition = {
        "name": MODEL,
        "model": diff(lossy(3)),
        "evaluation": None,
        "metadata": {},
        "days": (args.until - plant.index[0]) / pd.Timedelta(days=1),
        "dataset": {
            "type": "TimeSeriesDataset",
            "tag_list": [tag for tag in plant.columns if tag not in LABELS],
            "resolution": "10S",
            "known_filter_periods": [
                f"~('{first - step}' < index <= '{last}')" for first, last in stretches(plant["anomaly"])
            ],
            "data_provider": {
                "type": "file_provider.FileProvider",
                "path": str(args.folder.resolve()),
                "layout": "wide",
            },
        },
    }
    out_dir = args.data_dir / PROJECT / "models" / REVISION / MODEL
    out_dir.parent.mkdir(parents=True)
    build(definition, PROJECT, args.until, out_dir)
    layout = {"project": PROJECT, "revisions": [REVISION], "latest": REVISION, "expected_models": [MODEL]}
    (args.data_dir / "layout.json").write_text(json.dumps(layout))
    print(json.dumps({"project": PROJECT, "revision": REVISION, "model": MODEL}))


if __name__ == "__main__":
    main()
