"""A comparison becomes one picture: a panel for each metric, a point and interval each system."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from musicrag.report.comparison import Table

_COLOURS = {"reference": "#1b6ca8", "variant": "#d1495b", "baseline": "#8d99ae"}


def draw(table: Table, target: Path) -> None:
    """Write a PNG; rows of panels are query types, columns are metrics."""
    rows = table.rows
    query_types = list(rows["query_type"].drop_duplicates())
    metrics = list(rows["metric"].drop_duplicates())
    num_labels = rows["label"].nunique()
    size = (1.5 + 2.4 * len(metrics), 0.6 + (0.6 + 0.26 * num_labels) * len(query_types))
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(query_types), len(metrics), squeeze=False)
    for i, query_type in enumerate(query_types):
        for j, metric in enumerate(metrics):
            part = rows[(rows["query_type"] == query_type) & (rows["metric"] == metric)]
            labels = list(rows.loc[rows["query_type"] == query_type, "label"].drop_duplicates())
            _panel(axes[i, j], part, labels)
            axes[i, j].set_yticks(range(len(labels)), labels if j == 0 else [""] * len(labels))
            axes[i, j].set_title(f"{metric}, {query_type}", fontsize=9)
    figure.savefig(target, dpi=150, format="png", metadata={"Software": "musicrag"})


def _panel(axes: Axes, part: object, labels: list[str]) -> None:
    for row in part.to_dict("records"):  # type: ignore[attr-defined]
        y = labels.index(row["label"])
        colour = _COLOURS[row["role"]]
        axes.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=1.6)
        axes.plot(row["mean"], y, "o", color=colour, markersize=4)
        if row["role"] == "reference":
            axes.axvline(row["mean"], color=colour, linewidth=0.6, linestyle=":")
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
