"""The demo world's tables: their shape, their repeatability, and what each dial may change."""

from __future__ import annotations

from functools import cache
from pathlib import Path as FilePath

import numpy as np
import pandas as pd
import pytest
import yaml

from musicrag.artifacts import hash_file, hash_frames
from musicrag.contracts import TABLES, RawTables
from musicrag.sources.demo.source import DemoSource
from musicrag.sources.demo.words import MOODS
from musicrag.types import InputError, Node, Path

ROOT = FilePath(__file__).parents[2]
SMALL: dict[str, float] = {
    "num_songs": 80,
    "num_artists": 20,
    "num_users": 30,
    "num_playlists": 15,
    "num_text_queries": 40,
    "audio_signal": 0.7,
    "lyrics_signal": 0.7,
    "emotion_signal": 0.7,
    "seed": 3,
    "audio_duration_s": 0.5,
    "sample_rate_hz": 8000,
    "mood_coverage": 0.4,
    "interactions_per_song": 6.0,
    "new_release_share": 0.4,
}


def make(folder: FilePath, **changes: float) -> DemoSource:
    return DemoSource(**{**SMALL, **changes}, cache_dir=str(folder))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> FilePath:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def tables(folder: FilePath) -> RawTables:
    return make(folder).load()


def sounds(tables: RawTables) -> list[str]:
    return [hash_file(FilePath(path)) for path in tables["audio"]["path"]]


def changed(one: RawTables, other: RawTables) -> set[str]:
    return {name for name in one if hash_frames({"": one[name]}) != hash_frames({"": other[name]})}


def test_tables_given_are_the_tables_announced(folder: FilePath, tables: RawTables) -> None:
    assert set(tables) == make(folder).available()


@pytest.mark.parametrize("name", sorted(set(TABLES) - {"audio_features", "emotion_features"}))
def test_table_obeys_its_spec(name: str, tables: RawTables) -> None:
    if name == "nodes":
        assert name not in tables
        return
    spec, frame = TABLES[name], tables[name]
    assert set(frame.columns) <= set(spec.columns)
    assert {key for key, column in spec.columns.items() if column.required} <= set(frame.columns)
    assert len(frame) > 0
    assert not frame.isna().any().any()
    assert not frame.duplicated([key for key in spec.key if key in frame.columns]).any()
    kinds = {"id": "str", "text": "str", "json_path": "str", "float": "float64", "int": "int64"}
    for column, dtype in frame.dtypes.items():
        assert dtype == kinds[spec.columns[str(column)].type], column


@pytest.mark.parametrize(
    ("table", "column", "target"),
    [
        ("items", "artist_id", "artists"),
        ("interactions", "item_id", "items"),
        ("interactions", "user_id", "users"),
        ("playlist_items", "playlist_id", "playlists"),
        ("playlist_items", "item_id", "items"),
        ("item_tags", "item_id", "items"),
        ("qrels", "query_id", "queries"),
        ("qrels", "item_id", "items"),
        ("query_anchors", "query_id", "queries"),
        ("gold_paths", "item_id", "items"),
    ],
)
def test_reference_points_at_a_row(table: str, column: str, target: str, tables: RawTables) -> None:
    key = TABLES[target].key[0]
    assert set(tables[table][column]) <= set(tables[target][key])


def test_same_seed_gives_same_tables_and_same_sounds(
    tables: RawTables, folder: FilePath, tmp_path: FilePath
) -> None:
    again = make(tmp_path).load()
    assert changed(tables, again) == {"audio"}  # its paths lie in another folder
    assert sounds(tables) == sounds(again)
    assert changed(tables, make(folder).load()) == set()


def test_another_seed_gives_another_world(tables: RawTables, folder: FilePath) -> None:
    other = make(folder, seed=4).load()
    assert changed(tables, other) >= set(tables) - {"users"}
    assert not set(sounds(tables)) & set(sounds(other))


def test_audio_dial_changes_sounds_only(tables: RawTables, folder: FilePath) -> None:
    other = make(folder, audio_signal=0.0).load()
    assert changed(tables, other) == {"audio"}
    assert not set(sounds(tables)) & set(sounds(other))


@pytest.mark.parametrize("dial", ["lyrics_signal", "emotion_signal"])
def test_lyrics_dial_changes_lyrics_only(dial: str, tables: RawTables, folder: FilePath) -> None:
    other = make(folder, **{dial: 0.0}).load()
    assert changed(tables, other) == {"lyrics"}


