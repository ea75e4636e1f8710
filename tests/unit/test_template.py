from __future__ import annotations

import numpy as np
from worlds import NOTHING, graph_of, path

from musicrag.contracts import Query, Ranking
from musicrag.graph.knowledge import KnowledgeGraph
from musicrag.graph.schema import RELATIONS
from musicrag.rag.template import TemplateGenerator, render
from musicrag.types import Node, ScoredPath

QUERY = Query("user:u", 0, "", NOTHING, NOTHING, NOTHING)
BARE = graph_of(
    [
        ("User:u", "LISTENED", "Song:a", 1.0),
        ("Song:a", "SIMILAR_TO", "Song:b", 1.0),
        ("Song:c", "SIMILAR_TO", "Song:a", 1.0),
    ]
)
NAMES = {Node("Song", "a"): "Glass Harbour", Node("Song", "b"): "Paper Lanterns"}
GRAPH = KnowledgeGraph(BARE.nodes, BARE.edges, NAMES, "Song")
TO_B = path("User:u", "LISTENED", "Song:a", "SIMILAR_TO", "Song:b")
OTHER_TO_B = path("Song:a", "SIMILAR_TO", "Song:b")


def ranking(items: list[int], *paths: ScoredPath) -> Ranking:
    return Ranking("user:u", np.array(items), np.arange(len(items), 0, -1), paths)


def generate(found: Ranking, num_items: int = 2) -> list[str]:
    generator = TemplateGenerator(num_items, GRAPH, GRAPH.nodes["Song"].ids)
    return generator.generate(QUERY, found).split("\n")


def test_every_item_is_named_in_order_with_its_first_path() -> None:
    found = ranking([1, 2, 0], ScoredPath(TO_B, 1.0), ScoredPath(OTHER_TO_B, 0.5))
    assert generate(found) == [f"Paper Lanterns: {render(TO_B, GRAPH)}", "c"]


def test_no_more_items_are_named_than_asked_for() -> None:
    assert len(generate(ranking([2, 1, 0]), num_items=1)) == 1
    assert generate(ranking([2]), num_items=5) == ["c"]
    assert generate(ranking([])) == [""]


def test_a_rendering_names_every_node_of_its_path() -> None:
    text = render(TO_B, GRAPH)
    assert text == "u is listened to with Glass Harbour, Glass Harbour is similar to Paper Lanterns"


def test_every_relation_has_words_of_its_own() -> None:
    phrases = {
        relation: render(path("Song:a", relation, "Song:b"), GRAPH) for relation in RELATIONS
    }
    assert len(set(phrases.values())) == len(RELATIONS)
    bare = {
        name
        for name, text in phrases.items()
        if text == f"Glass Harbour {name.lower()} Paper Lanterns"
    }
    assert not bare - {"KNOWS"}


def test_the_same_ranking_gives_the_same_text() -> None:
    found = ranking([1, 0], ScoredPath(TO_B, 1.0))
    assert generate(found) == generate(found)
