"""HetRec 2011 Last.fm 2K becomes tables: users, artists, play counts, tags, friends.

Items are artists. Where the Deezer mood layer lies beside it, tracks of those artists come in as
``Song`` nodes, each evoking one of four moods of Russell's circumplex (J. A. Russell, "A
circumplex model of affect", 1980): the quadrant of its standardised valence and arousal.

Source: I. Cantador, P. Brusilovsky, T. Kuflik, HetRec 2011; R. Delbouys et al., "Music mood
detection based on audio and lyrics with deep neural net", ISMIR 2018. Knows nothing of splits.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from musicrag.contracts import RawTables
from musicrag.sources.delimited import friendships, read_table, require_files, to_numbers
from musicrag.types import InputError

_log = logging.getLogger(__name__)

_MOOD_FOLDER = "joins_hetrec_deezer"
_MOOD_FILE = "artist_track_mood.csv"
_FILES = ("artists.dat", "user_artists.dat", "user_taggedartists.dat", "user_friends.dat")
_TAG_FILES = {"tags.utf8.dat": "utf8", "tags.dat": "latin-1"}
_MIN_WEIGHT = 1e-6


class HetrecLastfm:
    """Last.fm 2K, with or without the track and mood layer from Deezer.

    A tag row carries the user who gave it as profile. Tags on artists that ``artists.dat`` does
    not name (390 artists in the published files) cannot join an item: they are left out, and the
    log counts them.

    Args:
        dir: folder with ``artists.dat``, ``user_artists.dat``, ``user_taggedartists.dat``,
            ``user_friends.dat`` and ``tags.utf8.dat`` or ``tags.dat``.
        mood_dir: folder with ``artist_track_mood.csv``; ``None`` takes the neighbour
            ``joins_hetrec_deezer`` of ``dir`` if it exists.
        use_moods: ``False`` leaves the mood layer out even where it exists.
    """

    name = "lastfm"
    item_type = "Artist"

    def __init__(self, dir: str, mood_dir: str | None = None, use_moods: bool = True) -> None:
        self._folder = Path(dir).expanduser()
        self._mood_dir = Path(mood_dir).expanduser() if mood_dir is not None else None
        self._use_moods = use_moods

    def available(self) -> frozenset[str]:
        require_files(self._folder, _FILES)
        self._tag_file()
        names = {"items", "users", "interactions", "item_tags", "links"}
        if self._mood_file() is not None:
            names |= {"nodes", "emotion_features"}
        return frozenset(names)

    def load(self) -> RawTables:
        self.available()
        artists = self._read("artists.dat", ["id", "name"])
        plays = self._read("user_artists.dat", ["userID", "artistID", "weight"])
        plays["weight"] = to_numbers(plays, "weight", self._folder / "user_artists.dat")
        friends = self._read("user_friends.dat", ["userID", "friendID"])
        item_tags = self._item_tags(artists["id"])
        users = [plays["userID"], friends["userID"], friends["friendID"], item_tags["profile_id"]]
        tables = {
            "items": artists[["id", "name"]].set_axis(["item_id", "title"], axis=1),
            "users": pd.DataFrame({"user_id": pd.concat(users).unique()}),
            "interactions": plays[["userID", "artistID", "weight"]].set_axis(
                ["user_id", "item_id", "weight"], axis=1
            ),
            "item_tags": item_tags,
            "links": friendships(friends["userID"], friends["friendID"]),
        }
        mood_file = self._mood_file()
        if mood_file is not None:
            _add_mood_layer(tables, mood_file)
        return tables

    def _read(self, name: str, columns: list[str], encoding: str = "utf8") -> pd.DataFrame:
        return read_table(self._folder / name, columns, separator="\t", encodings=[encoding])

    def _tag_file(self) -> str:
        found = next((name for name in _TAG_FILES if (self._folder / name).is_file()), None)
        if found is None:
            raise InputError(
                f"{self._folder} lacks tags.dat (or its UTF-8 copy tags.utf8.dat). Fetch it from "
                "the HetRec 2011 archive."
            )
        return found

    def _mood_file(self) -> Path | None:
        """The mood layer's file, or ``None`` where there is to be none."""
        if not self._use_moods:
            return None
        if self._mood_dir is not None:
            require_files(self._mood_dir, [_MOOD_FILE])
            return self._mood_dir / _MOOD_FILE
        neighbour = self._folder.resolve().parent / _MOOD_FOLDER / _MOOD_FILE
        return neighbour if neighbour.is_file() else None

    def _item_tags(self, artist_ids: pd.Series[str]) -> pd.DataFrame:
        """User–artist–tag rows with the tag's text; tag ids of equal text become one tag."""
        tag_file = self._tag_file()
        tags = self._read(tag_file, ["tagID", "tagValue"], _TAG_FILES[tag_file])
        rows = self._read("user_taggedartists.dat", ["userID", "artistID", "tagID"])
        text = tags.drop_duplicates("tagID").set_index("tagID")["tagValue"].str.strip()
        rows["tag"] = rows["tagID"].map(text)
        unnamed = ~rows["artistID"].isin(artist_ids)
        if unnamed.any():
            _log.warning(
                "%s: %d tag rows on %d artists that artists.dat does not name are left out",
                self._folder,
                unnamed.sum(),
                rows.loc[unnamed, "artistID"].nunique(),
            )
        rows = rows[~unnamed].assign(kind="tag", profile_type="user")
        columns = {
            "artistID": "item_id",
            "tag": "tag",
            "kind": "kind",
            "profile_type": "profile_type",
            "userID": "profile_id",
        }
        return rows[list(columns)].rename(columns=columns).drop_duplicates(ignore_index=True)


