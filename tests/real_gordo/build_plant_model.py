#!/usr/bin/env python
"""Train two models of a real plant on its run without anomalies (SKAB, folder ``anomaly-free``).

    build_plant_model.py FOLDER DATA_DIR

Writes DATA_DIR as build_models.py does, and prints project and revision as JSON. 10 seconds a row.

``pump`` squeezes all eight tags through three principal components. ``flow`` tells the flow from the seven other tags.
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

from build_models import LINREG, build, diff, lossy, pipeline  # noqa: E402
from file_provider import read_plant  # noqa: E402

PROJECT, REVISION = "testbed", "1000"
FLOW = "Volume Flow RateRMS"

# A closing valve throttles the flow, so the flow is what to score. But this run was recorded at 125 l/min and the valve's
# at 32: a model of levels finds all of those equally strange. So the model, and the scaler of its errors, look at
# distances from the median of the rows they are given, which stays the normal state while the valve is closed for less
# than half of them. The distance of the flow does most of it: what the other tags tell of it is little.
FROM_MEDIAN = {
    "sklearn.preprocessing.FunctionTransformer": {
        "func": "sklearn.preprocessing.robust_scale",
        "kw_args": {"with_scaling": False},
    }
}
STANDARD = "sklearn.preprocessing.StandardScaler"


def machines(tags):
    """Model, input tags and target tags, by name."""
    yield "pump", diff(lossy(3)), tags, tags
    flow = diff(pipeline(FROM_MEDIAN, LINREG), scaler=pipeline(FROM_MEDIAN, STANDARD))
    yield "flow", flow, [tag for tag in tags if tag != FLOW], [FLOW]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("data_dir", type=Path)
    args = parser.parse_args()

    plant = read_plant(args.folder)
    first, last = plant.index[[0, -1]]
    provider = {"type": "file_provider.FileProvider", "path": str(args.folder.resolve()), "layout": "wide"}
    models = []
    for name, model, inputs, targets in machines(list(plant.columns)):
        definition = {
            "name": name,
            "model": model,
            "evaluation": None,
            "metadata": {},
            "days": (last - first) / pd.Timedelta(days=1),
            "dataset": {
                "type": "TimeSeriesDataset",
                "tag_list": inputs,
                "target_tag_list": targets,
                "resolution": "10S",
                "data_provider": provider,
            },
        }
        out_dir = args.data_dir / PROJECT / "models" / REVISION / name
        out_dir.parent.mkdir(parents=True, exist_ok=True)
        build(definition, PROJECT, last, out_dir)
        models.append(name)
    layout = {"project": PROJECT, "revisions": [REVISION], "latest": REVISION, "expected_models": models}
    (args.data_dir / "layout.json").write_text(json.dumps(layout))
    print(json.dumps({"project": PROJECT, "revision": REVISION}))


if __name__ == "__main__":
    main()
