"""A collection answers users, playlists and texts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from collection_world import contents_of, raw_tables

from musicrag.collection.contents import Contents
from musicrag.collection.recommend import Recommendation, Recommender
from musicrag.collection.update import update
from musicrag.types import InputError, Node


@pytest.fixture(scope="module")
def contents() -> Contents:
    return contents_of(raw_tables())


@pytest.fixture(scope="module")
def asker(contents: Contents) -> Recommender:
    return Recommender(contents)


def ids(answers: list[Recommendation]) -> list[str]:
    return [answer.item_id for answer in answers]


def test_a_user_gets_songs_of_their_taste_that_they_do_not_know(
    asker: Recommender, contents: Contents
) -> None:
    plays = contents.tables["interactions"]
    of_taste = []
    for user in sorted(set(plays["user_id"])):
        found = asker.for_user(user, 5)
        assert not set(ids(found)) & set(plays.loc[plays["user_id"] == user, "item_id"])
        of_taste += [int(item[1:]) % 2 == int(user[1:]) % 2 for item in ids(found)]
        scores = [answer.score for answer in found]
        assert scores == sorted(scores, reverse=True)
    assert np.mean(of_taste) > 0.9


def test_the_path_leads_from_the_user_to_the_item_over_edges_that_are_there(
    asker: Recommender, contents: Contents
) -> None:
    found = asker.for_user("u00", 5)
    assert found[0].title == f"Title {found[0].item_id}"
    for answer in found:
        assert answer.path is not None
        assert answer.path.nodes[0] == Node("User", "u00")
        assert answer.path.target == Node("Song", answer.item_id)
        assert contents.knowledge.has_path(answer.path)
        assert answer.title in answer.reason


def test_a_playlist_is_continued_without_its_own_songs(
    asker: Recommender, contents: Contents
) -> None:
    rows = contents.tables["playlist_items"]
    own = set(rows.loc[rows["playlist_id"] == "p1", "item_id"])
    found = ids(asker.for_playlist("p1", 5))
    assert not set(found) & own
    assert np.mean([int(item[1:]) % 2 for item in found]) >= 0.8


def test_a_text_finds_the_songs_of_an_artist_that_it_names(asker: Recommender) -> None:
    assert set(ids(asker.for_text("something by ARTIST a03, please", 3))) < {
        "s012",
        "s013",
        "s014",
        "s015",
    }


def test_a_text_mentions_the_longest_name_once(asker: Recommender, contents: Contents) -> None:
    found = [str(contents.knowledge.node(int(n))) for n in asker.mentioned("Title s004 g1 a03")]
    assert found == ["Genre:g1", "Song:s004"]


def test_a_text_may_be_asked_by_a_user(asker: Recommender) -> None:
    texts = [asker.for_text("music", 8, user) for user in ("u00", "u01", None)]
    shares = [[int(item[1:]) % 2 for item in ids(found)] for found in texts[:2]]
    assert np.mean(shares[0]) < 0.5 < np.mean(shares[1])


def test_more_items_never_change_the_first_ones(asker: Recommender) -> None:
    few, many = asker.for_user("u00", 3), asker.for_user("u00", 30)
    assert few == many[:3]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda r: r.for_user("u0O"), "no user 'u0O' in this collection of 24. Did you mean"),
        (lambda r: r.for_playlist("p11"), "Did you mean 'p1'"),
        (lambda r: r.for_text(" ?! "), "has no words"),
        (lambda r: r.for_text("sun", 5, "nobody"), "no user 'nobody'"),
        (lambda r: r.for_user("u00", 0), "k=0 is not allowed"),
    ],
)
def test_a_question_that_cannot_be_answered_is_an_input_error(
    asker: Recommender, ask: object, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        ask(asker)  # type: ignore[operator]


def test_a_new_user_is_answered_from_their_first_plays(contents: Contents) -> None:
    plays = pd.DataFrame({"user_id": ["u_new"] * 2, "item_id": ["s001", "s003"]})
    grown, _ = update(contents, {"interactions": plays})
    found = ids(Recommender(grown).for_user("u_new", 5))
    assert np.mean([int(item[1:]) % 2 for item in found]) >= 0.8


@pytest.mark.parametrize("given", ["lyrics", "audio_features"])
def test_a_new_song_of_one_modality_can_be_recommended(contents: Contents, given: str) -> None:
    rows = {
        "lyrics": pd.DataFrame({"item_id": ["new"], "text": ["sun rain road " * 4]}),
        "audio_features": pd.DataFrame({"item_id": ["new"], "energy": [0.0], "tempo": [100.0]}),
    }
    items = pd.DataFrame({"item_id": ["new"], "title": ["New"]})
    grown, _ = update(contents, {"items": items, given: rows[given]})
    asker = Recommender(replace(grown, retrieval=replace(grown.retrieval, num_candidates=12)))
    ranks = {0: [], 1: []}
    for user in range(24):
        found = asker.for_user(f"u{user:02d}", 36)
        rank = ids(found).index("new") if "new" in ids(found) else 36
        ranks[user % 2].append(rank)
        if rank < 36:
            path = found[rank].path
            assert path is None or path.relations[-1] == "SIMILAR_TO"
    assert np.mean(np.array(ranks[0]) < 36) > 0.5
    assert np.mean(ranks[0]) < np.mean(ranks[1]) - 5


def test_weights_decide_which_channel_counts(contents: Contents) -> None:
    only = {"user": {"content_lyrics": 1.0}}
    bare = replace(contents, network=None, vectors=None)
    wanted = Recommender(
        replace(bare, retrieval=replace(bare.retrieval, channels=("content",)), fusion_weights=only)
    )
    weighed = Recommender(replace(contents, fusion_weights=only))
    assert ids(weighed.for_user("u05", 10)) == ids(wanted.for_user("u05", 10))
    assert ids(weighed.for_user("u05", 10)) != ids(Recommender(contents).for_user("u05", 10))