def quadrant_moods(valence: pd.Series[float], arousal: pd.Series[float]) -> pd.DataFrame:
    r"""Name the mood quadrant of each track and how clearly it lies there.

    With both axes standardised to z-scores, ``weight = 1 - exp(-(z_v^2 + z_a^2) / 2)``: the share
    of a standard normal plane that lies nearer to the neutral centre.

    Returns:
        Columns ``mood`` (happy, angry, sad, calm) and ``weight`` in (0, 1]. Rows as given.
    """
    z_valence, z_arousal = (
        (axis - axis.mean()) / (axis.std(ddof=0) or 1.0) for axis in (valence, arousal)
    )
    positive = (z_valence >= 0).to_numpy()
    moods = np.where(
        (z_arousal >= 0).to_numpy(),
        np.where(positive, "happy", "angry"),
        np.where(positive, "calm", "sad"),
    )
    weight = -np.expm1(-(z_valence**2 + z_arousal**2).to_numpy() / 2)
    return pd.DataFrame({"mood": moods, "weight": np.maximum(weight, _MIN_WEIGHT)})


def _add_mood_layer(tables: RawTables, path: Path) -> None:
    """Add Song and Mood nodes, their links, and the artists' emotion features to ``tables``."""
    columns = ["hetrec_artist_id", "track_name", "dzr_sng_id", "valence", "arousal"]
    tracks = read_table(path, columns)
    for axis in ("valence", "arousal"):
        tracks[axis] = to_numbers(tracks, axis, path)
    tracks = tracks.join(quadrant_moods(tracks["valence"], tracks["arousal"]))
    songs = tracks.drop_duplicates("dzr_sng_id")
    moods = sorted(set(tracks["mood"]))
    song_nodes = songs[["dzr_sng_id", "track_name"]].set_axis(["node_id", "name"], axis=1)
    mood_nodes = pd.DataFrame({"node_id": moods, "name": moods})
    tables["nodes"] = pd.concat(
        [song_nodes.assign(node_type="Song"), mood_nodes.assign(node_type="Mood")],
        ignore_index=True,
    )
    links = [tables["links"].assign(weight=1.0), *_mood_links(tracks, songs)]
    tables["links"] = pd.concat(links, ignore_index=True)
    tables["emotion_features"] = _emotion_features(tracks)
    _log.info(
        "mood layer %s: %d songs of %d artists", path, len(songs), len(tables["emotion_features"])
    )


def _mood_links(tracks: pd.DataFrame, songs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Song PERFORMED_BY Artist for each track, Song EVOKES Mood for each song."""
    performed = tracks[["dzr_sng_id", "hetrec_artist_id"]].set_axis(
        ["source_id", "target_id"], axis=1
    )
    evokes = songs[["dzr_sng_id", "mood", "weight"]].set_axis(
        ["source_id", "target_id", "weight"], axis=1
    )
    return (
        performed.assign(
            source_type="Song", relation="PERFORMED_BY", target_type="Artist", weight=1.0
        ),
        evokes.assign(source_type="Song", relation="EVOKES", target_type="Mood"),
    )


def _emotion_features(tracks: pd.DataFrame) -> pd.DataFrame:
    """Mean and spread of each artist's tracks, and the log of their number."""
    groups = tracks.groupby("hetrec_artist_id")
    return pd.DataFrame(
        {
            "valence_mean": groups["valence"].mean(),
            "arousal_mean": groups["arousal"].mean(),
            "valence_std": groups["valence"].std(ddof=0),
            "arousal_std": groups["arousal"].std(ddof=0),
            "log_num_tracks": np.log1p(groups.size()),
        }
    ).reset_index(names="item_id")
