"""The hidden truth of the demo world: songs, artists, listeners and what each of them likes.

Draws the latents from which every table, sound and lyric is made. Tests and notebooks may look at
them; no table holds them. Knows nothing of listening, sound, words or files. Each part draws from
a random stream of its own, so that one part's size or dial never moves another part.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from musicrag.sources.demo.words import GENRES, MOODS, THEMES
from musicrag.types import IntArray

Float64Array = npt.NDArray[np.float64]

LATENTS = ("arousal", "valence", "brightness")
"""Columns of the continuous latents: energy, pleasantness, and bright against dark sound.

Brightness is heard only in the audio, theme is read only in the lyrics, arousal and valence are in
both: so each modality has something to say that no other modality repeats.
"""
AROUSAL, VALENCE, BRIGHTNESS = range(len(LATENTS))

_GENRE_MEANS = np.array(  # [genre, latent]
    [
        (-0.6, 0.2, -0.3),
        (0.6, 0.1, 0.3),
        (1.2, -0.7, 0.8),
        (0.7, 0.3, 1.0),
        (0.3, -0.1, -0.2),
        (-0.1, 0.6, -0.5),
        (-0.4, 0.4, -0.8),
        (-1.2, -0.1, -0.3),
    ]
)
_GENRE_SHARE, _ARTIST_SHARE, _OWN_SHARE = 0.6, 0.4, 0.8  # standard deviations of the three parts
_HOME_GENRE, _HOME_THEME = 0.85, 0.3  # chance that a song follows its artist
_LINKS_PER_ARTIST = 1.5
_LINK_DECAY = 1.2  # per step on the ring of genres
_GENRE_TAGGED, _GENRE_WRONG, _MOOD_WRONG = 0.95, 0.05, 0.15  # shares of songs, of tags, of tags
_RELEASES = (0.78, 0.88)  # of the observed period: when new songs come out
_MATCH_SHARPNESS = 3.0
_GENRE_DISLIKE = 0.8  # per step on the ring
_THEME_LIKING = 2.5


@dataclass(frozen=True)
class Taste:
    """What users (or playlists) like, one row each.

    Attributes:
        genre: utility of each genre. Shape ``[n, num_genres]``.
        theme: utility of each theme. Shape ``[n, num_themes]``.
        point: the best liked point in latent space. Shape ``[n, num_latents]``.
    """

    genre: Float64Array
    theme: Float64Array
    point: Float64Array


@dataclass(frozen=True)
class World:
    """The latents and the observed tags of one demo world.

    Attributes:
        seed: root of every random stream.
        artist_genre: home genre. Shape ``[num_artists]``.
        links: pairs of artists who worked together, lower index first. Shape ``[num_links, 2]``.
        song_artist, song_genre, song_theme: truth per song. Shape ``[num_songs]``.
        latents: standardised :data:`LATENTS`. Shape ``[num_songs, 3]``.
        popularity: log popularity, standard normal. Shape ``[num_songs]``.
        released: moment of release within the observed period, 0 (its start, or before) to 1
            (its end). Shape ``[num_songs]``.
        genre_tags, mood_tags: (song, tag) pairs as labelled, noisy. Shape ``[num_tags, 2]``.
    """

    seed: int
    artist_genre: IntArray
    links: IntArray
    song_artist: IntArray
    song_genre: IntArray
    song_theme: IntArray
    latents: Float64Array
    popularity: Float64Array
    released: Float64Array
    genre_tags: IntArray
    mood_tags: IntArray

    @property
    def num_songs(self) -> int:
        return len(self.song_artist)

    @property
    def num_artists(self) -> int:
        return len(self.artist_genre)

    @property
    def song_mood(self) -> IntArray:
        """True mood of each song, an index into MOODS. Shape ``[num_songs]``."""
        return nearest_mood(self.latents)

    def preference(self, taste: Taste, row: int) -> Float64Array:
        """Utility of every song for one row of tastes, without popularity. Shape ``[num_songs]``.

        ``genre[g] + theme[t] - sharpness / 2 · ‖latents - point‖²``
        """
        distance = np.square(self.latents - taste.point[row]).sum(axis=1)
        liking = taste.genre[row, self.song_genre] + taste.theme[row, self.song_theme]
        return np.asarray(liking - _MATCH_SHARPNESS / 2 * distance)


def stream(seed: int, key: str) -> np.random.Generator:
    """Return the random stream called ``key``; streams of different keys are independent."""
    return np.random.default_rng(
        np.random.SeedSequence(seed, spawn_key=(zlib.crc32(key.encode()),))
    )


def nearest_mood(latents: Float64Array) -> IntArray:
    """Index into MOODS of the mood nearest in angle to each row. Shape ``[n]``."""
    angle = np.arctan2(latents[:, AROUSAL], latents[:, VALENCE])
    return np.floor(angle / (2 * np.pi / len(MOODS))).astype(np.int64) % len(MOODS)


def build_world(
    num_songs: int,
    num_artists: int,
    mood_coverage: float,
    seed: int,
    new_release_share: float = 0.0,
) -> World:
    """Draw a world.

    Args:
        num_songs: at least ``num_artists``; every artist gets one song or more.
        num_artists: at least 2.
        mood_coverage: share of songs with a crowd label of their mood, in [0, 1].
        seed: root of every random stream.
        new_release_share: share of songs that come out while listeners are observed, in [0, 1].
    """
    rng = stream(seed, "catalogue")
    artist_genre = rng.permutation(np.arange(num_artists) % len(GENRES))
    song_artist = _song_artists(num_songs, num_artists, rng)
    home = artist_genre[song_artist]
    song_genre = np.where(
        rng.random(num_songs) < _HOME_GENRE, home, rng.integers(len(GENRES), size=num_songs)
    )
    song_theme = np.where(
        rng.random(num_songs) < _HOME_THEME,
        rng.integers(len(THEMES), size=num_artists)[song_artist],
        rng.integers(len(THEMES), size=num_songs),
    )
    latents = _latents(song_genre, song_artist, rng)
    fame = rng.normal(size=num_artists)[song_artist]
    return World(
        seed=seed,
        artist_genre=artist_genre,
        links=_links(artist_genre, stream(seed, "links")),
        song_artist=song_artist,
        song_genre=song_genre,
        song_theme=song_theme,
        latents=latents,
        popularity=0.6 * fame + 0.8 * rng.normal(size=num_songs),
        released=_release_moments(num_songs, new_release_share, stream(seed, "releases")),
        genre_tags=_genre_tags(song_genre, stream(seed, "genre_tags")),
        mood_tags=_mood_tags(nearest_mood(latents), mood_coverage, stream(seed, "mood_tags")),
    )


def user_tastes(num_users: int, seed: int) -> Taste:
    """Draw what each user likes: near genres, one region of latent space, two themes or so."""
    rng = stream(seed, "users")
    favourite = rng.integers(len(GENRES), size=num_users)
    noise = 0.4 * rng.normal(size=(num_users, len(GENRES)))
    point = rng.normal(size=(num_users, len(LATENTS)))
    liked = rng.random((num_users, len(THEMES))) < 2 / len(THEMES)
    genre = -_GENRE_DISLIKE * _ring_distance(favourite) + noise
    return Taste(genre, liked * np.float64(_THEME_LIKING), point)


def concept_tastes(genre: IntArray, mood: IntArray, theme: IntArray, seed: int) -> Taste:
    """Return tastes that fit playlists of one genre, mood and theme each; brightness is drawn."""
    angle = (mood + 0.5) * 2 * np.pi / len(MOODS)
    brightness = stream(seed, "playlist_brightness").normal(size=len(mood))
    point = np.stack([np.sin(angle), np.cos(angle), brightness], axis=1)
    liked = theme[:, None] == np.arange(len(THEMES))
    return Taste(-_GENRE_DISLIKE * _ring_distance(genre), _THEME_LIKING * liked, point)


def blend(latents: Float64Array, signal: float, donor: IntArray) -> Float64Array:
    """Mix each row with its donor's: ``signal · z + sqrt(1 - signal²) · z[donor]``.

    With donors drawn at random the mean and variance stay, and ``signal`` is the correlation
    with the truth. Shape ``[n, num_latents]``.
    """
    return np.asarray(signal * latents + np.sqrt(1 - signal**2) * latents[donor])


def blend_labels(
    labels: IntArray, signal: float, donor: IntArray, rng: np.random.Generator
) -> IntArray:
    """Keep each label with probability ``signal``, else take its donor's. Shape ``[n]``."""
    return np.where(rng.random(len(labels)) < signal, labels, labels[donor])