def test_mood_coverage_zero_leaves_no_mood_label(folder: FilePath) -> None:
    assert set(make(folder, mood_coverage=0.0).load()["item_tags"]["kind"]) == {"genre"}


def test_mood_labels_cover_the_asked_share(tables: RawTables) -> None:
    tags = tables["item_tags"]
    assert (tags["kind"] == "mood").sum() == pytest.approx(0.4 * 80, abs=12)


def test_only_missing_sounds_are_written(tmp_path: FilePath) -> None:
    paths = [FilePath(path) for path in make(tmp_path).load()["audio"]["path"]]
    before = {path: (hash_file(path), path.stat().st_mtime_ns) for path in paths}
    paths[5].unlink()
    make(tmp_path).load()
    rewritten = [path for path in paths if path.stat().st_mtime_ns != before[path][1]]
    assert rewritten == [paths[5]]
    assert hash_file(paths[5]) == before[paths[5]][0]
    assert sorted(paths[0].parent.iterdir()) == sorted(paths)


def test_timestamps_rise_along_each_history(tables: RawTables) -> None:
    by_user = tables["interactions"].groupby("user_id")["timestamp"]
    assert (by_user.diff().dropna() > 0).all()


def test_mean_popularity_is_as_asked_with_a_long_tail(tables: RawTables) -> None:
    counts = tables["interactions"]["item_id"].value_counts().reindex(tables["items"]["item_id"])
    assert counts.fillna(0).mean() == pytest.approx(6.0, rel=0.2)
    assert (counts.fillna(0) <= 4).mean() > 0.2


@cache
def _node(text: str) -> Node:
    return Node.parse(text)


def edges_of(tables: RawTables) -> set[tuple[Node, str, Node]]:
    """Every edge that the tables show, its ends sorted."""
    items, tags = tables["items"], tables["item_tags"]
    listened = tables["interactions"][["user_id", "item_id"]]
    inside = tables["playlist_items"][["item_id", "playlist_id"]]
    links = tables["links"].itertuples(index=False)
    relations = {"genre": ("HAS_GENRE", "Genre"), "mood": ("EVOKES", "Mood")}
    edges = [(f"Song:{s}", "PERFORMED_BY", f"Artist:{a}") for s, a in _rows(items, "artist_id")]
    edges += [(f"User:{u}", "LISTENED", f"Song:{s}") for u, s in listened.itertuples(index=False)]
    edges += [(f"Song:{s}", "IN_PLAYLIST", f"Playlist:{p}") for s, p in inside.to_numpy()]
    for song, tag, kind in tags[["item_id", "tag", "kind"]].itertuples(index=False):
        relation, node_type = relations[kind]
        edges.append((f"Song:{song}", relation, f"{node_type}:{tag}"))
    edges += [(f"{st}:{si}", relation, f"{tt}:{ti}") for st, si, relation, tt, ti in links]
    ends = [(_node(a), relation, _node(b)) for a, relation, b in edges]
    return {(min(a, b), relation, max(a, b)) for a, relation, b in ends}


def _rows(frame: pd.DataFrame, column: str) -> list[tuple[str, str]]:
    return list(frame[["item_id", column]].itertuples(index=False, name=None))


def test_every_gold_path_runs_on_edges_of_the_tables(tables: RawTables) -> None:
    edges = edges_of(tables)
    for row in tables["gold_paths"].itertuples():
        path = Path.from_json(str(row.path))
        assert path.edges() <= edges, row.path
        assert path.num_hops <= 3
        assert path.target == Node("Song", str(row.item_id))


def test_gold_path_of_a_user_starts_from_a_song_heard_before(tables: RawTables) -> None:
    heard = tables["interactions"].set_index(["user_id", "item_id"])["timestamp"].to_dict()
    gold = tables["gold_paths"].query("query_type == 'user'")
    for row in gold.itertuples():
        nodes = Path.from_json(str(row.path)).nodes
        assert nodes[0] == Node("User", str(row.query_id))
        assert heard[row.query_id, nodes[1].id] < heard[row.query_id, row.item_id]


def test_gold_path_of_a_playlist_starts_from_an_earlier_track(tables: RawTables) -> None:
    place = tables["playlist_items"].set_index(["playlist_id", "item_id"])["position"].to_dict()
    for row in tables["gold_paths"].query("query_type == 'playlist'").itertuples():
        first = Path.from_json(str(row.path)).nodes[0]
        assert place[row.query_id, first.id] < place[row.query_id, row.item_id]


