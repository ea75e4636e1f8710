"""Text queries with one, two and three hops, their anchors, their answers and their gold paths.

Answers follow the truth: a sad song without a crowd label still answers "sad songs about rain".
Gold paths follow the tables: there is one only where every edge is observed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from musicrag.contracts import RawTables
from musicrag.sources.demo.listening import GoldRow, gold_frame
from musicrag.sources.demo.walks import SongGraph, artist_node, genre_node, mood_node, song_node
from musicrag.sources.demo.words import GENRES, MOODS, THEMES
from musicrag.sources.demo.world import AROUSAL, VALENCE, World, stream
from musicrag.types import BoolArray, InputError, IntArray, Node, Path

MIN_RELEVANT, MAX_RELEVANT = 3, 30


@dataclass(frozen=True)
class TextQuery:
    """A question, the graph nodes it mentions, the songs that answer it, and the gold paths."""

    text: str
    anchors: tuple[Node, ...]
    relevant: IntArray
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class Asker:
    """What every family of queries needs.

    Attributes:
        world: the truth, for the answers.
        graph: the observed edges, for the gold paths.
        titles: song titles. Length ``num_songs``.
        names: artist names. Length ``num_artists``.
        rng: the stream of the queries.
    """

    world: World
    graph: SongGraph
    titles: list[str]
    names: list[str]
    rng: np.random.Generator

    def very(self) -> Iterator[TextQuery]:
        """Ask for "very sad songs": the most typical songs of one mood; 1 hop."""
        strength = np.hypot(self.world.latents[:, AROUSAL], self.world.latents[:, VALENCE])
        for (mood,) in self._shuffled(len(MOODS)):
            songs = np.flatnonzero(self.world.song_mood == mood)
            typical = np.sort(songs[np.argsort(-strength[songs], kind="stable")[:MAX_RELEVANT]])
            yield self._one_hop(f"very {MOODS[mood]} songs", (mood_node(mood),), typical)

    def mood_and_theme(self) -> Iterator[TextQuery]:
        """Ask for "sad songs about the rain"; 1 hop."""
        for mood, theme in self._shuffled(len(MOODS), len(THEMES)):
            answers = self._has(mood=mood, theme=theme)
            text = f"{MOODS[mood]} songs about {THEMES[theme].about}"
            yield self._one_hop(text, (mood_node(mood),), np.flatnonzero(answers))

    def genre_and_theme(self) -> Iterator[TextQuery]:
        """Ask for "folk about the rain"; 1 hop."""
        for genre, theme in self._shuffled(len(GENRES), len(THEMES)):
            answers = self._has(genre=genre, theme=theme)
            text = f"{GENRES[genre]} about {THEMES[theme].about}"
            yield self._one_hop(text, (genre_node(genre),), np.flatnonzero(answers))

    def mood_and_genre(self) -> Iterator[TextQuery]:
        """Ask for "sad folk songs"; 1 hop from two anchors."""
        for mood, genre in self._shuffled(len(MOODS), len(GENRES)):
            answers = self._has(mood=mood, genre=genre)
            anchors = (mood_node(mood), genre_node(genre))
            text = f"{MOODS[mood]} {GENRES[genre]} songs"
            yield self._one_hop(text, anchors, np.flatnonzero(answers))

    def all_three(self) -> Iterator[TextQuery]:
        """Ask for "sad folk songs about the rain"; 1 hop from two anchors."""
        for mood, genre, theme in self._shuffled(len(MOODS), len(GENRES), len(THEMES)):
            answers = self._has(mood=mood, genre=genre, theme=theme)
            anchors = (mood_node(mood), genre_node(genre))
            text = f"{MOODS[mood]} {GENRES[genre]} songs about {THEMES[theme].about}"
            yield self._one_hop(text, anchors, np.flatnonzero(answers))

    def collaborators(self) -> Iterator[TextQuery]:
        """Ask for "songs by artists who worked with X"; 2 hops."""
        for (artist,) in self._shuffled(self.world.num_artists):
            start = int(self.graph.songs_of_artist[artist][0])
            bridges = self.graph.bridges(start, "collaborator")
            paths = [
                Path((*bridge.between, song_node(song)), bridge.relations[1:])
                for bridge in bridges
                for song in bridge.reached.tolist()
            ]
            text = f"songs by artists who worked with {self.names[artist]}"
            relevant = np.concatenate([np.empty(0, np.int64), *(b.reached for b in bridges)])
            yield TextQuery(text, (artist_node(artist),), np.sort(relevant), tuple(paths))

    def similar(self) -> Iterator[TextQuery]:
        """Ask for "songs like T by other artists that its artist worked with"; 3 hops."""
        for (song,) in self._shuffled(self.world.num_songs):
            text = f'songs like "{self.titles[song]}" by other artists that its artist worked with'
            everything = np.ones(self.world.num_songs, dtype=bool)
            yield self._three_hops(text, song, (), everything)

    def similar_of_mood(self) -> Iterator[TextQuery]:
        """Ask for "sad songs by artists who worked with T's artist"; 3 hops and a mood."""
        for song, mood in self._shuffled(self.world.num_songs, len(MOODS)):
            who = f'artists who worked with the artist of "{self.titles[song]}"'
            text = f"{MOODS[mood]} songs by {who}"
            yield self._three_hops(text, song, (mood_node(mood),), self._has(mood=mood))

    def similar_of_genre(self) -> Iterator[TextQuery]:
        """Ask for "folk by artists who worked with T's artist"; 3 hops and a genre."""
        for song, genre in self._shuffled(self.world.num_songs, len(GENRES)):
            who = f'artists who worked with the artist of "{self.titles[song]}"'
            text = f"{GENRES[genre]} by {who}"
            yield self._three_hops(text, song, (genre_node(genre),), self._has(genre=genre))

    def _shuffled(self, *sizes: int) -> Iterator[tuple[int, ...]]:
        """All index tuples below ``sizes``, in random order."""
        combinations = list(product(*(range(size) for size in sizes)))
        for index in self.rng.permutation(len(combinations)).tolist():
            yield combinations[index]

    def _has(
        self, mood: int | None = None, genre: int | None = None, theme: int | None = None
    ) -> BoolArray:
        """Mask of the songs that truly have all the given properties. Shape ``[num_songs]``."""
        mask = np.ones(self.world.num_songs, dtype=bool)
        for wanted, truth in (
            (mood, self.world.song_mood),
            (genre, self.world.song_genre),
            (theme, self.world.song_theme),
        ):
            if wanted is not None:
                mask &= truth == wanted
        return mask

    def _one_hop(self, text: str, anchors: tuple[Node, ...], relevant: IntArray) -> TextQuery:
        """Gold paths lead from an anchor straight to the relevant songs that carry its tag."""
        paths = [
            Path((bridge.between[0], song_node(song)), bridge.relations[:1])
            for song in relevant.tolist()
            for kind in ("genre", "mood")
            for bridge in self.graph.bridges(song, kind)
            if bridge.between[0] in anchors
        ]
        return TextQuery(text, anchors, relevant, tuple(paths))

    def _three_hops(
        self, text: str, song: int, filters: tuple[Node, ...], answers: BoolArray
    ) -> TextQuery:
        """Gold paths pass the song's artist and one collaborator."""
        reasons = [
            (int(target), bridge)
            for bridge in self.graph.bridges(song, "collaborator")
            for target in bridge.reached[answers[bridge.reached]]
        ]
        relevant = np.array(sorted(target for target, _ in reasons), dtype=np.int64)
        paths = tuple(bridge.path(song, target) for target, bridge in reasons)
        return TextQuery(text, (song_node(song), *filters), relevant, paths)


