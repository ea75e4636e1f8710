"""A graph's statistics become one picture: the schema with its counts, and how degrees spread."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from musicrag.graph.rows import GraphRows
from musicrag.graph.statistics import GraphStatistics

_COLOURS = {
    "Album": "#b08968",
    "Artist": "#d1495b",
    "Genre": "#66a182",
    "Mood": "#edae49",
    "Playlist": "#00798c",
    "Song": "#1b6ca8",
    "Tag": "#8d99ae",
    "User": "#5f4b8b",
}
_OTHER = "#444444"
_RING = ("User", "Playlist", "Album", "Artist", "Song", "Mood", "Genre", "Tag")
"""Round the item type; types that have a relation beside that with the items stand together."""

_SMALLEST, _LARGEST = 0.17, 0.28  # radius; the ring is 1.5 wide and 1.15 high
_GAP = math.radians(120)
_LABEL = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
_MIDDLE: dict[str, Any] = {"ha": "center", "va": "center"}


def draw(rows: GraphRows, statistics: GraphStatistics, target: Path) -> None:
    """Write a PNG: left the types and what joins them, right the degrees of each type."""
    figure = Figure(figsize=(13, 6.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=[1.15, 1])
    _draw_schema(left, rows, statistics)
    _draw_degrees(right, statistics)
    figure.savefig(target, dpi=130, format="png", metadata={"Software": "musicrag"})


def _draw_schema(axes: Axes, rows: GraphRows, statistics: GraphStatistics) -> None:
    joins = rows.edges.fillna({"source_type": "", "target_type": "", "relation": ""})
    counted = joins.groupby(["source_type", "target_type", "relation"]).size()
    labels: dict[tuple[str, str], list[str]] = {}
    for key, count in counted.items():
        source, target, relation = (str(part) for part in key)  # type: ignore[attr-defined]
        ends = (min(source, target), max(source, target))
        labels.setdefault(ends, []).append(_plain(f"{relation} {count:,}"))
    sizes = {end: 0 for ends in labels for end in ends}
    sizes |= dict(
        zip(statistics.node_types["node_type"], statistics.node_types["num_nodes"], strict=True)
    )
    places = _places(sizes, rows.item_type)
    radius = {node_type: _radius(count, max(sizes.values())) for node_type, count in sizes.items()}
    for (a, b), lines in labels.items():
        if a == b:
            _label_loops(axes, places[a], radius[a], lines)
        else:
            _draw_line(axes, places[a], places[b], lines)
    for node_type, place in places.items():
        colour = _COLOURS.get(node_type, _OTHER)
        axes.add_patch(Circle(tuple(place), radius[node_type], color=colour, zorder=3))
        text = _plain(f"{node_type or '(no type)'}\n{sizes[node_type]:,}")
        axes.text(
            place[0], place[1], text, ha="center", va="center", color="white", fontsize=9, zorder=4
        )
    axes.set(xlim=(-1.9, 1.9), ylim=(-1.35, 1.6), aspect="equal")
    axes.set_axis_off()
    axes.set_title("Node types (size: log of their number) and relations", fontsize=10)


def _places(sizes: Mapping[str, int], item_type: str) -> dict[str, np.ndarray]:
    """The item type in the middle, the others round it; a gap below it is left for its loops."""
    others = sorted(
        set(sizes) - {item_type},
        key=lambda name: (_RING.index(name) if name in _RING else len(_RING), name),
    )
    places = {item_type: np.zeros(2)} if item_type in sizes else {}
    turn = np.linspace(1.0, -1.0, len(others)) * (math.pi - _GAP / 2) if len(others) > 1 else [0.0]
    for node_type, angle in zip(others, turn, strict=False):
        places[node_type] = np.array([-1.5 * math.sin(angle), 1.15 * math.cos(angle)])
    return places


def _radius(count: int, largest: int) -> float:
    share = math.log1p(count) / math.log1p(largest) if largest else 0.0
    return _SMALLEST + (_LARGEST - _SMALLEST) * share


def _draw_line(axes: Axes, a: np.ndarray, b: np.ndarray, lines: list[str]) -> None:
    axes.plot([a[0], b[0]], [a[1], b[1]], color="#bbbbbb", linewidth=1.4, zorder=1)
    x, y = (a + b) / 2 * (1.0 if a.any() and b.any() else 1.15)  # off the crowded middle
    axes.text(x, y, "\n".join(lines), fontsize=8, bbox=_LABEL, zorder=5, **_MIDDLE)


def _label_loops(axes: Axes, place: np.ndarray, radius: float, lines: list[str]) -> None:
    """Relations of a type with itself stand below its circle, or above one in the upper half."""
    is_above = place[1] > 0.1
    text = "\n".join(f"↻ {line}" for line in lines)
    y = place[1] + (radius + 0.05) * (1 if is_above else -1)
    axes.text(
        place[0],
        y,
        text,
        ha="center",
        va="bottom" if is_above else "top",
        fontsize=8,
        bbox=_LABEL,
        zorder=5,
    )


def _draw_degrees(axes: Axes, statistics: GraphStatistics) -> None:
    """The share of each type's nodes that have a degree or more; both axes are logarithmic."""
    axes.set_title("Degrees (nodes without an edge count in the whole)", fontsize=10)
    if not statistics.degrees.any():
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no edges", transform=axes.transAxes, **_MIDDLE)
        return
    types = statistics.degree_types.to_numpy()
    for node_type, degrees in pd.Series(statistics.degrees).groupby(types):
        found = np.sort(degrees[degrees > 0].to_numpy())
        values, first = np.unique(found, return_index=True)
        share = (len(found) - first) / len(degrees)
        size = 4 if len(values) > 1 else 10  # a lone point is easily hidden by a line
        (line,) = axes.plot(values, share, ".-", linewidth=1, markersize=size)
        line.set(color=_COLOURS.get(str(node_type), _OTHER), label=_plain(str(node_type)))
    axes.set(xscale="log", yscale="log", xlabel="degree d", ylabel="share of nodes of degree ≥ d")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)


def _plain(text: str) -> str:
    """Keep matplotlib from reading a name as a formula."""
    return text.replace("$", r"\$")
