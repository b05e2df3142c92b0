"""Let the unmodified gordo-client predict windows of many models from a file of readings, and print what it got.

Read from stdin: ``{"port", "project", "revision", "path", "layout", "windows": {model: [[start, end], ...]}}``.
Printed: for each model and window ``{"error"}``, the name of gordo-core's refusal or what the client says, or else
``{"columns", "times", "rows"}`` without ``start`` and ``end``; times are ns since the epoch. All of its rows, also
those before and at the end of the window.
"""

import json
import logging
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)

import pandas as pd
from file_provider import FileProvider
from gordo_client.client import Client
from session import open_session

asked = json.load(sys.stdin)
provider = FileProvider(asked["path"], asked["layout"])


def predicted(client, model, start, end):
    try:
        [(_, frame, errors)] = client.predict(
            pd.Timestamp(start), pd.Timestamp(end), targets=[model], revision=asked["revision"]
        )
    except ValueError as error:  # what gordo-core refuses
        return {"error": type(error).__name__}
    if errors:
        return {"error": "; ".join(errors)}
    frame = frame.drop(columns=["start", "end"], level=0)
    return {
        "columns": [list(column) for column in frame.columns],
        "times": frame.index.asi8.tolist(),
        "rows": frame.to_numpy(dtype=float).tolist(),
    }


def all_of(model, windows):
    # One client a model: after a model that is no anomaly detector it would ask all others for plain predictions too.
    client = Client(
        project=asked["project"],
        host="127.0.0.1",
        port=asked["port"],
        scheme="http",
        data_provider=provider,
        use_parquet=True,
        n_retries=0,
        session=open_session(),
    )
    return [predicted(client, model, start, end) for start, end in windows]


json.dump({model: all_of(model, windows) for model, windows in asked["windows"].items()}, sys.stdout)