def ask(
    world: World, graph: SongGraph, titles: list[str], names: list[str], num_queries: int
) -> RawTables:
    """Write ``num_queries`` different questions, in turn from each family.

    Returns:
        Tables ``queries``, ``query_anchors``, ``qrels`` (gain 1) and ``gold_paths``.

    Raises:
        InputError: the world is too small for so many different questions.
    """
    asker = Asker(world, graph, titles, names, stream(world.seed, "queries"))
    chosen = _in_turn(asker, num_queries)
    if len(chosen) < num_queries:
        raise InputError(
            f"num_text_queries={num_queries} is too many: this world answers {len(chosen)} "
            f"different questions with {MIN_RELEVANT} to {MAX_RELEVANT} songs. Lower "
            "num_text_queries or raise num_songs and num_artists."
        )
    return _tables({f"q{number:04d}": query for number, query in enumerate(chosen)})


def _in_turn(asker: Asker, num_queries: int) -> list[TextQuery]:
    families = [
        asker.very(),
        asker.mood_and_theme(),
        asker.genre_and_theme(),
        asker.mood_and_genre(),
        asker.all_three(),
        asker.collaborators(),
        asker.similar(),
        asker.similar_of_mood(),
        asker.similar_of_genre(),
    ]
    chosen: list[TextQuery] = []
    while families and len(chosen) < num_queries:
        for family in list(families):
            query = next((q for q in family if _is_answerable(q)), None)
            if query is None:
                families.remove(family)
            else:
                chosen.append(query)
    return chosen[:num_queries]


def _is_answerable(query: TextQuery) -> bool:
    return MIN_RELEVANT <= len(query.relevant) <= MAX_RELEVANT


def _tables(queries: dict[str, TextQuery]) -> RawTables:
    anchors = [
        (key, node.type, node.id) for key, query in queries.items() for node in query.anchors
    ]
    qrels = [
        (key, song_node(song).id, 1.0)
        for key, query in queries.items()
        for song in query.relevant.tolist()
    ]
    gold: list[GoldRow] = [
        ("text", key, path.target.id, path.to_json())
        for key, query in queries.items()
        for path in query.paths
    ]
    texts = [(key, query.text) for key, query in queries.items()]
    return {
        "queries": pd.DataFrame(texts, columns=["query_id", "text"]),
        "query_anchors": pd.DataFrame(anchors, columns=["query_id", "node_type", "node_id"]),
        "qrels": pd.DataFrame(qrels, columns=["query_id", "item_id", "gain"]),
        "gold_paths": gold_frame(gold),
    }