def _ring_distance(genre: IntArray) -> Float64Array:
    """Steps on the ring from each given genre to all genres. Shape ``[n, num_genres]``."""
    steps = np.abs(genre[:, None] - np.arange(len(GENRES)))
    return np.asarray(np.minimum(steps, len(GENRES) - steps), dtype=np.float64)


def _song_artists(num_songs: int, num_artists: int, rng: np.random.Generator) -> IntArray:
    weight = rng.gamma(2.0, size=num_artists)
    extra = rng.choice(num_artists, size=num_songs - num_artists, p=weight / weight.sum())
    return np.asarray(rng.permutation(np.concatenate([np.arange(num_artists), extra])))


def _latents(genre: IntArray, artist: IntArray, rng: np.random.Generator) -> Float64Array:
    own = rng.normal(size=(len(genre), len(LATENTS)))
    style = rng.normal(size=(int(artist.max()) + 1, len(LATENTS)))[artist]
    raw = _GENRE_SHARE * _GENRE_MEANS[genre] + _ARTIST_SHARE * style + _OWN_SHARE * own
    return np.asarray((raw - raw.mean(axis=0)) / raw.std(axis=0), dtype=np.float64)


def _links(artist_genre: IntArray, rng: np.random.Generator) -> IntArray:
    """Link artists, mostly within or near their genre. Shape ``[num_links, 2]``."""
    closeness = np.exp(-_LINK_DECAY * _ring_distance(artist_genre))[:, artist_genre]
    first, second = np.triu_indices(len(artist_genre), k=1)
    weight = closeness[first, second]
    num_links = min(round(_LINKS_PER_ARTIST * len(artist_genre)), len(first))
    picked = np.sort(rng.choice(len(first), num_links, replace=False, p=weight / weight.sum()))
    return np.stack([first[picked], second[picked]], axis=1)


def _release_moments(num_songs: int, share: float, rng: np.random.Generator) -> Float64Array:
    is_new = rng.random(num_songs) < share
    return np.where(is_new, rng.uniform(*_RELEASES, size=num_songs), 0.0)


def _genre_tags(song_genre: IntArray, rng: np.random.Generator) -> IntArray:
    num_songs = len(song_genre)
    wrong = rng.random(num_songs) < _GENRE_WRONG
    tag = np.where(wrong, rng.integers(len(GENRES), size=num_songs), song_genre)
    tagged = np.flatnonzero(rng.random(num_songs) < _GENRE_TAGGED)
    return np.stack([tagged, tag[tagged]], axis=1)


def _mood_tags(song_mood: IntArray, coverage: float, rng: np.random.Generator) -> IntArray:
    """Label a share of the songs; a wrong label is a neighbouring mood on the circle."""
    shares = [_MOOD_WRONG / 2, 1 - _MOOD_WRONG, _MOOD_WRONG / 2]
    tag = (song_mood + rng.choice([-1, 0, 1], size=len(song_mood), p=shares)) % len(MOODS)
    tagged = np.flatnonzero(rng.random(len(song_mood)) < coverage)
    return np.stack([tagged, tag[tagged]], axis=1)
