"""Let the unmodified gordo-client predict models, one after the other, and print what it got as JSON.

Read from stdin: a list of ``{"port", "project", "model", "start", "end", "parquet", "revision", "period_s"}``.
"""

import json
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
warnings.filterwarnings("ignore")

import pandas as pd
from gordo_client.client import Client
from session import open_session
from synth_provider import SyntheticProvider


def predicted(asked):
    client = Client(
        project=asked["project"],
        host="127.0.0.1",
        port=asked["port"],
        scheme="http",
        data_provider=SyntheticProvider(period_s=asked["period_s"]),
        use_parquet=asked["parquet"],
        n_retries=0,
        session=open_session(),
    )
    start, end = pd.Timestamp(asked["start"]), pd.Timestamp(asked["end"])
    [(name, frame, errors)] = client.predict(start, end, targets=[asked["model"]], revision=asked["revision"])
    return {
        "name": name,
        "errors": errors,
        "columns": [list(column) for column in frame.columns],
        "times": [time.isoformat() for time in frame.index],
        "rows": frame.drop(columns=["start", "end"], level=0).to_numpy().tolist(),
    }


json.dump([predicted(asked) for asked in json.load(sys.stdin)], sys.stdout)
