"""A comparison becomes Markdown, LaTeX and CSV; no number in them is typed by hand."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from musicrag.artifacts import atomic_file, write_text
from musicrag.report.comparison import OUTPUT_COLUMNS, Table
from musicrag.report.figure import draw

_ARROWS = {"better": "↑", "worse": "↓"}
_LATEX_ARROWS = {"better": r"$\uparrow$", "worse": r"$\downarrow$"}
_LATEX_ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: "\\" + sign for sign in "_%&#${}"},
}
_TEST_COLUMNS = ["system", "metric", "difference", "95 % interval", "d_z", "p", "p (Holm)"]


def write_table(table: Table, folder: Path, caption: str) -> str:
    """Write ``table.csv``, ``table.md``, ``table.tex`` and ``figure.png``; return the Markdown."""
    with atomic_file(folder / "table.csv") as path:
        table.rows[OUTPUT_COLUMNS].to_csv(path, index=False)
    text = markdown(table, caption)
    write_text(folder / "table.md", text)
    write_text(folder / "table.tex", latex(table, caption))
    with atomic_file(folder / "figure.png") as path:
        draw(table, path)
    return text


def markdown(table: Table, caption: str) -> str:
    """Means with 95 % intervals for each query type, then the tests against the reference."""
    parts = [caption, _legend(table.reference)]
    for query_type, rows in _by_query_type(table.rows):
        parts += [f"### {query_type} queries ({_sizes(rows)})", _pipe(_means(rows, _ARROWS))]
        for role, heading in (("variant", "Variants"), ("baseline", "Baselines")):
            tests = _tests(rows[rows["role"] == role])
            if len(tests):
                parts += [f"{heading} minus reference `{table.reference}`:", _pipe(tests)]
    parts += [f"Note: {note}" for note in table.notes]
    return "\n\n".join(parts) + "\n"


def latex(table: Table, caption: str) -> str:
    """One booktabs table for each query type; needs ``\\usepackage{booktabs}``."""
    parts = []
    for query_type, rows in _by_query_type(table.rows):
        means = _means(rows, _LATEX_ARROWS)
        head = " & ".join(escape_latex(name) for name in means.columns)
        body = "\n".join(
            " & ".join([escape_latex(system), *cells]) + r" \\"
            for system, *cells in means.itertuples(index=False)
        )
        legend = escape_latex(f"{caption} {query_type.capitalize()} queries, {_sizes(rows)}.")
        parts.append(
            "\\begin{table}\n\\centering\n"
            f"\\caption{{{legend} {_LATEX_ARROWS['better']}/{_LATEX_ARROWS['worse']}: better/worse "
            f"than the reference {escape_latex(table.reference)}, $p<0.05$ after Holm.}}\n"
            f"\\begin{{tabular}}{{l{'r' * (len(means.columns) - 1)}}}\n\\toprule\n"
            f"{head} \\\\\n\\midrule\n{body}\n\\bottomrule\n\\end{{tabular}}\n\\end{{table}}\n"
        )
    return "\n".join(parts)


def escape_latex(text: str) -> str:
    """Make every special character of ``text`` print as itself."""
    return "".join(_LATEX_ESCAPES.get(character, character) for character in text)


def _legend(reference: str) -> str:
    return (
        f"Reference: `{reference}`. Differences are *system minus reference*: a negative one means "
        f"that the system ranks worse than the reference. {_ARROWS['better']} better, "
        f"{_ARROWS['worse']} worse than the reference (p < 0.05 after Holm); d_z: mean difference "
        f"in standard deviations over queries."
    )


def _by_query_type(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for query_type in rows["query_type"].drop_duplicates():
        yield str(query_type), rows[rows["query_type"] == query_type]


def _sizes(rows: pd.DataFrame) -> str:
    """Numbers of queries and seeds behind a part of the table, exceptions named."""
    usual = int(rows["num_queries"].max())
    fewer = rows[rows["num_queries"] < usual].drop_duplicates("metric")
    queries = f"n = {usual} {'query' if usual == 1 else 'queries'}"
    for row in fewer.to_dict("records"):
        queries += f", {row['num_queries']} for {row['metric']}"
    seeds = int(rows["num_seeds"].max())
    return f"{queries}; {seeds} seed{'s' if seeds > 1 else ''}"


def _means(rows: pd.DataFrame, arrows: Mapping[str, str]) -> pd.DataFrame:
    """A row for each system, a column for each metric: ``0.213 [0.198, 0.228] ↓``."""
    metrics = list(rows["metric"].drop_duplicates())
    cells: dict[str, dict[str, str]] = {}
    for row in rows.to_dict("records"):
        name = row["label"] + (" (reference)" if row["role"] == "reference" else "")
        arrow = arrows.get(row["verdict"], "")
        interval = "" if math.isnan(row["low"]) else f" [{row['low']:.4f}, {row['high']:.4f}]"
        text = f"{row['mean']:.4f}{interval} {arrow}".rstrip()
        cells.setdefault(name, {})[row["metric"]] = text
    lines = [[name, *(by.get(metric, "-") for metric in metrics)] for name, by in cells.items()]
    return pd.DataFrame(lines, columns=["system", *metrics])


def _tests(rows: pd.DataFrame) -> pd.DataFrame:
    """A row for each test, those of one system together."""
    tested = rows[rows["p_holm"].notna()]
    order = {label: place for place, label in enumerate(tested["label"].drop_duplicates())}
    tested = tested.sort_values("label", key=lambda labels: labels.map(order), kind="stable")
    lines = [_test(row) for row in tested.to_dict("records")]
    return pd.DataFrame(lines, columns=[*_TEST_COLUMNS, "verdict"])


def _test(row: Mapping[Any, Any]) -> list[str]:
    return [
        row["label"],
        row["metric"],
        f"{row['difference']:+.4f}",
        f"[{row['difference_low']:+.4f}, {row['difference_high']:+.4f}]",
        f"{row['effect_size']:+.2f}",
        _p(row["p_value"]),
        _p(row["p_holm"]),
        row["verdict"],
    ]


def _p(value: float) -> str:
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def _pipe(frame: pd.DataFrame) -> str:
    rows: list[Sequence[str]] = [list(frame.columns), *frame.astype(str).to_numpy().tolist()]
    rows = [[re.sub(r"\|", r"\\|", cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(frame.columns))]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)) + " |" for r in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])
