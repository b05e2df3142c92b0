"""Predictions as files for people: Parquet, CSV, and a page with plots."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from latigo.domain.series import Frame, Predictions

#: More tags than this make a page unreadable.
MOST_TAGS = 24


def join(parts: Sequence[Predictions]) -> Predictions | None:
    """Put the predictions of windows that follow each other into one; None when there are none."""
    if not parts:
        return None
    first = parts[0]
    same = [part for part in parts if part.columns == first.columns]
    if len(same) != len(parts):
        raise ValueError("the model changed its columns from one window to the next")
    return Predictions(
        first.model,
        first.revision,
        np.concatenate([part.times for part in parts]),
        first.columns,
        np.concatenate([part.values for part in parts]),
    )


def write(predictions: Predictions, path: Path) -> None:
    """Write one row a time: ``time``, then a column ``group|tag`` each; by the ending of ``path``."""
    columns: dict[str, pa.Array] = {"time": pa.array(predictions.times, pa.timestamp("ns", "UTC"))}
    for at, column in enumerate(predictions.columns):
        name = f"{column.group}|{column.tag}" if column.tag else column.group
        columns[name] = pa.array(predictions.values[:, at])
    table = pa.table(columns)
    if path.suffix == ".parquet":
        pa.parquet.write_table(table, path)
    else:
        pa.csv.write_csv(table, path)


def draw(predictions: Predictions, inputs: Sequence[Frame], path: Path) -> None:
    """Draw the anomaly score, and inputs against outputs for each tag, into one page that needs no network."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    at = {column: n for n, column in enumerate(predictions.columns)}
    times = predictions.times.astype("datetime64[ns]")
    totals = [c for c in predictions.columns if not c.tag]
    tags = [c.tag for c in predictions.columns if c.group == "model-output"][:MOST_TAGS]
    figure = make_subplots(
        rows=len(tags) + bool(totals),
        cols=1,
        shared_xaxes=True,
        subplot_titles=[*(["anomaly score"] if totals else []), *tags],
        vertical_spacing=0.3 / (len(tags) + 2),
    )
    for column in totals:
        # Their scales differ by orders of magnitude: only the last one is drawn, which is 1 at its threshold, until one
        # of the others is clicked on.
        visible = True if column == totals[-1] else "legendonly"
        y = predictions.values[:, at[column]]
        figure.add_trace(go.Scatter(x=times, y=y, name=column.group, visible=visible), row=1, col=1)
    first = 1 + bool(totals)
    for row, tag in enumerate(tags, start=first):
        output = next(c for c in predictions.columns if c.group == "model-output" and c.tag == tag)
        known = [(frame.times, frame.values[:, frame.columns.index(tag)]) for frame in inputs if tag in frame.columns]
        if known:
            x = np.concatenate([array for array, _ in known]).astype("datetime64[ns]")
            y = np.concatenate([array for _, array in known])
            figure.add_trace(
                go.Scatter(x=x, y=y, name="input", line={"color": "#888"}, showlegend=row == first), row=row, col=1
            )
        figure.add_trace(
            go.Scatter(
                x=times,
                y=predictions.values[:, at[output]],
                name="output",
                line={"color": "#d1495b"},
                showlegend=row == first,
            ),
            row=row,
            col=1,
        )
    figure.update_layout(
        title=f"{predictions.model}, revision {predictions.revision}",
        height=240 * (len(tags) + 1) + 120,
        template="plotly_white",
    )
    figure.write_html(path, include_plotlyjs=True, full_html=True)
