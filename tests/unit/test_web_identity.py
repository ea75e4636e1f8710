"""Which names are one name, and which ids the rows of a harvest get."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from musicrag.contracts import RawTables
from musicrag.sources.web.identity import artist_key, normalise, resolve, song_key

SAME = [
    ("Sigur Rós", "sigur ros"),
    ("SIGUR\u3000ROS", "Sigur Ro\u0301s"),
    ("Björk", "BJORK"),
    ("Røyksopp", "Royksopp"),
    ("Mötley Crüe", "motley crue"),
    ("Æther", "Aether"),
    ("Straße", "STRASSE"),
    ("İstanbul", "istanbul"),
    ("Ξύλο", "ξυλο"),
    ("Ёлка", "елка"),
    ("Full width: \uff21\uff22\uff23", "full width abc"),
    ("R.E.M.", "REM"),
    ("Guns N' Roses", "Guns N\u2019 Roses"),
    ("Don't", "Dont"),
    ("Simon & Garfunkel", "Simon and Garfunkel"),
    ("Florence + the Machine", "Florence and the Machine"),
    ("Jay-Z", "Jay Z"),
    ("AC/DC", "AC-DC"),
    ("Panic! at the Disco", "Panic at the Disco"),
    ("Song (feat. Ana)", "Song"),
    ("Song [Ft. Ana & Bo]", "Song"),
    ("Song ft. Ana", "Song"),
    ("Song featuring Ana", "Song"),
    ("Song (feat. Ana) [Remix]", "Song (Remix)"),
    ("Jay-Z feat. Alicia Keys", "JAY Z"),
    ("I \u2764\ufe0f", "I \u2764"),
    ("\u2764\ufe0f", "\u2764"),
]
OTHER = [
    ("AC/DC", "ACDC"),
    ("The Band", "Band"),
    ("Song", "Song (live)"),
    ("Song", "Song (Remix)"),
    ("!!!", "???"),
    ("÷", "+"),
    ("\u2764\ufe0f", "\u2600\ufe0f"),
    ("ガガ", "カカ"),
    ("й", "и"),
    ("हिन्दी", "हन्दी"),
    ("Kesha", "Ke$ha"),
    ("10 Ft. Ganja Plant", "10"),
    ("Swift", "Swift Ones"),
    ("夜", "海"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_spellings_of_one_name_are_the_same(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_other_names_stay_apart(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)


@given(st.text())
@example("Song-feat. Ana")
@example("Song (feat. Ana")
@example("+/-")
def test_normalising_twice_changes_nothing(name: str) -> None:
    assert normalise(normalise(name)) == normalise(name)


@given(st.text(), st.text())
def test_song_key_has_one_slash(a: str, b: str) -> None:
    assert song_key(a, b).count("/") == 1


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_only_a_blank_name_has_an_empty_key(name: str) -> None:
    assert artist_key(name)


def test_keys_can_be_read() -> None:
    assert song_key("Sigur Rós", "Hoppípolla (feat. amiina)") == "sigur-ros/hoppipolla"
    assert song_key("宇多田ヒカル", "First Love") == "宇多田ヒカル/first-love"
    assert song_key("!!!", "+/-") == "!!!/+|-"


def frame(**columns: list[object]) -> pd.DataFrame:
    return pd.DataFrame(columns, dtype=object)


def catalogue() -> RawTables:
    return {
        "items": frame(
            item_id=["s1", "s2", "s3"],
            title=["Lithium", "Lithium", "Joga"],
            artist_id=["a1", "a2", "a3"],
            year=[1991, None, 1997],
        ),
        "artists": frame(artist_id=["a1", "a2", "a3"], name=["Nirvana", "NIRVANA", "Björk"]),
        "users": frame(user_id=["u1"], name=["Ada"]),
    }


def harvest() -> RawTables:
    return {
        "items": frame(
            item_id=["bjork/joga", "bjork/isobel", "nirvana/lithium"],
            title=["Jóga", "Isobel", "lithium"],
            artist_id=["bjork", "bjork", "nirvana"],
            year=[1999, 1995, 2001],
        ),
        "artists": frame(artist_id=["bjork", "nirvana"], name=["BJÖRK", "Nirvana"]),
        "lyrics": frame(item_id=["bjork/joga"], text=["la"]),
        "users": frame(user_id=["Ada", "Bo"], name=["Ada", "Bo"]),
        "interactions": frame(user_id=["Ada", "Bo"], item_id=["bjork/joga", "bjork/isobel"]),
        "links": frame(
            source_type=["Artist"],
            source_id=["bjork"],
            relation=["SIMILAR_TO"],
            target_type=["Artist"],
            target_id=["nirvana"],
            weight=[0.5],
        ),
    }


def test_known_names_get_the_ids_of_the_catalogue_in_every_table() -> None:
    rows = resolve(harvest(), catalogue())
    assert list(rows["items"]["item_id"]) == ["s3", "bjork/isobel", "s1"]
    assert list(rows["items"]["artist_id"]) == ["a3", "a3", "a1"]
    assert list(rows["lyrics"]["item_id"]) == ["s3"]
    assert list(rows["interactions"]["item_id"]) == ["s3", "bjork/isobel"]
    assert list(rows["interactions"]["user_id"]) == ["u1", "Bo"]
    assert rows["links"].loc[0, ["source_id", "target_id"]].tolist() == ["a3", "a1"]


def test_cells_of_the_catalogue_stand_and_empty_ones_are_filled() -> None:
    rows = resolve(harvest(), catalogue(), unit="artist:a2")["items"].set_index("item_id")
    assert rows.loc["s3", ["title", "year"]].tolist() == ["Joga", 1997]
    assert rows.loc["s2", ["title", "year"]].tolist() == ["Lithium", 2001]


def test_unit_says_which_of_two_artists_with_one_name_is_meant() -> None:
    rows = resolve(harvest(), catalogue(), unit="artist:a2")
    assert list(rows["artists"]["artist_id"]) == ["a3", "a2"]
    assert "s2" in set(rows["items"]["item_id"])


def test_id_that_is_taken_by_another_song_is_not_used() -> None:
    known = catalogue()
    known["items"].loc[0, "item_id"] = "bjork/isobel"
    assert "bjork/isobel~" in set(resolve(harvest(), known)["items"]["item_id"])


def test_items_without_artist_or_names_match_nothing() -> None:
    known = {"items": frame(item_id=["s1"], title=["Joga"])}
    assert list(resolve(harvest(), known)["items"]["item_id"]) == list(
        harvest()["items"]["item_id"]
    )


def test_resolving_leaves_its_inputs_alone() -> None:
    given_rows, known = harvest(), catalogue()
    resolve(given_rows, known)
    for name, rows in harvest().items():
        pd.testing.assert_frame_equal(given_rows[name], rows)
    for name, rows in catalogue().items():
        pd.testing.assert_frame_equal(known[name], rows)


def test_songs_below_artist_items_are_matched_through_their_links() -> None:
    known = {
        "items": frame(item_id=["7"], title=["Björk"]),
        "nodes": frame(node_type=["Song"], node_id=["d9"], name=["Jóga"]),
        "links": frame(
            source_type=["Song"],
            source_id=["d9"],
            relation=["PERFORMED_BY"],
            target_type=["Artist"],
            target_id=["7"],
        ),
    }
    rows = resolve(
        {"nodes": frame(node_type=["Song"], node_id=["bjork/joga"], name=["Joga"])}, known, "Artist"
    )
    assert rows["nodes"].loc[0].tolist() == ["Song", "d9", "Jóga"]
