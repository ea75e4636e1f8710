"""The catalogue's tables: items, artists, tags and collaborations, as a listener would see them.

Titles, albums and years are drawn apart from the latents and say nothing about a song's sound.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from musicrag.contracts import RawTables
from musicrag.sources.demo.walks import SongGraph, artist_node, genre_node, mood_node, song_node
from musicrag.sources.demo.words import unique_names
from musicrag.sources.demo.world import World, stream
from musicrag.types import IntArray

_SONGS_PER_ALBUM = 6
_YEARS = (1975, 2025)  # half-open
_DURATIONS_S = (140.0, 320.0)


def list_catalogue(world: World, graph: SongGraph) -> RawTables:
    """Return the tables ``items``, ``artists``, ``item_tags`` and ``links``."""
    rng = stream(world.seed, "names")
    artists = [artist_node(artist).id for artist in range(world.num_artists)]
    names = unique_names(world.num_artists, rng, "The {first} {noun}s")
    return {
        "items": _items(world, graph, rng),
        "artists": pd.DataFrame({"artist_id": artists, "name": names}),
        "item_tags": _item_tags(world),
        "links": _links(world.links),
    }


def _items(world: World, graph: SongGraph, rng: np.random.Generator) -> pd.DataFrame:
    titles = unique_names(world.num_songs, rng, "{first} {noun}")
    album, year = np.empty((2, world.num_songs), dtype=object)
    for songs in graph.songs_of_artist:
        for start in range(0, len(songs), _SONGS_PER_ALBUM):
            of_album = songs[start : start + _SONGS_PER_ALBUM]
            album[of_album] = unique_names(1, rng, "{noun} and {first}")[0]
            year[of_album] = int(rng.integers(*_YEARS))
    return pd.DataFrame(
        {
            "item_id": [song_node(song).id for song in range(world.num_songs)],
            "title": titles,
            "artist_id": [artist_node(artist).id for artist in world.song_artist.tolist()],
            "album": pd.Series(album.tolist(), dtype=str),
            "year": year.astype(np.int64),
            "duration_s": rng.uniform(*_DURATIONS_S, size=world.num_songs).round(1),
        }
    )


def _item_tags(world: World) -> pd.DataFrame:
    rows = [(song, genre_node(tag).id, "genre") for song, tag in world.genre_tags.tolist()]
    rows += [(song, mood_node(tag).id, "mood") for song, tag in world.mood_tags.tolist()]
    rows.sort()
    return pd.DataFrame(
        [(song_node(song).id, tag, kind) for song, tag, kind in rows],
        columns=["item_id", "tag", "kind"],
    )


def _links(links: IntArray) -> pd.DataFrame:
    rows = [
        ("Artist", artist_node(one).id, "COLLABORATED_WITH", "Artist", artist_node(other).id)
        for one, other in links.tolist()
    ]
    columns = ["source_type", "source_id", "relation", "target_type", "target_id"]
    return pd.DataFrame(rows, columns=columns)
