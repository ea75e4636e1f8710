"""Names become keys, and keys become the ids that a catalogue already has.

Services spell one song in many ways, so songs are compared by a key: artist and title after
:func:`normalise`. What counts as the same name:

- case, accents, width and ligatures do not matter: ``Sigur Rós`` is ``SIGUR ROS``. Accents are
  dropped from Latin and Greek letters only: ガ is not カ, and й is not и (but ё is е).
- apostrophes and full stops do not matter: ``R.E.M.`` is ``REM``, ``Guns N' Roses`` is
  ``Guns N Roses``; ``&`` is ``and``. Other punctuation parts words: ``Jay-Z`` is ``Jay Z``, and
  ``AC/DC`` is ``AC-DC`` but not ``ACDC``.
- guests do not matter: ``Song (feat. Ana)``, ``Song ft. Ana`` and ``Song`` are one.
- everything else does: ``(live)``, ``(Remix)``, a leading ``The``. To take two songs for one loses
  one for good; to keep one song twice can be mended.

A name of symbols only (the band ``!!!``, the album ``÷``) is compared symbol by symbol.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache

import pandas as pd

from musicrag.contracts import TABLES, RawTables
from musicrag.sources.web.units import artist_id_of, artists_of

_LETTERS = str.maketrans(
    {
        **{"ø": "o", "đ": "d", "ł": "l", "ħ": "h", "\u0131": "i", "ð": "d"},
        **{"æ": "ae", "œ": "oe", "þ": "th", "\u0451": "\u0435"},
    }
)
"""Letters that Unicode does not part into a plain one and a mark; the last is Cyrillic ё."""
_GUESTS = re.compile(
    r"\s*[(\[]\s*(?:feat|ft|featuring)\b\.?\s[^)\]]*[)\]]"
    # Outside brackets a digit before it makes it a length: the band "10 Ft. Ganja Plant".
    r"|(?<=\S)(?<!\d)\s+(?:feat\.?|ft\.|featuring)\s+\S[^(\[]*"
)
_AND = re.compile(r"&|(?<=\s)\+(?=\s)")
# Apostrophes of all kinds, full stops.
_SILENT = re.compile("['\u2018\u2019\u02bc`\u00b4.]")
# Soft hyphens, joiners, direction marks, the selector between text and emoji.
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufe00-\ufe0f\ufeff]")
_BARE_SCRIPTS = ("LATIN", "GREEK")

_DESCRIPTIONS = ("items", "artists", "users", "nodes")
"""Tables whose rows describe one thing each: what the catalogue says of it stands."""
_ID_COLUMNS = ("item_id", "artist_id", "user_id")
_NODE_COLUMNS = (("source_type", "source_id"), ("target_type", "target_id"))


@lru_cache(maxsize=200_000)
def normalise(name: str) -> str:
    """The form in which names are compared; empty only for a blank name. Idempotent."""
    text, changed = name, True
    while changed:  # "Song-feat. Ana" shows its guest only after the hyphen has gone
        before, text = text, _normalise_once(text)
        changed = text != before
    return text


def artist_key(name: str) -> str:
    """Key of an artist: ``sigur-ros``."""
    return normalise(name).replace(" ", "-")


def song_key(artist: str, title: str) -> str:
    """Key of a song: ``sigur-ros/hoppipolla``. Slashes part words, so no name holds one."""
    return f"{artist_key(artist)}/{normalise(title).replace(' ', '-')}"


def resolve(
    harvest: Mapping[str, pd.DataFrame],
    catalogue: Mapping[str, pd.DataFrame],
    item_type: str = "Song",
    unit: str | None = None,
) -> RawTables:
    """Give the rows of a harvest the ids of the catalogue; what it lacks keeps its key as id.

    Rows of ``items``, ``artists``, ``users`` and ``nodes`` that the catalogue has come back with
    the catalogue's cells, and with the harvest's only where those are empty. So a merge by the
    keys of :data:`TABLES` changes nothing when it is done twice, whichever side wins.

    Args:
        harvest: tables under keys, as a web source gives them.
        catalogue: tables under ids.
        item_type: node type of the catalogue's items, ``Song`` or ``Artist``.
        unit: the unit of the harvest: where two artists share a name, it says which is meant;
            otherwise the smallest id is taken.
    """
    ids = _Ids(catalogue, item_type, unit)
    resolved: RawTables = {}
    for name, frame in harvest.items():
        moved = ids.apply(frame)
        key = [column for column in TABLES[name].key if column in moved]
        moved = moved.drop_duplicates(key, ignore_index=True)
        resolved[name] = _keep_known_cells(name, moved, catalogue)
    return resolved


class _Ids:
    """From keys to ids, for each type of node."""

    def __init__(
        self, catalogue: Mapping[str, pd.DataFrame], item_type: str, unit: str | None
    ) -> None:
        self._item_type = item_type
        artists = artists_of(catalogue, item_type)
        preferred = artist_id_of(unit) if unit is not None else None
        maps = {"Artist": _artist_ids(artists, preferred), "User": _user_ids(catalogue)}
        taken = {"Artist": set(artists["artist_id"])}
        songs = _songs_of(catalogue, item_type)
        maps["Song"] = _song_ids(songs, artists, preferred)
        taken["Song"] = set(songs["item_id"])
        self._maps, self._taken = maps, taken

    def apply(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The frame with ids in place of keys."""
        moved = frame.copy()
        types = {"item_id": self._item_type, "artist_id": "Artist", "user_id": "User"}
        for column in _ID_COLUMNS:
            if column in moved:
                moved[column] = [self._id(types[column], key) for key in frame[column]]
        for type_column, id_column in (*_NODE_COLUMNS, ("node_type", "node_id")):
            if id_column in moved:
                ends = zip(frame[type_column], frame[id_column], strict=True)
                moved[id_column] = [self._id(node_type, key) for node_type, key in ends]
        return moved

    def _id(self, node_type: str, key: str) -> str:
        known = self._maps.get(node_type, {})
        if key in known:
            return known[key]
        # An id that looks like this key but means something else must not get its rows.
        name = key
        while name in self._taken.get(node_type, ()):
            name += "~"
        return name


