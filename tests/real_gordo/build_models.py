#!/usr/bin/env python
"""Train a small set of real Gordo models for tests.

    build_models.py DATA_DIR [--project NAME] [--only MACHINE ...] [--force]

Writes DATA_DIR/<project>/models/<revision>/<machine>/{model.pkl,metadata.json,info.json},
the layout that the Gordo model server reads, for two revisions.  A few more machines
go to a project of their own, since what the first one holds is recorded in test data.
A machine that is already there is left alone unless --force is given.
"""

import argparse
import json
import logging
import os
import shutil
import sys
import time
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

HERE = Path(__file__).resolve().parent
PROJECT = "demo-project"
ODD_STEPS = "odd-steps"
OLD_REVISION = "1761955200000"
NEW_REVISION = "1764547200000"

DIFF = "gordo.machine.model.anomaly.diff.DiffBasedAnomalyDetector"
KFCV = "gordo.machine.model.anomaly.diff.DiffBasedKFCVAnomalyDetector"
MINMAX = "sklearn.preprocessing.MinMaxScaler"
PIPE = "sklearn.pipeline.Pipeline"
LINREG = "sklearn.linear_model.LinearRegression"


def pipeline(*steps):
    return {PIPE: {"steps": list(steps)}}


def keras(cls, **kwargs):
    return {f"gordo.machine.model.models.{cls}": {"epochs": 2, "batch_size": 128, **kwargs}}


def feedforward():
    """The usual shape of a Gordo config: scale input and target around an autoencoder."""
    return {
        "sklearn.compose.TransformedTargetRegressor": {
            "transformer": MINMAX,
            "regressor": pipeline(MINMAX, keras("KerasAutoEncoder", kind="feedforward_hourglass")),
        }
    }


def lstm(cls, lookback):
    return {
        "sklearn.compose.TransformedTargetRegressor": {
            "transformer": MINMAX,
            "regressor": pipeline(
                MINMAX,
                keras(
                    cls,
                    kind="lstm_hourglass",
                    encoding_layers=1,
                    lookback_window=lookback,
                    epochs=1,
                    verbose=0,
                ),
            ),
        }
    }


def linear():
    """Reproduces its input exactly when the targets are the inputs."""
    return pipeline(MINMAX, LINREG)


def lossy(n_components=1):
    """A cheap stand-in for an autoencoder: squeeze through a PCA, then regress."""
    return pipeline(
        MINMAX,
        {"sklearn.decomposition.PCA": {"n_components": n_components}},
        {"sklearn.multioutput.MultiOutputRegressor": {"estimator": LINREG}},
    )


def diff(base, **kwargs):
    return {DIFF: {"base_estimator": base, "scaler": MINMAX, **kwargs}}


def names(prefix, n):
    return [f"{prefix}.TT-{i:03d}.PV" for i in range(1, n + 1)]


def objects(tags, **fields):
    return [{"name": t, **fields} for t in tags]


def machine(name, model, tag_list, period_s=120.0, days=14, evaluation=None, user=None, **dataset):
    return {
        "name": name,
        "model": model,
        "evaluation": evaluation,
        "metadata": user or {},
        "days": days,
        "dataset": {
            "type": "TimeSeriesDataset",
            "tag_list": tag_list,
            "data_provider": {"type": "synth_provider.SyntheticProvider", "period_s": period_s},
            **dataset,
        },
    }


BUILD_ONLY = {"cv_mode": "build_only"}
TWO_FOLDS = {
    "cv_mode": "full_build",
    "cv": {"sklearn.model_selection.TimeSeriesSplit": {"n_splits": 2}},
}
AREA = names("1902.A", 4)
ODD = ["ODD NAME 1", "ODD/NAME%2", "ODD-ÅØ-3", "odd.name.4"]


def machines():
    yield machine("ff-hourglass", diff(feedforward()), objects(AREA, asset="1902-ABC"))
    yield machine("pca-linear", diff(lossy(2)), names("1902.B", 4), asset="1902-ABC")
    yield machine("identity", diff(linear()), names("1902.B", 4))
    yield machine(
        "lstm-ae",
        diff(lstm("KerasLSTMAutoEncoder", 6)),
        names("1902.C", 3),
        days=4,
        evaluation=TWO_FOLDS,
    )
    yield machine(
        "lstm-forecast",
        diff(lstm("KerasLSTMForecast", 6)),
        names("1902.C", 3),
        days=4,
        evaluation=TWO_FOLDS,
    )
    yield machine("plain-linear", linear(), names("1902.D", 4))
    yield machine(
        "plain-transform",
        pipeline(MINMAX, {"sklearn.decomposition.PCA": {"n_components": 2}}),
        names("1902.D", 4),
    )
    yield machine(
        "targets",
        diff(linear()),
        names("1902.E", 4),
        target_tag_list=["1902.E.PT-100.PV", "1902.E.TT-002.PV"],
        default_tag={"asset": "1902-ABC"},
    )
    yield machine(
        "minute-filter",
        diff(lossy()),
        names("1902.F", 3),
        period_s=20.0,
        days=2,
        resolution="1T",
        row_filter="(`1902.F.STATUS` > 0.5) & (`1902.F.TT-001.PV` > 0)",
        row_filter_buffer_size=2,
        aggregation_methods="max",
        interpolation_method="ffill",
        interpolation_limit="5T",
        n_samples_threshold=10,
        known_filter_periods=["~('2025-10-12 04:00:00+00:00' < index < '2025-10-12 06:00:00+00:00')"],
    )
    yield machine(
        "filter-list",
        diff(lossy()),
        objects(names("1902.G", 3), asset="1902-ABC", unit="degC"),
        resolution="30T",
        row_filter=["`1902.G.STATUS` == 1", "sin(`1902.G.TT-001.PV`) < 2"],
        additional_tags=[{"name": "1902.G.STATUS", "asset": "1902-XYZ"}],
        interpolation_limit="2H",
        user={"owner": "process team", "links": ["a", "b"]},
    )
    yield machine("smooth", diff(lossy(), window=12, smoothing_method="smm"), names("1902.H", 3))
    yield machine(
        "kfcv",
        {KFCV: {"base_estimator": lossy(), "scaler": MINMAX, "window": 12}},
        names("1902.H", 3),
        evaluation={
            "cv_mode": "full_build",
            "cv": {
                "sklearn.model_selection.KFold": {
                    "n_splits": 3,
                    "shuffle": True,
                    "random_state": 0,
                }
            },
        },
    )
    yield machine("odd-names", diff(lossy()), ODD)
    yield machine("no-thresholds", diff(lossy()), names("1902.I", 3), evaluation=BUILD_ONLY)
    yield machine(
        "random-data",
        diff(lossy()),
        ["tag-0", "tag-1", "tag-2"],
        type="RandomDataset",
        data_provider={"type": "RandomDataProvider"},
    )
    yield machine("wide-linear", diff(lossy(5)), names("1902.W", 20))
    yield machine("wide-keras", diff(feedforward()), names("1902.W", 20))


