"""A graph becomes a page that a person can check: verdict, counts, degrees, reach, a picture.

Takes canonical rows; a graph that breaks rules is described too, so that one can see what is wrong
with it. Refusing it is up to the caller (:func:`musicrag.graph.validation.require_valid`).
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from musicrag.artifacts import atomic_file, write_text
from musicrag.graph.picture import draw
from musicrag.graph.rows import GraphRows
from musicrag.graph.schema import RELATIONS
from musicrag.graph.statistics import Components, GraphStatistics, Reach, describe
from musicrag.graph.validation import RULES, Violation, find_violations

log = logging.getLogger(__name__)

_SEED = 0  # of the start nodes of reach, so that the same graph has the same report


def write_report(rows: GraphRows, folder: Path) -> Path:
    """Write ``graph_report.md`` and ``graph_report.png``, whether the graph is valid or not.

    Args:
        rows: canonical rows.
        folder: made if it is not there; an older report is replaced.

    Returns:
        The Markdown file.
    """
    started = time.perf_counter()
    violations = find_violations(rows)
    statistics = describe(rows, np.random.default_rng(_SEED))
    with atomic_file(folder / "graph_report.png") as path:
        draw(rows, statistics, path)
    target = folder / "graph_report.md"
    write_text(target, markdown(rows, violations, statistics))
    log.info(
        "graph report %s: %d of %d rules are broken; %.1f s",
        *(target, len(violations), len(RULES), time.perf_counter() - started),
    )
    return target


def markdown(rows: GraphRows, violations: Sequence[Violation], statistics: GraphStatistics) -> str:
    """The report's text; its picture is ``graph_report.png`` beside it."""
    parts = [
        "# Knowledge graph",
        _verdict(violations),
        _size(rows, statistics),
        "![Schema and degrees](graph_report.png)",
    ]
    if violations:
        parts += ["## Broken rules", _broken(violations)]
    parts += [
        *("## Nodes", _nodes(statistics.node_types)),
        *("## Relations", _relations(statistics.relations)),
        *("## Components", _components(statistics.components)),
        *("## Reach", _reach(statistics.reach, rows.item_type)),
    ]
    return "\n\n".join(parts) + "\n"


def _verdict(violations: Sequence[Violation]) -> str:
    if not violations:
        return f"**Valid**: all {len(RULES)} rules hold."
    names = ", ".join(f"{violation.rule} ({violation.count:,})" for violation in violations)
    return f"**Invalid**: {len(violations)} of {len(RULES)} rules are broken: {names}."


def _size(rows: GraphRows, statistics: GraphStatistics) -> str:
    lines = [
        f"Content hash `{rows.content_hash}`.",
        f"{len(rows.nodes):,} nodes of {len(statistics.node_types)} types, "
        f"{len(rows.edges):,} edges of {len(statistics.relations)} relations; "
        f"items are of type {rows.item_type}.",
    ]
    if statistics.num_skipped:
        lines.append(
            f"{statistics.num_skipped:,} edges have an end that is no node: they count in the "
            "table of relations only."
        )
    return "\n".join(lines)


def _broken(violations: Sequence[Violation]) -> str:
    cells = [[v.rule, f"{v.count:,}", "; ".join(v.examples), v.advice] for v in violations]
    return _table(["rule", "rows", "examples", "what to do"], "lrll", cells)


def _nodes(found: pd.DataFrame) -> str:
    cells = [
        [
            row["node_type"],
            *(f"{row[name]:,}" for name in ("num_nodes", "min")),
            *(f"{row[name]:,.1f}" for name in ("median", "mean")),
            *(f"{row[name]:,}" for name in ("max", "num_orphans")),
            row["examples"],
        ]
        for row in found.to_dict("records")
    ]
    heads = ["type", "nodes", "min", "median", "mean", "max", "orphans", "such as"]
    return (
        "Min to max are of the degree: edges of any relation and direction. Orphans have none; "
        "a song without listeners is no fault.\n\n" + _table(heads, "lrrrrrrl", cells)
    )


def _relations(found: pd.DataFrame) -> str:
    cells = []
    for row in found.to_dict("records"):
        known = RELATIONS.get(str(row["relation"]))
        about = ["-"] * 4
        if known is not None:
            leak = "yes: training rows only" if known.from_interactions else "no"
            about = [known.weight, _range(*known.weight_range), known.origin, leak]
        weights = [f"{row[name]:.4g}" for name in ("min", "median", "max")]
        cells.append([row["relation"], row["joins"], f"{row['num_edges']:,}", *weights, *about])
    heads = ["relation", "joins", "edges", "min", "median", "max"]
    heads += ["weight", "allowed", "from table", "could leak"]
    return (
        "Min to max are of the weight. No relation may be built from held-out rows; those that "
        "could leak must come from training rows.\n\n" + _table(heads, "llrrrrllll", cells)
    )


def _range(low: float, high: float) -> str:
    """A schema's range in words; every weight is above 0."""
    if low == high:
        return f"{low:g}"
    lowest = f"from {low:g}" if low else "above 0"
    return lowest if math.isinf(high) else f"{lowest} to {high:g}"


def _components(found: Components) -> str:
    following = ", ".join(f"{size:,}" for size in found.next_sizes) or "none"
    return (
        f"{found.num_components:,} connected components. The largest holds "
        f"{found.largest_share:.1%} of all nodes; sizes of the next: {following}."
    )


def _reach(found: Reach, item_type: str) -> str:
    cells = [
        [row["hops"], *(f"{row[name]:.2%}" for name in ("mean", "min", "median", "max"))]
        for row in found.shares.to_dict("records")
    ]
    who = f"{found.num_starts:,} {found.start_type} nodes"
    if found.num_starts < found.num_candidates:
        who += f", drawn of {found.num_candidates:,} with seed {_SEED}"
    return (
        f"Share of all {item_type} nodes within so many hops of a start, over {who}.\n\n"
        + _table(["hops", "mean", "min", "median", "max"], "rrrrr", cells)
    )


def _table(heads: Sequence[str], sides: str, cells: Sequence[Sequence[object]]) -> str:
    """A Markdown table; ``sides`` has ``l`` or ``r`` for each column."""
    rules = ["---:" if side == "r" else "---" for side in sides]
    rows = [heads, rules, *([_escape(str(cell)) for cell in row] for row in cells)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _escape(text: str) -> str:
    """Ids come from outside: none may end a cell, a row, or begin a tag."""
    return re.sub(r"([\\|<])", r"\\\1", " ".join(text.split()))