def _artist_ids(artists: pd.DataFrame, preferred: str | None) -> dict[str, str]:
    """Key to id; of several artists with one name the preferred, else the smallest id."""
    rows = artists.assign(other=artists["artist_id"] != preferred)
    rows = rows.sort_values(["other", "artist_id"])
    found: dict[str, str] = {}
    for artist_id, name in zip(rows["artist_id"], rows["name"], strict=True):
        found.setdefault(artist_key(name), artist_id)
    return found


def _songs_of(catalogue: Mapping[str, pd.DataFrame], item_type: str) -> pd.DataFrame:
    """Columns ``item_id, title, artist_id``: the items, or the track layer below artists."""
    columns = ["item_id", "title", "artist_id"]
    if item_type == "Song" and "items" in catalogue:
        return catalogue["items"].reindex(columns=columns)
    if item_type == "Song" or "nodes" not in catalogue or "links" not in catalogue:
        return pd.DataFrame(columns=columns, dtype=object)
    links, nodes = catalogue["links"], catalogue["nodes"]
    by = links.loc[links["relation"] == "PERFORMED_BY", ["source_id", "target_id"]]
    songs = nodes.loc[nodes["node_type"] == "Song", ["node_id", "name"]]
    return songs.merge(by, left_on="node_id", right_on="source_id", how="left")[
        ["node_id", "name", "target_id"]
    ].set_axis(columns, axis=1)


def _song_ids(songs: pd.DataFrame, artists: pd.DataFrame, preferred: str | None) -> dict[str, str]:
    """Key to id, over the songs whose artist has a name."""
    names = dict(zip(artists["artist_id"], artists["name"], strict=True))
    rows = songs.assign(name=songs["artist_id"].map(names)).dropna()
    rows = rows.assign(other=rows["artist_id"] != preferred).sort_values(["other", "item_id"])
    found: dict[str, str] = {}
    for item_id, title, name in zip(rows["item_id"], rows["title"], rows["name"], strict=True):
        found.setdefault(song_key(name, title), item_id)
    return found


def _user_ids(catalogue: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """Shown name to id, for users who have a name and are not found by their id."""
    users = catalogue.get("users")
    if users is None or "name" not in users:
        return {}
    named = users.dropna(subset=["name"]).sort_values("user_id")
    found: dict[str, str] = {}
    for user_id, name in zip(named["user_id"], named["name"], strict=True):
        found.setdefault(name, user_id)
    return {name: found[name] for name in found if name not in set(users["user_id"])}


def _keep_known_cells(
    name: str, frame: pd.DataFrame, catalogue: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """Rows that the catalogue has, with its cells where it has any."""
    if name not in _DESCRIPTIONS or name not in catalogue:
        return frame
    key = list(TABLES[name].key)
    known = frame[key].merge(catalogue[name], on=key, how="left")
    kept = frame.copy()
    for column in (c for c in frame.columns if c in known.columns):
        kept[column] = known[column].astype(object).where(known[column].notna(), frame[column])
    return kept


def _normalise_once(name: str) -> str:
    folded = unicodedata.normalize("NFKC", _INVISIBLE.sub("", name)).casefold()
    text = _AND.sub(" and ", _GUESTS.sub("", folded).translate(_LETTERS))
    text = _SILENT.sub("", _without_accents(text))
    # Composed again: a letter with its mark is one letter in most scripts.
    text = unicodedata.normalize("NFC", text)
    words = "".join(char if _is_word(char) else " " for char in text).split()
    # Symbols only; a slash would end the artist's part of a song's key.
    return " ".join(words) or "".join(folded.split()).replace("/", "|")


def _without_accents(text: str) -> str:
    """Drop combining marks after Latin and Greek letters; in other scripts they are letters."""
    kept: list[str] = []
    is_bare = False
    for char in unicodedata.normalize("NFKD", text):
        if not unicodedata.combining(char):
            is_bare = unicodedata.name(char, "").startswith(_BARE_SCRIPTS)
        elif is_bare:
            continue
        kept.append(char)
    return "".join(kept)


def _is_word(char: str) -> bool:
    """Letters, digits, and the marks that are vowels in Indic and Thai words."""
    return char == "$" or unicodedata.category(char)[0] in "LNM"
