"""The documentation of the data format says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from musicrag.contracts import TABLES
from musicrag.graph.schema import NODE_TYPES, RELATIONS
from musicrag.sources.folder import TablesFolder
from musicrag.tables import describe
from musicrag.tables.clean import clean
from musicrag.types import InputError

DOC = Path(__file__).parents[2] / "docs" / "data_format.md"
TEXT = DOC.read_text(encoding="utf-8")


def test_tables_in_the_document_are_those_of_the_code() -> None:
    assert describe.update(TEXT) == TEXT, "run python -m musicrag.tables.describe"


def test_every_column_is_described() -> None:
    for name, spec in TABLES.items():
        section = TEXT.split(f"### `{name}`\n")[1].split("\n### ")[0]
        columns = re.findall(r"^\| `(\w+)` \| (\w+) \| (yes|no) \|", section, flags=re.MULTILINE)
        assert columns == [
            (column, about.type, "yes" if about.required else "no")
            for column, about in spec.columns.items()
        ]


def test_update_command_restores_the_document(tmp_path: Path) -> None:
    before, rest = TEXT.split(describe.BEGIN)
    document = tmp_path / "data_format.md"
    document.write_text(
        before + describe.BEGIN + "stale" + describe.END + rest.split(describe.END)[1]
    )
    describe.main([str(document)])
    assert document.read_text(encoding="utf-8") == TEXT


def test_document_without_markers_is_refused() -> None:
    with pytest.raises(InputError, match="tables:begin"):
        describe.update("# nothing here")


def test_shown_error_is_the_one_that_is_raised(example_folder: Path) -> None:
    for name, rows in {
        "interactions": "u2,s9,1,1712172801\nu2,s3,many,1712172802\n",
        "playlist_items": "p1,s1,2\n",
    }.items():
        path = example_folder / f"{name}.csv"
        path.write_text(path.read_text() + rows)
    source = TablesFolder(str(example_folder))
    with pytest.raises(InputError) as error:
        clean(source.name, source.item_type, source.load())
    shown = TEXT.split("```text\n")[1].split("\n```")[0]
    assert str(error.value) == shown


def test_node_types_and_relations_are_those_of_the_graph() -> None:
    types, relations = re.search(
        r"Node types are ([\w\s,]+)\. Relations in `links` are ([\w\s,]+)\.", TEXT
    ).groups()
    assert re.findall(r"\b[A-Z]\w+", types) == sorted(NODE_TYPES)
    allowed = {
        name
        for name, relation in RELATIONS.items()
        if relation.origin not in ("interactions", "playlist_items")
    }
    assert set(re.findall(r"\b[A-Z_]{3,}\b", relations)) == allowed
