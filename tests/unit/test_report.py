"""Tables that can be pasted into a paper, and a figure that opens."""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path

import pandas as pd
import pytest

from musicrag.report.comparison import OUTPUT_COLUMNS, Table
from musicrag.report.figure import draw
from musicrag.report.render import escape_latex, latex, markdown, write_table

GOLDEN = Path(__file__).parents[1] / "golden"
CAPTION = "ablation_audio on demo (audio: librosa). 3% of the queries have no gold path."
_NAN = float("nan")
_UNTESTED = (*(_NAN,) * 7, "")
_WITH = ("features/audio=auto", "reference")
_WITHOUT = ("features/audio=none", "variant")
_WORSE = (-0.1, -0.12, -0.08, -0.9, 0.00001, 0.00002, 0.0001, "worse")
_BETTER = (0.05, 0.02, 0.08, 0.5, 0.001, 0.001, 0.002, "better")
_UNCLEAR = (0.01, -0.02, 0.04, 0.1, 0.4, 0.8, 0.41, "no evidence of a difference")
_ROWS = [
    ("user", *_WITH, "ndcg@10", 0.4, 0.35, 0.45, 24, 5, *_UNTESTED),
    ("user", *_WITHOUT, "ndcg@10", 0.3, 0.25, 0.35, 24, 5, *_WORSE),
    ("user", "item_knn", "baseline", "ndcg@10", 0.41, 0.36, 0.46, 24, 1, *_UNCLEAR),
    ("user", *_WITH, "path_recall@10", 0.2, 0.1, 0.3, 23, 5, *_UNTESTED),
    ("user", *_WITHOUT, "path_recall@10", 0.25, 0.15, 0.35, 23, 5, *_BETTER),
    ("text", *_WITH, "ndcg@10", 0.5, _NAN, _NAN, 1, 5, *_UNTESTED),
]
TABLE = Table(
    pd.DataFrame(_ROWS, columns=OUTPUT_COLUMNS),
    "features/audio=auto",
    ("A mean over a single query has no interval and is not tested.",),
)


@pytest.mark.parametrize(
    ("name", "text"),
    [("table.md", markdown(TABLE, CAPTION)), ("table.tex", latex(TABLE, CAPTION))],
)
def test_table_reads_as_agreed(name: str, text: str) -> None:
    """``UPDATE_GOLDEN=1 pytest …`` writes the files anew; read the difference before a commit."""
    if os.environ.get("UPDATE_GOLDEN"):
        (GOLDEN / name).write_text(text, encoding="utf-8")
    assert text == (GOLDEN / name).read_text(encoding="utf-8")


def test_markdown_says_what_the_sign_means() -> None:
    text = markdown(TABLE, CAPTION)
    assert "Reference: `features/audio=auto`" in text
    assert "system minus reference" in text
    assert "negative one means that the system ranks worse" in text
    assert "n = 24 queries, 23 for path_recall@10; 5 seeds" in text


def test_markdown_tables_are_rectangular() -> None:
    blocks = [b for b in markdown(TABLE, CAPTION).split("\n\n") if b.startswith("|")]
    assert len(blocks) == 4
    for block in blocks:
        assert len({line.count("|") for line in block.splitlines()}) == 1
        assert len({len(line) for line in block.splitlines()}) == 1


def test_latex_is_balanced_and_uses_booktabs() -> None:
    text = latex(TABLE, CAPTION)
    for environment in ("table", "tabular"):
        begins = text.count(f"\\begin{{{environment}}}")
        assert begins == text.count(f"\\end{{{environment}}}") == 2
    for rule in ("toprule", "midrule", "bottomrule"):
        assert text.count(f"\\{rule}") == 2
    bare = re.sub(r"\\.", "", text)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0


def test_latex_rows_have_as_many_cells_as_columns() -> None:
    for tabular in re.findall(r"tabular\}\{(l+r+)\}(.*?)\\bottomrule", latex(TABLE, CAPTION), re.S):
        columns, body = tabular
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert rows
        assert all(len(re.findall(r"(?<!\\)&", row)) == len(columns) - 1 for row in rows)


def test_latex_leaves_no_special_character_bare() -> None:
    text = re.sub(r"\\[a-z]+\{[^}]*\}|\$[^$]*\$", "", latex(TABLE, CAPTION))
    assert re.findall(r"(?<!\\)[_%#~^]", text) == []


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("path_recall@10", r"path\_recall@10"),
        ("100% & #1", r"100\% \& \#1"),
        ("a~b^c$", r"a\textasciitilde{}b\textasciicircum{}c\$"),
        ("{x}\\", r"\{x\}\textbackslash{}"),
    ],
)
def test_special_characters_print_as_themselves(text: str, escaped: str) -> None:
    assert escape_latex(text) == escaped


def test_files_are_written_together(tmp_path: Path) -> None:
    text = write_table(TABLE, tmp_path / "new", CAPTION)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        *("figure.png", "table.csv", "table.md", "table.tex")
    ]
    assert (tmp_path / "new" / "table.md").read_text(encoding="utf-8") == text


def test_csv_holds_every_number(tmp_path: Path) -> None:
    write_table(TABLE, tmp_path, CAPTION)
    read = pd.read_csv(tmp_path / "table.csv", keep_default_na=True)
    assert list(read.columns) == OUTPUT_COLUMNS
    pd.testing.assert_frame_equal(read.fillna({"verdict": ""}), TABLE.rows)


def test_figure_is_a_png_of_sensible_size(tmp_path: Path) -> None:
    draw(TABLE, tmp_path / "figure.png")
    head = (tmp_path / "figure.png").read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", head[16:24])
    assert 300 < width < 4000
    assert 200 < height < 4000


def test_same_table_gives_the_same_figure(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        draw(TABLE, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