def test_gold_path_of_a_text_leads_from_an_anchor_to_an_answer(tables: RawTables) -> None:
    anchors = set(tables["query_anchors"].itertuples(index=False, name=None))
    answers = set(tables["qrels"][["query_id", "item_id"]].itertuples(index=False, name=None))
    hops = set()
    for row in tables["gold_paths"].query("query_type == 'text'").itertuples():
        path = Path.from_json(str(row.path))
        assert (row.query_id, path.nodes[0].type, path.nodes[0].id) in anchors
        assert (row.query_id, row.item_id) in answers
        hops.add(path.num_hops)
    assert hops == {1, 2, 3}


def test_most_interactions_have_a_planted_path(tables: RawTables) -> None:
    gold = tables["gold_paths"].query("query_type == 'user'")
    explained = gold.drop_duplicates(["query_id", "item_id"])
    assert len(explained) > 0.95 * (len(tables["interactions"]) - 3 * 30)


def test_users_and_playlists_are_not_linked(tables: RawTables) -> None:
    of_type = tables["gold_paths"].groupby("query_type")["path"]
    assert not of_type.get_group("user").str.contains("IN_PLAYLIST").any()
    assert not of_type.get_group("playlist").str.contains("LISTENED").any()


def test_text_query_has_three_to_thirty_answers_and_its_own_words(tables: RawTables) -> None:
    sizes = tables["qrels"].groupby("query_id").size()
    assert sizes.between(3, 30).all()
    assert set(sizes.index) == set(tables["queries"]["query_id"])
    assert tables["queries"]["text"].is_unique


def test_answers_of_a_mood_query_follow_the_truth(folder: FilePath, tables: RawTables) -> None:
    mood_of_song = make(folder).world.song_mood
    one_mood = tables["queries"][tables["queries"]["text"].str.startswith("very ")]
    answers = tables["qrels"].groupby("query_id")["item_id"]
    assert len(one_mood) > 0
    for query_id, text in one_mood.itertuples(index=False):
        moods = {MOODS[mood_of_song[int(item[1:])]] for item in answers.get_group(query_id)}
        assert text == f"very {moods.pop()} songs"
        assert not moods


def test_titles_and_names_are_unique(tables: RawTables) -> None:
    assert tables["items"]["title"].is_unique
    assert tables["artists"]["name"].is_unique


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("num_songs", 10),
        ("num_artists", 81),
        ("num_users", 0),
        ("num_playlists", 0),
        ("num_text_queries", 0),
        ("audio_signal", 1.1),
        ("lyrics_signal", -0.1),
        ("emotion_signal", float("nan")),
        ("seed", -1),
        ("audio_duration_s", 0.0),
        ("sample_rate_hz", 100),
        ("mood_coverage", 2.0),
        ("interactions_per_song", 16.0),
        ("new_release_share", 1.5),
    ],
)
def test_argument_out_of_range_is_named(argument: str, value: float, tmp_path: FilePath) -> None:
    with pytest.raises(InputError, match=rf"^{argument}={value}.*Choose a value"):
        make(tmp_path, **{argument: value})


def test_nobody_hears_a_new_song_before_its_release(tmp_path: FilePath) -> None:
    source = make(tmp_path)
    listens = source.load()["interactions"]
    start, period = 1_640_995_200.0, 365 * 86_400.0
    released = source.world.released[listens["item_id"].str[1:].astype(int)]
    assert (released > 0).any()
    assert (listens["timestamp"] - start >= np.floor(released * period)).all()


def test_too_many_text_queries_are_refused_with_the_number_possible(tmp_path: FilePath) -> None:
    source = make(tmp_path, num_songs=20, num_artists=4, num_text_queries=500)
    with pytest.raises(InputError, match=r"num_text_queries=500 .* answers \d+ different"):
        source.load()


@pytest.mark.parametrize("name", ["demo", "demo_large"])
def test_shipped_config_fits_the_constructor(name: str, tmp_path: FilePath) -> None:
    config = yaml.safe_load((ROOT / "conf" / "data" / f"{name}.yaml").read_text("utf-8"))
    assert config.pop("name") == DemoSource.name
    module, _, attribute = config.pop("_target_").rpartition(".")
    assert (module, attribute) == (DemoSource.__module__, DemoSource.__name__)
    DemoSource(**{**config, "cache_dir": str(tmp_path)})
    assert set(config) == set(SMALL) | {"cache_dir"}
