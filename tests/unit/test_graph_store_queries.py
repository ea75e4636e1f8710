"""Nothing but the schema's names may stand in a query, whichever store asks."""

from __future__ import annotations

from pathlib import Path

import pytest

from musicrag.graph.schema import NODE_TYPES, RELATIONS
from musicrag.graph.stores import _bolt_cypher, _ladybug_cypher
from musicrag.graph.stores._parts import TRIPLES, Triple, quoted, schema_version
from musicrag.types import InputError

EVIL = "Song`) DETACH DELETE n //"
FOR_NODES = (
    *("all_nodes", "which_ids", "merge_nodes", "put_nodes", "copy_nodes", "constraint"),
    *("any_node", "sweep_nodes", "sweep_edges", "count_nodes", "count_edges"),
)
FOR_EDGES = ("all_edges", "put_edges", "remove_turned", "copy_edges", "remove_edges")


def test_quoted_passes_the_schema_and_nothing_else() -> None:
    assert {quoted(name) for name in (*NODE_TYPES, *RELATIONS)} == {
        f"`{name}`" for name in (*NODE_TYPES, *RELATIONS)
    }
    for name in (EVIL, "song", "Song ", "", "`Song`", "MusicragGraph"):
        with pytest.raises(InputError, match="neither a node type nor a relation"):
            quoted(name)


@pytest.mark.parametrize("module", [_bolt_cypher, _ladybug_cypher])
def test_no_query_takes_another_label(module: object) -> None:
    tried = 0
    for name in FOR_NODES:
        if hasattr(module, name):
            tried += 1
            with pytest.raises(InputError):
                getattr(module, name)(EVIL)
    for name in FOR_EDGES:
        if not hasattr(module, name):
            continue
        for triple in (
            Triple(EVIL, "LISTENED", "Song"),
            Triple("User", EVIL, "Song"),
            Triple("User", "LISTENED", EVIL),
        ):
            tried += 1
            with pytest.raises(InputError):
                getattr(module, name)(triple)
    with pytest.raises(InputError):
        module.within(EVIL, 2)  # type: ignore[attr-defined]
    assert tried > 10


def test_triples_are_the_pairs_of_the_schema() -> None:
    assert len(TRIPLES) == sum(len(relation.pairs) for relation in RELATIONS.values())
    assert Triple("User", "LISTENED", "Artist") in TRIPLES
    assert Triple("Song", "CO_OCCURS", "Artist") not in TRIPLES


def test_a_path_is_one_string_whatever_it_holds() -> None:
    text = _ladybug_cypher.file_literal(Path("/a/it's [1]*?\\x"))
    assert text == r"'/a/it\'s [[]1][*][?]\\x'"


def test_the_schema_version_follows_the_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    before = schema_version()
    assert before == schema_version()
    monkeypatch.setattr("musicrag.graph.stores._parts.NODE_TYPES", (*NODE_TYPES, "Label"))
    assert schema_version() != before
