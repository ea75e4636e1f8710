"""A network that was trained on one graph gives vectors to the nodes of a grown one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest
import torch
from worlds import NOTHING, Row, blocks, graph_of, rows_of

from musicrag.gnn.adjacency import Norm, RelationalAdjacency, Relations
from musicrag.gnn.layers import GatLayer, GcnLayer, GraphSageLayer
from musicrag.gnn.model import GraphEncoder, NodeFeatures
from musicrag.gnn.placing import affected, full, place
from musicrag.gnn.saved import SavedNetwork, freeze
from musicrag.gnn.training import GraphRecommender, Objective, fit
from musicrag.graph.knowledge import KnowledgeGraph
from musicrag.types import FloatArray, InputError, IntArray, Node, Vocabulary

DIM, WIDTH = 8, 3
LAYERS: dict[str, tuple[Callable[[int, int], torch.nn.Module], str, dict[str, object]]] = {
    "graphsage": (GraphSageLayer, "musicrag.gnn.layers.GraphSageLayer", {}),
    "gcn": (GcnLayer, "musicrag.gnn.layers.GcnLayer", {}),
    "gat": (partial(GatLayer, num_heads=4), "musicrag.gnn.layers.GatLayer", {"num_heads": 4}),
}
every_layer = pytest.mark.parametrize("layer", sorted(LAYERS))


def old_rows(num_songs: int = 60, num_users: int = 40) -> list[Row]:
    """A sparse world of weighted edges, so that two hops do not reach everything."""
    rng = np.random.default_rng(0)
    rows: list[Row] = []
    for song in range(num_songs):
        rows.append((f"Song:s{song:02d}", "PERFORMED_BY", f"Artist:a{song // 3:02d}", 1.0))
        rows.append((f"Song:s{song:02d}", "HAS_GENRE", f"Genre:g{song // 6}", rng.uniform(0.1, 1)))
    for user in range(num_users):
        for song in rng.choice(num_songs, 2, replace=False):
            rows.append((f"User:u{user:02d}", "LISTENED", f"Song:s{song:02d}", rng.uniform(1, 5)))
    rows.append(("Artist:a00", "COLLABORATED_WITH", "Artist:a07", 2.0))
    return rows


OLD = graph_of(old_rows(), ["Song:s30x", "User:ulonely"])
NEW_ROWS: list[Row] = [
    ("Song:s00new", "PERFORMED_BY", "Artist:a00", 1.0),  # sorts into the middle: indices shift
    ("Song:a_first", "PERFORMED_BY", "Artist:b_new", 1.0),
    ("Song:a_first", "HAS_GENRE", "Genre:g3", 0.4),
    ("User:u05", "LISTENED", "Song:s00new", 3.0),
    ("User:u00new", "LISTENED", "Song:s59", 2.0),
]
GONE = {("Song:s10", "PERFORMED_BY", "Artist:a03", 1.0)}
UNKNOWN: list[Row] = [
    ("Song:s05", "SIMILAR_TO", "Song:s44", 1.0),
    ("Song:s05", "ON_ALBUM", "Album:new", 1.0),
]
NOWHERE = "Song:s77alone"


def grown(rows: Iterable[Row] = (), without: Iterable[str] = ()) -> KnowledgeGraph:
    kept = [row for row in rows_of(OLD) if row not in GONE and row[1] not in without]
    names = [str(OLD.node(node)) for node in range(OLD.num_nodes)]
    return graph_of([*kept, *NEW_ROWS, *rows], [*names, NOWHERE])


def features_of(graph: KnowledgeGraph) -> dict[str, FloatArray]:
    """The same row for the same song in every graph; song s20 has none."""
    rows = []
    for song in graph.nodes["Song"].ids:
        rng = np.random.default_rng(list(song.encode()))
        rows.append(rng.normal(size=WIDTH + 1) * (song != "s20"))
    values = np.array(rows, dtype=np.float32)
    return {"lyrics": values[:, :WIDTH].copy(), "audio": values[:, WIDTH:].copy()}


@dataclass(frozen=True)
class Trained:
    encoder: GraphEncoder
    network: SavedNetwork


def trained(layer: str, num_layers: int = 2, graph: KnowledgeGraph = OLD) -> Trained:
    """As after training: random weights everywhere, some songs without an id vector."""
    torch.manual_seed(0)
    make, target, params = LAYERS[layer]
    songs = np.array([graph.index(Node("Song", song)) for song in graph.nodes["Song"].ids])
    is_warm = np.arange(len(songs)) % 5 > 0
    inputs = NodeFeatures(graph.num_nodes, songs, features_of(graph), DIM, is_warm)
    encoder = GraphEncoder(inputs, RelationalAdjacency(graph), make, DIM, num_layers, 0.1, 0.5)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.5)
    return Trained(encoder, freeze(encoder, graph, target, params))


def all_vectors(network: SavedNetwork, graph: KnowledgeGraph) -> FloatArray:
    return full(network, graph, features_of(graph), graph.nodes["Song"])


def placed(network: SavedNetwork, graph: KnowledgeGraph, nodes: IntArray) -> FloatArray:
    return place(network, graph, features_of(graph), graph.nodes["Song"], nodes)


def indices(graph: KnowledgeGraph, *names: str) -> IntArray:
    return np.array([graph.index(Node.parse(name)) for name in names], dtype=np.int64)


def gap(one: FloatArray, other: FloatArray) -> FloatArray:
    """Largest difference of each row."""
    return np.asarray(np.abs(one - other).max(axis=1))


@every_layer
@pytest.mark.parametrize("num_layers", [0, 1, 2, 3])
def test_on_the_graph_of_the_training_vectors_are_those_of_the_encoder(
    layer: str, num_layers: int
) -> None:
    model = trained(layer, num_layers)
    expected = model.encoder.eval()().detach().numpy()
    assert all_vectors(model.network, OLD).tobytes() == expected.tobytes()


@every_layer
@pytest.mark.parametrize("num_layers", [0, 1, 2, 3])
def test_placed_rows_are_the_rows_of_the_whole_graph(layer: str, num_layers: int) -> None:
    network, graph = trained(layer, num_layers).network, grown(UNKNOWN)
    whole = all_vectors(network, graph)
    few = indices(graph, "Song:s00new", "User:u05", "Song:a_first", "Artist:a00", NOWHERE)
    repeated = np.concatenate([few[::-1], few[:2]])
    for nodes in (few, repeated, few[:1], np.arange(graph.num_nodes)):
        np.testing.assert_allclose(placed(network, graph, nodes), whole[nodes], atol=1e-5)
    for node in range(0, graph.num_nodes, 7):
        one = np.array([node])
        np.testing.assert_allclose(placed(network, graph, one), whole[one], atol=1e-5)
    assert placed(network, graph, few).dtype == np.float32
    assert placed(network, graph, NOTHING).shape == (0, DIM)


@every_layer
def test_only_the_neighbourhood_is_computed(layer: str) -> None:
    network, graph = trained(layer).network, grown()
    node = indices(graph, "Song:s30x", "Song:s00new")
    part, kept = RelationalAdjacency(graph, network.relations).around(node, 2)
    assert 5 < len(kept) < graph.num_nodes / 3
    assert part.num_nodes == len(kept)
    far = np.setdiff1d(np.arange(graph.num_nodes), kept)
    features = features_of(graph)
    first = graph.offsets["Song"]
    is_far = np.isin(np.arange(len(graph.nodes["Song"])) + first, far)
    for rows in features.values():
        rows[is_far] = np.nan
    vectors = place(network, graph, features, graph.nodes["Song"], node)
    np.testing.assert_array_equal(vectors, placed(network, graph, node))
    assert is_far.any()


@every_layer
def test_known_nodes_keep_their_vectors_when_indices_shift(layer: str) -> None:
    network = trained(layer).network
    names = [str(OLD.node(node)) for node in range(OLD.num_nodes)]
    shifted = graph_of(rows_of(OLD), [*names, "Album:x", "Song:00", "Song:s30y", "User:a"])
    moved = indices(shifted, *names)
    assert (moved > np.arange(OLD.num_nodes)).sum() > OLD.num_nodes / 2
    before, after = all_vectors(network, OLD), all_vectors(network, shifted)
    np.testing.assert_allclose(after[moved], before, atol=1e-6)


@every_layer
def test_relations_that_training_did_not_know_are_ignored(layer: str) -> None:
    network = trained(layer).network
    with_them, without = grown(UNKNOWN), grown()
    names = [str(without.node(node)) for node in range(without.num_nodes)]
    kept = indices(with_them, *names)
    np.testing.assert_allclose(
        all_vectors(network, with_them)[kept], all_vectors(network, without), atol=1e-6
    )


@every_layer
def test_relations_that_are_gone_keep_their_place(layer: str) -> None:
    network, graph = trained(layer).network, grown(without=["COLLABORATED_WITH", "HAS_GENRE"])
    assert graph.relations == ("HAS_GENRE", "LISTENED", "PERFORMED_BY")  # one new edge has it
    adjacency = RelationalAdjacency(graph, network.relations)
    assert adjacency.names == network.relations.names
    assert adjacency.names[:2] == ("COLLABORATED_WITH", "rev_COLLABORATED_WITH")
    assert set(adjacency.edge_type.tolist()) == set(range(2, 8))
    scales = torch.arange(8.0)
    x = torch.randn(graph.num_nodes, DIM)
    expected = sum(
        scales[place] * RelationalAdjacency(graph, Relations((name,), (1.0,))).relation_sum(
            x, torch.ones(1), "mean", None
        )
        for place, name in enumerate(network.relations.names)
    )  # fmt: skip
    torch.testing.assert_close(adjacency.relation_sum(x, scales, "mean", None), expected)
    nodes = np.arange(graph.num_nodes)
    np.testing.assert_allclose(
        placed(network, graph, nodes), all_vectors(network, graph), atol=1e-5
    )


@every_layer
def test_a_new_song_without_edges_is_placed_by_its_features(layer: str) -> None:
    network, graph = trained(layer).network, grown()
    song = indices(graph, NOWHERE)
    vector = placed(network, graph, song)
    np.testing.assert_allclose(np.linalg.norm(vector, axis=1), 1.0, atol=1e-5)
    features = features_of(graph)
    row = graph.nodes["Song"].idx(NOWHERE.partition(":")[2])
    features["audio"][row] += 2.0
    other = place(network, graph, features, graph.nodes["Song"], song)
    assert gap(vector, other)[0] > 0.05


@every_layer
def test_a_new_song_hears_the_artist_that_is_known(layer: str) -> None:
    network = trained(layer).network
    first, second = (
        grown([(NOWHERE, "PERFORMED_BY", artist, 1.0)]) for artist in ("Artist:a03", "Artist:a09")
    )
    vectors = [
        placed(network, graph, indices(graph, NOWHERE)) for graph in (grown(), first, second)
    ]
    assert gap(vectors[0], vectors[1])[0] > 0.05
    assert gap(vectors[1], vectors[2])[0] > 0.05


def test_new_nodes_have_no_id_vector_and_known_ones_their_own() -> None:
    network, graph = trained("graphsage", num_layers=0).network, grown()
    vectors = all_vectors(network, graph)
    assert not vectors[indices(graph, "User:u00new", "Artist:b_new")].any()
    known = indices(graph, "User:u07", "Artist:a05")
    ids = network.ids[indices(OLD, "User:u07", "Artist:a05")]
    np.testing.assert_allclose(
        vectors[known], ids / np.linalg.norm(ids, axis=1, keepdims=True), atol=1e-6
    )


@every_layer
def test_a_song_that_training_saw_without_listeners_gets_no_id_by_growing(layer: str) -> None:
    network, graph = trained(layer, num_layers=0).network, grown()
    changed = replace(network, ids=network.ids + 5.0)
    same = gap(all_vectors(network, graph), all_vectors(changed, graph)) < 1e-6
    cold = [f"Song:{song}" for song in OLD.nodes["Song"].ids[::5]]
    assert same[indices(graph, *cold)].all()
    assert not same[indices(graph, "Song:s01", "User:u07")].any()


@pytest.mark.parametrize(
    ("layer", "num_hops"),
    [("graphsage", None), ("gcn", None), ("gat", None), ("graphsage", 1), ("gat", 1)],
)
def test_nodes_that_are_not_affected_keep_their_vectors(layer: str, num_hops: int | None) -> None:
    network, graph = trained(layer).network, grown(UNKNOWN)
    ends = [end for row in (*NEW_ROWS, *GONE) for end in (row[0], row[2])]
    touched = affected(network, graph, indices(graph, *ends, NOWHERE), num_hops)
    kept = [str(OLD.node(node)) for node in range(OLD.num_nodes)]
    before, after = all_vectors(network, OLD), all_vectors(network, graph)[indices(graph, *kept)]
    is_touched = np.isin(indices(graph, *kept), touched)
    assert 0.1 < is_touched.mean() < 0.9
    assert gap(before, after)[~is_touched].max() < 1e-5
    is_tight = layer == "gcn" or num_hops == 1
    assert (gap(before, after)[is_touched] > 1e-5).mean() > (0.7 if is_tight else 0.3)


@pytest.mark.parametrize("norm", ["mean", "symmetric"])
def test_a_part_has_the_degrees_of_the_whole(norm: Norm) -> None:
    whole = RelationalAdjacency(grown())
    nodes = np.array([3, 40])
    part, kept = whole.around(nodes, 1)
    x = torch.randn(whole.num_nodes, DIM)
    scale = torch.linspace(0.5, 2.0, whole.num_relations)
    expected = whole.relation_sum(x, scale, norm, None)[nodes]
    found = part.relation_sum(x[kept], scale, norm, None)[np.searchsorted(kept, nodes)]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"audio": np.zeros((64, 2), dtype=np.float32)}, r"network needs .*'audio': \(64, 1\)"),
        ({"audio": np.zeros((62, 1), dtype=np.float32)}, "network needs"),
        ({"emotion": np.zeros((64, 1), dtype=np.float32)}, "modalities that it was trained with"),
    ],
)
def test_features_of_another_kind_are_an_input_error(
    change: dict[str, FloatArray], message: str
) -> None:
    network, graph = trained("graphsage").network, grown()
    songs = graph.nodes["Song"]
    with pytest.raises(InputError, match=message):
        place(network, graph, features_of(graph) | change, songs, NOTHING)
    missing = {"audio": features_of(graph)["audio"]}
    with pytest.raises(InputError, match=r"network needs .*'lyrics'"):
        full(network, graph, missing, songs)


def test_unknown_items_and_nodes_are_an_input_error() -> None:
    network, graph = trained("graphsage").network, grown()
    songs = graph.nodes["Song"].ids
    for node in (-1, graph.num_nodes):
        with pytest.raises(InputError, match=f"Node {node} is not in the graph"):
            placed(network, graph, np.array([node]))
        with pytest.raises(InputError, match=f"Node {node} is not in the graph"):
            affected(network, graph, np.array([node]))
    with pytest.raises(InputError, match="Unknown id 'nobody'"):
        full(network, graph, features_of(graph), [*songs[:-1], "nobody"])
    with pytest.raises(InputError, match="an item twice"):
        full(network, graph, features_of(graph), [*songs[:-1], songs[0]])


def test_item_rows_may_come_in_any_order() -> None:
    network, graph = trained("graphsage").network, grown()
    turned = {name: rows[::-1] for name, rows in features_of(graph).items()}
    ids = list(graph.nodes["Song"].ids[::-1])
    np.testing.assert_allclose(
        full(network, graph, turned, ids), all_vectors(network, graph), atol=1e-6
    )


WORLD = blocks()
ARTISTS: list[Row] = [
    (f"Song:{song}", "PERFORMED_BY", f"Artist:a{block}", 1.0)
    for song, block in zip(WORLD.graph.nodes["Song"].ids, WORLD.item_block, strict=True)
]
WITH_ARTISTS = graph_of([*rows_of(WORLD.graph), *ARTISTS])
GAPPY = WORLD.features * (np.arange(len(WORLD.features)) % 3 > 0)[:, None].astype(np.float32)


def learned(layer: str, seed: int, content: FloatArray) -> SavedNetwork:
    """Trained on two blocks of listeners, songs and artists."""
    graph = WITH_ARTISTS
    torch.manual_seed(seed)
    make, target, params = LAYERS[layer]
    songs, users = (
        np.array([graph.index(Node(kind, name)) for name in graph.nodes[kind].ids])
        for kind in ("Song", "User")
    )
    inputs = NodeFeatures(graph.num_nodes, songs, {"audio": content}, DIM, WORLD.is_warm)
    encoder = GraphEncoder(inputs, RelationalAdjacency(graph), make, DIM, 2, 0.1, 0.5)
    objective = Objective("softmax", 0.2, 8, 4, 0.02, 1e-6, 20, 10, 10)
    module = GraphRecommender(encoder, users, songs, WORLD.train, objective, lambda p, i: 0.0)
    trainer = {"accelerator": "cpu", "devices": 1, "enable_progress_bar": False}
    fit(module, WORLD.train, seed, trainer)
    return freeze(encoder, graph, target, params)


@every_layer
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    ("training", "has_features", "has_artist"),
    [
        pytest.param(WORLD.features, True, True, id="features-and-artist"),
        pytest.param(WORLD.features, True, False, id="features"),
        pytest.param(GAPPY, False, True, id="artist"),  # training has seen songs without features
    ],
)
def test_new_songs_are_found_by_the_listeners_of_their_kind(
    layer: str, seed: int, training: FloatArray, has_features: bool, has_artist: bool
) -> None:
    network = learned(layer, seed, training)
    new = {"s00new": 0, "s99new": 1}  # song to block; one sorts into the middle
    edges = [(f"Song:{s}", "PERFORMED_BY", f"Artist:a{b}", 1.0) for s, b in new.items()]
    rows = [*rows_of(WITH_ARTISTS), *(edges if has_artist else [])]
    graph = graph_of(rows, [f"Song:{song}" for song in new])
    content = dict(zip(WITH_ARTISTS.nodes["Song"].ids, training, strict=True))
    content |= {song: 2.0 * has_features * np.eye(2)[block] for song, block in new.items()}
    items = Vocabulary(content)
    features = {"audio": np.array([content[song] for song in items.ids], dtype=np.float32)}
    placed_songs = place(
        network, graph, features, items, indices(graph, *(f"Song:{song}" for song in new))
    )
    users = indices(graph, *(f"User:{user}" for user in graph.nodes["User"].ids))
    vectors = full(network, graph, features, items)
    scores = vectors[users] @ placed_songs.T  # [num_users, 2]
    is_own = WORLD.profile_block[:, None] == np.array(list(new.values()))
    assert scores[is_own].mean() > scores[~is_own].mean() + 0.3
    known = indices(graph, *(f"Song:{song}" for song in WITH_ARTISTS.nodes["Song"].ids))
    is_rival = WORLD.profile_block[:, None] != WORLD.item_block
    rivals = np.where(is_rival, vectors[users] @ vectors[known].T, -np.inf).max(axis=1)
    assert (scores > rivals[:, None])[is_own].mean() > 0.9
