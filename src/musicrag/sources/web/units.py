"""Units of work of a catalogue: one artist each, known by id, named by the table of names."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from musicrag.types import InputError

ARTIST = "artist:"
USER = "user:"
ITEM_TYPES = ("Song", "Artist")


def check_item_type(item_type: str) -> None:
    """Raise ``InputError`` unless the node type of the items is one of :data:`ITEM_TYPES`."""
    if item_type not in ITEM_TYPES:
        raise InputError(f"item_type must be one of {', '.join(ITEM_TYPES)}, got {item_type!r}.")


def artists_of(tables: Mapping[str, pd.DataFrame], item_type: str) -> pd.DataFrame:
    """The artists with a name: columns ``artist_id, name``; the items, where those are artists."""
    if item_type == "Artist" and "items" in tables:
        rows = tables["items"][["item_id", "title"]].set_axis(["artist_id", "name"], axis=1)
    elif item_type == "Song" and "artists" in tables:
        rows = tables["artists"][["artist_id", "name"]]
    else:
        return pd.DataFrame({"artist_id": [], "name": []}, dtype=object)
    return rows.dropna().reset_index(drop=True)


def artist_units(tables: Mapping[str, pd.DataFrame], item_type: str) -> list[str]:
    """``artist:<artist_id>`` for each artist of the catalogue, sorted.

    Raises:
        InputError: the catalogue names no artist.
    """
    ids = artists_of(tables, item_type)["artist_id"]
    if ids.empty:
        table = "items" if item_type == "Artist" else "artists"
        raise InputError(f"The catalogue names no artist: its table {table} is missing or empty.")
    return sorted(ARTIST + str(artist_id) for artist_id in ids)


def artist_id_of(unit: str) -> str | None:
    """The id in ``artist:<id>``, or ``None`` for another kind of unit."""
    return unit.removeprefix(ARTIST) if unit.startswith(ARTIST) else None


def artist_name(unit: str, tables: Mapping[str, pd.DataFrame], item_type: str) -> str:
    """Name of the artist that the unit is about.

    Raises:
        InputError: the catalogue has no such artist.
    """
    artists = artists_of(tables, item_type)
    names = artists.loc[artists["artist_id"] == artist_id_of(unit), "name"]
    if names.empty:
        raise InputError(f"{unit!r} is no unit of this catalogue; units() lists them.")
    return str(names.iloc[0])
