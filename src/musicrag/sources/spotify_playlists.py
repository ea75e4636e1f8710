"""``spotify_songs.csv`` (songs in public Spotify playlists, with audio features) becomes tables.

The file has one row for each song in a playlist and no track id, so a song is its title and
artist, compared without case, curly quotes and extra spaces. Genre and subgenre describe
the *playlist*: their ``item_tags`` rows carry the playlist as profile, so that the split drops
those whose playlist–song pair is held out. Knows nothing of splits.
"""

from __future__ import annotations

import hashlib
import logging
import re
import unicodedata
from pathlib import Path

import pandas as pd

from musicrag.contracts import RawTables
from musicrag.sources.delimited import read_table, require_files, to_numbers

_log = logging.getLogger(__name__)

_FILE = "spotify_songs.csv"
_TEXT = ("track_name", "track_artist", "track_album_name", "track_album_release_date")
_PLAYLIST = ("playlist_name", "playlist_genre", "playlist_subgenre")
_FEATURES = {
    "danceability": "danceability",
    "energy": "energy",
    "key": "key",
    "loudness": "loudness_db",
    "mode": "mode",
    "speechiness": "speechiness",
    "acousticness": "acousticness",
    "instrumentalness": "instrumentalness",
    "liveness": "liveness",
    "valence": "valence",
    "tempo": "tempo_bpm",
    "duration_ms": "duration_s",
}
_CATEGORICAL = ("key", "mode")
_CURLY_QUOTES = str.maketrans("\u2018\u2019\u201c\u201d", "''\"\"")


class SpotifyPlaylists:
    """Playlists, songs and 12 audio features of the ``spotify_songs.csv`` data set.

    Versions of one song differ slightly: audio features are the median over its rows (``key`` and
    ``mode`` the commonest value, smallest on ties), title, album and year those of the most
    popular row, the first on ties. ``key`` is the pitch class 0–11, a circle: an encoder may turn
    it into sine and cosine. A song named twice in one playlist keeps its first place.

    Args:
        dir: folder with ``spotify_songs.csv``, UTF-8 or windows-1252 (a superset of printable
            latin-1).
    """

    name = "spotify_playlists"
    item_type = "Song"

    def __init__(self, dir: str) -> None:
        self._path = Path(dir).expanduser() / _FILE

    def available(self) -> frozenset[str]:
        require_files(self._path.parent, [_FILE])
        return frozenset(
            {"items", "artists", "playlists", "playlist_items", "item_tags", "audio_features"}
        )

    def load(self) -> RawTables:
        self.available()
        columns = [*_TEXT, "track_popularity", *_PLAYLIST, *_FEATURES]
        frame = read_table(self._path, columns, encodings=("utf8", "cp1252"))
        rows = self._identify(frame)
        tables = {
            "items": _items(rows),
            "artists": _first(rows, artist_id="artist_id", name="track_artist"),
            "playlists": _first(rows, playlist_id="playlist_id", title="playlist_name"),
            "playlist_items": _playlist_items(rows),
            "item_tags": _item_tags(rows),
            "audio_features": _audio_features(rows),
        }
        _log.info(
            "%s: %d rows became %d songs in %d playlists",
            self._path,
            len(frame),
            len(tables["items"]),
            len(tables["playlists"]),
        )
        return tables

    def _identify(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Parse numbers, restore escaped characters, and add ``item_id, artist_id, …``."""
        rows = frame.copy()
        for column in ("track_popularity", *_FEATURES):
            rows[column] = to_numbers(frame, column, self._path)
        rows = rows.rename(columns=_FEATURES)
        rows["duration_s"] /= 1000.0
        for column in ("track_name", "track_artist", "track_album_name", *_PLAYLIST):
            rows[column] = frame[column].map(_unescape)
        rows["artist_id"] = rows["track_artist"].map(lambda name: slug_id(_normalise(name)))
        rows["item_id"] = [
            slug_id(_normalise(artist), _normalise(title))
            for artist, title in zip(rows["track_artist"], rows["track_name"], strict=True)
        ]
        rows["playlist_id"] = rows["playlist_name"].map(slug_id)
        return rows


def slug_id(*parts: str) -> str:
    """Return a readable id without white space: a slug of the parts and a hash that tells apart.

    Letters of every script are kept; accents are dropped from the slug but not from the hash.
    """
    slugs = []
    for part in parts:
        decomposed = unicodedata.normalize("NFKD", part.casefold().replace("'", ""))
        bare = "".join(char for char in decomposed if not unicodedata.combining(char))
        slugs.append(re.sub(r"[\W_]+", "-", bare).strip("-")[:32].strip("-"))
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:10]
    return ".".join([*(slug for slug in slugs if slug), digest])


def _unescape(text: str) -> str:
    """Put back characters that R wrote as ``<U+1F499>``, and drop white space at the ends."""
    return re.sub(r"<U\+([0-9A-F]{4,8})>", lambda code: chr(int(code[1], 16)), text).strip()


def _normalise(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).translate(_CURLY_QUOTES).casefold().split())


def _first(rows: pd.DataFrame, **columns: str) -> pd.DataFrame:
    """The first row for each value of the first column, under new names."""
    frame = pd.DataFrame({new: rows[old] for new, old in columns.items()})
    return frame.drop_duplicates(frame.columns[0], ignore_index=True)


def _items(rows: pd.DataFrame) -> pd.DataFrame:
    duration = rows.groupby("item_id")["duration_s"].median()
    ranked = rows.sort_values("track_popularity", ascending=False, kind="stable")
    items = _first(
        ranked,
        item_id="item_id",
        title="track_name",
        artist_id="artist_id",
        album="track_album_name",
        year="track_album_release_date",
    )
    items["album"] = items["album"].where(items["album"] != "")
    items["year"] = items["year"].str.extract(r"^(\d{4})", expand=False).astype("Int64")
    items["duration_s"] = items["item_id"].map(duration)
    return items


def _playlist_items(rows: pd.DataFrame) -> pd.DataFrame:
    entries = rows[["playlist_id", "item_id"]].drop_duplicates(ignore_index=True)
    entries["position"] = entries.groupby("playlist_id").cumcount()
    return entries


def _item_tags(rows: pd.DataFrame) -> pd.DataFrame:
    """Genre and subgenre, each seen through the playlist that the row stands in."""
    kinds = []
    for column, kind in (("playlist_genre", "genre"), ("playlist_subgenre", "tag")):
        part = rows[["item_id", column, "playlist_id"]].rename(
            columns={column: "tag", "playlist_id": "profile_id"}
        )
        kinds.append(part.assign(kind=kind, profile_type="playlist"))
    columns = ["item_id", "tag", "kind", "profile_type", "profile_id"]
    return pd.concat(kinds)[columns].drop_duplicates(ignore_index=True)


def _audio_features(rows: pd.DataFrame) -> pd.DataFrame:
    versions = rows[["item_id", *_FEATURES.values()]].drop_duplicates()
    features = versions.groupby("item_id").median()
    for column in _CATEGORICAL:
        features[column] = versions.groupby("item_id")[column].agg(lambda v: v.mode().iloc[0])
    return features.reset_index()
