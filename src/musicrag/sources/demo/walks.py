"""Multi-hop walks over the observed song graph: how a listener gets from one song to the next.

A walk leaves a song that is already there, passes an artist, a genre, a mood or two collaborating
artists, and ends at a new song, chosen among those in reach by preference and popularity. The
walk is kept: it is the planted reason of that choice. Only edges that the tables show are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Literal, get_args

import numpy as np

from musicrag.sources.demo.words import GENRES, MOODS
from musicrag.sources.demo.world import Float64Array, World
from musicrag.types import BoolArray, IntArray, Node, Path

HopKind = Literal["artist", "genre", "mood", "collaborator"]
HOP_KINDS: tuple[HopKind, ...] = get_args(HopKind)

NUM_STARTS = 3
"""Songs that a walk starts from; they are chosen freely and have no planted reason."""

_POPULARITY = 0.8  # utility per standard deviation of log popularity
_NOVELTY = 5.0  # utility of a song on the day of its release
_NOVELTY_SPAN = 0.2  # of the observed period: how long that lasts
_MAX_REASONS = 3
_MAX_TRIES = 20


def song_node(song: int) -> Node:
    return Node("Song", f"s{song:04d}")


def artist_node(artist: int) -> Node:
    return Node("Artist", f"a{artist:03d}")


def genre_node(genre: int) -> Node:
    return Node("Genre", GENRES[genre])


def mood_node(mood: int) -> Node:
    return Node("Mood", MOODS[mood])


@dataclass(frozen=True)
class Bridge:
    """A way from song to song: the nodes between, the relations, and the songs it leads to."""

    kind: HopKind
    between: tuple[Node, ...]
    relations: tuple[str, ...]
    reached: IntArray

    def path(self, start: int, target: int, prefix: tuple[Node, str] | None = None) -> Path:
        """The path from song to song over this bridge, maybe led in by ``(User, LISTENED)``."""
        nodes = (song_node(start), *self.between, song_node(target))
        if prefix is None:
            return Path(nodes, self.relations)
        return Path((prefix[0], *nodes), (prefix[1], *self.relations))


@dataclass(frozen=True)
class Step:
    """One song of a walk and the reasons for it: (earlier song, bridge) pairs, none for a start."""

    song: int
    reasons: tuple[tuple[int, Bridge], ...] = ()


class SongGraph:
    """The bridges that lead out of each song, read from the observed tags and links."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.songs_of_artist = _members(world.song_artist, world.num_artists)
        self._bridges: list[Bridge] = []
        self._out: list[dict[HopKind, list[int]]] = [{} for _ in range(world.num_songs)]
        self._add_artists()
        self._add_tags("genre", world.genre_tags, "HAS_GENRE")
        self._add_tags("mood", world.mood_tags, "EVOKES")
        self._out_sets = [frozenset(chain(*out.values())) for out in self._out]

    def bridges(self, song: int, kind: HopKind) -> list[Bridge]:
        return [self._bridges[index] for index in self._out[song].get(kind, [])]

    def walk(
        self,
        utility: Float64Array,
        num_steps: int,
        kinds: tuple[HopKind, ...],
        rng: np.random.Generator,
        moments: Float64Array | None = None,
    ) -> list[Step]:
        """Walk from song to song, never twice to the same one, never to one that is not out yet
        (unless all others were heard).

        Args:
            utility: preference of every song; popularity is added here. Shape ``[num_songs]``.
            num_steps: songs in the walk, at most ``num_songs``.
            kinds: bridges that may be taken, equally likely.
            rng: the walk's random stream.
            moments: when each step is taken, rising, in [0, 1]; new releases draw attention for
                a while. None: all at the end of the period, without such attention.
        """
        utility = utility + _POPULARITY * self._world.popularity
        free = np.ones(self._world.num_songs, dtype=bool)
        steps: list[Step] = []
        for place in range(num_steps):
            wanted, is_out = utility, free
            if moments is not None:
                age = moments[place] - self._world.released
                is_new = (self._world.released > 0) & (age >= 0)
                is_out = free & (age >= 0)
                is_out = is_out if is_out.any() else free  # all heard: listen ahead of release
                wanted = utility + _NOVELTY * is_new * np.exp(-np.maximum(age, 0) / _NOVELTY_SPAN)
            step = self._next(steps, wanted, is_out, kinds, rng)
            free[step.song] = False
            steps.append(step)
        return steps

    def _next(
        self,
        steps: list[Step],
        utility: Float64Array,
        free: BoolArray,
        kinds: tuple[HopKind, ...],
        rng: np.random.Generator,
    ) -> Step:
        for _ in range(_MAX_TRIES if len(steps) >= NUM_STARTS else 0):
            start = steps[rng.integers(len(steps))].song
            out = self._out[start].get(kinds[rng.integers(len(kinds))])
            if not out:
                continue
            index = out[rng.integers(len(out))]
            reached = self._bridges[index].reached
            reached = reached[free[reached]]
            if len(reached):
                song = _choose(reached, utility, rng)
                return Step(song, self._reasons(index, start, steps))
        return Step(_choose(np.flatnonzero(free), utility, rng))

    def _reasons(self, index: int, start: int, steps: list[Step]) -> tuple[tuple[int, Bridge], ...]:
        """All earlier songs that the same bridge leaves from, the one that was taken first."""
        others = (step.song for step in steps if index in self._out_sets[step.song])
        starts = [start, *(song for song in others if song != start)]
        return tuple((song, self._bridges[index]) for song in starts[:_MAX_REASONS])

    def _add(self, bridge: Bridge, starts: IntArray) -> None:
        for song in starts.tolist():
            self._out[song].setdefault(bridge.kind, []).append(len(self._bridges))
        self._bridges.append(bridge)

    def _add_artists(self) -> None:
        for artist, songs in enumerate(self.songs_of_artist):
            between, relations = (artist_node(artist),), ("PERFORMED_BY", "PERFORMED_BY")
            self._add(Bridge("artist", between, relations, songs), songs)
        via = ("PERFORMED_BY", "COLLABORATED_WITH", "PERFORMED_BY")
        for one, other in self._world.links.tolist():
            for a, b in ((one, other), (other, one)):
                ends = (artist_node(a), artist_node(b))
                bridge = Bridge("collaborator", ends, via, self.songs_of_artist[b])
                self._add(bridge, self.songs_of_artist[a])

    def _add_tags(self, kind: Literal["genre", "mood"], tags: IntArray, relation: str) -> None:
        node = genre_node if kind == "genre" else mood_node
        for tag in np.unique(tags[:, 1]).tolist():
            songs = tags[tags[:, 1] == tag, 0]
            self._add(Bridge(kind, (node(tag),), (relation, relation), songs), songs)


def _members(group: IntArray, num_groups: int) -> list[IntArray]:
    order = np.argsort(group, kind="stable")
    return np.split(order, np.searchsorted(group[order], np.arange(1, num_groups)))


def _choose(songs: IntArray, utility: Float64Array, rng: np.random.Generator) -> int:
    """Draw one song with probability softmax(utility), by the Gumbel-max trick."""
    return int(songs[np.argmax(utility[songs] + rng.gumbel(size=len(songs)))])