def machines_of_odd_steps():
    """Resolutions longer than half an hour, and one that does not divide a day."""
    yield machine(
        "hourly",
        diff(lstm("KerasLSTMAutoEncoder", 4)),
        names("1902.H", 3),
        resolution="1H",
        evaluation=TWO_FOLDS,
    )
    yield machine("odd-step", diff(lossy(2)), names("1902.B", 4), days=7, resolution="7T")


# Left out of one of the two revisions, so that "is it there?" depends on the revision.
ONLY_OLD = {"retired"}
ONLY_NEW = {"lstm-forecast", "lstm-ae", "odd-names", "kfcv", "filter-list", "wide-keras"}


def plan(project):
    """(project, revision, last day of training data, machine) in build order."""
    all_machines = list(machines())
    retired = machine("retired", diff(lossy()), names("1902.R", 2), days=4)
    for m in all_machines + [retired]:
        if m["name"] not in ONLY_NEW:
            yield project, OLD_REVISION, "2025-10-01T00:00:00+00:00", m
        if m["name"] not in ONLY_OLD:
            yield project, NEW_REVISION, "2025-10-15T00:00:00+00:00", m
    for m in machines_of_odd_steps():
        yield ODD_STEPS, NEW_REVISION, "2025-10-15T00:00:00+00:00", m


def build(definition, project, end, out_dir):
    import pandas as pd
    from gordo.builder import ModelBuilder
    from gordo.machine import Machine

    end_time = pd.Timestamp(end)
    start_time = end_time - pd.Timedelta(days=definition["days"])
    config = {
        "name": definition["name"],
        "model": definition["model"],
        "dataset": {
            **definition["dataset"],
            "train_start_date": start_time.isoformat(),
            "train_end_date": end_time.isoformat(),
        },
        "metadata": definition["metadata"],
    }
    if definition["evaluation"]:
        config["evaluation"] = definition["evaluation"]
    tmp = out_dir.with_name("." + out_dir.name + ".tmp")
    shutil.rmtree(tmp, ignore_errors=True)
    ModelBuilder(machine=Machine.from_config(config, project_name=project)).build(output_dir=str(tmp))
    shutil.rmtree(out_dir, ignore_errors=True)
    tmp.rename(out_dir)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--project", default=PROJECT)
    parser.add_argument("--only", nargs="*", default=None, metavar="MACHINE")
    parser.add_argument("--force", action="store_true", help="train again what is already there")
    args = parser.parse_args()

    sys.path.insert(0, str(HERE))
    warnings.filterwarnings("ignore")
    logging.disable(logging.ERROR)
    todo = []
    for project, revision, end, definition in plan(args.project):
        if args.only is not None and definition["name"] not in args.only:
            continue
        out_dir = args.data_dir / project / "models" / revision / definition["name"]
        if args.force or not (out_dir / "metadata.json").exists():
            todo.append((project, revision, end, definition, out_dir))
    failed = 0
    started = time.time()
    for project, revision, end, definition, out_dir in todo:
        out_dir.parent.mkdir(parents=True, exist_ok=True)
        t0 = time.time()
        try:
            build(definition, project, end, out_dir)
            print(f"{revision} {definition['name']:<16} {time.time() - t0:5.1f} s", flush=True)
        except Exception as exc:  # one bad model must not hide the others
            failed += 1
            print(f"{revision} {definition['name']:<16} FAILED {type(exc).__name__}: {exc}", flush=True)
            shutil.rmtree(out_dir.with_name("." + out_dir.name + ".tmp"), ignore_errors=True)
    (args.data_dir / "layout.json").write_text(
        json.dumps(
            {
                "project": args.project,
                "revisions": [OLD_REVISION, NEW_REVISION],
                "latest": NEW_REVISION,
                "model_collection_dir": f"{args.project}/models/{NEW_REVISION}",
                "expected_models": sorted(m["name"] for m in machines()),
            },
            indent=1,
        )
        + "\n"
    )
    print(f"{len(todo) - failed} model(s) trained, {failed} failed, {time.time() - started:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
