"""A comparison becomes Markdown, LaTeX and CSV; no number in them is typed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from musicrag.artifacts import atomic_file, write_text
from musicrag.report.comparison import Table
from musicrag.report.figure import draw

_CSV_COLUMNS = (
    *("query_type", "label", "role", "metric", "mean", "low", "high", "num_queries", "num_seeds"),
    *("difference", "difference_low", "difference_high", "effect_size"),
    *("p_value", "p_holm", "p_randomisation", "verdict"),
)

_LATEX = str.maketrans({"_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "@": r"@"})


def write_table(table: Table, folder: Path, caption: str) -> str:
    """Write ``table.csv``, ``table.md``, ``table.tex`` and ``figure.png``; return the Markdown."""
    columns = [name for name in _CSV_COLUMNS if name in table.rows]
    with atomic_file(folder / "table.csv") as path:
        table.rows[columns].to_csv(path, index=False)
    text = markdown(table, caption)
    write_text(folder / "table.md", text)
    write_text(folder / "table.tex", latex(table, caption))
    with atomic_file(folder / "figure.png") as path:
        draw(table, path)
    return text


def markdown(table: Table, caption: str) -> str:
    """Means with 95 % intervals for each query type, then the tests against the reference."""
    parts = [caption]
    for query_type, rows in _by_query_type(table.rows):
        parts += [f"### {query_type} queries ({_sizes(rows)})", _pipe(_means(rows))]
        tests = _tests(rows)
        if len(tests):
            parts += [f"Difference from `{table.reference}`:", _pipe(tests)]
    parts += [f"Note: {note}" for note in table.notes]
    return "\n\n".join(parts) + "\n"


def latex(table: Table, caption: str) -> str:
    """One booktabs table for each query type; needs ``\\usepackage{booktabs}``."""
    parts = []
    for query_type, rows in _by_query_type(table.rows):
        means = _means(rows, mark=True)
        head = " & ".join(means.columns).translate(_LATEX)
        body = "\n".join(
            " & ".join(str(cell) for cell in row).translate(_LATEX) + r" \\"
            for row in means.itertuples(index=False)
        )
        legend = f"{caption} {query_type.capitalize()} queries, {_sizes(rows)}.".translate(_LATEX)
        parts.append(
            "\\begin{table}\n\\centering\n"
            f"\\caption{{{legend} $^*$: differs from {table.reference.translate(_LATEX)}, "
            "$p<0.05$ after Holm.}\n"
            f"\\begin{{tabular}}{{l{'r' * (len(means.columns) - 1)}}}\n\\toprule\n"
            f"{head} \\\\\n\\midrule\n{body}\n\\bottomrule\n\\end{{tabular}}\n\\end{{table}}\n"
        )
    return "\n".join(parts)


def _by_query_type(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(str(t), rows[rows["query_type"] == t]) for t in rows["query_type"].drop_duplicates()]


def _sizes(rows: pd.DataFrame) -> str:
    """Numbers of queries and seeds behind a part of the table."""
    queries = sorted(rows["num_queries"].unique().tolist())
    seeds = int(rows["num_seeds"].max())
    count = f"{queries[0]}" if len(queries) == 1 else f"{queries[0]} to {queries[-1]}"
    return f"n = {count} queries, {seeds} seed{'s' if seeds > 1 else ''}"


def _means(rows: pd.DataFrame, mark: bool = False) -> pd.DataFrame:
    """A row for each system, a column for each metric: ``0.213 [0.198, 0.228]``."""
    metrics = list(rows["metric"].drop_duplicates())
    cells: dict[str, dict[str, str]] = {}
    for row in rows.to_dict("records"):
        star = "$^*$" if mark and row["verdict"] in ("better", "worse") else ""
        text = f"{row['mean']:.4f}{star} [{row['low']:.4f}, {row['high']:.4f}]"
        cells.setdefault(row["label"], {})[row["metric"]] = text
    lines = [[label, *(by.get(metric, "-") for metric in metrics)] for label, by in cells.items()]
    return pd.DataFrame(lines, columns=["system", *metrics])


def _tests(rows: pd.DataFrame) -> pd.DataFrame:
    tested = rows[rows["p_holm"].notna()]
    lines = [
        [
            row["label"],
            row["metric"],
            f"{row['difference']:+.4f}",
            f"[{row['difference_low']:+.4f}, {row['difference_high']:+.4f}]",
            f"{row['effect_size']:+.2f}",
            _p(row["p_value"]),
            _p(row["p_holm"]),
            row["verdict"],
        ]
        for row in tested.to_dict("records")
    ]
    names = ["system", "metric", "difference", "95 % interval", "d_z", "p", "p (Holm)", "verdict"]
    return pd.DataFrame(lines, columns=names)


def _p(value: float) -> str:
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def _pipe(frame: pd.DataFrame) -> str:
    rows: list[Sequence[str]] = [list(frame.columns), *frame.astype(str).to_numpy().tolist()]
    widths = [max(len(row[i]) for row in rows) for i in range(len(frame.columns))]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)) + " |" for r in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])
