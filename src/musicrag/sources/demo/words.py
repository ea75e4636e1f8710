"""The word banks of the demo world: genres, moods, themes, names and sung words.

Song and artist names come from banks that share no word with the themes and carry no emotion, so
that a title says nothing about a song. Theme words are unknown to VADER and NRCLex, emotion words
are known to both: the two dials of the lyrics stay independent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

GENRES = ("folk", "rock", "metal", "electronic", "hip hop", "soul", "jazz", "classical")
"""A ring: neighbours (the last and the first too) are near genres, whose artists collaborate."""

MOODS = ("happy", "energetic", "tense", "angry", "sad", "melancholic", "calm", "romantic")
"""Every 45° on the circle of valence and arousal, counter-clockwise from 22.5°."""


@dataclass(frozen=True)
class Theme:
    """A lyrical topic: how a query asks for it, how a playlist title hints at it, its nouns."""

    name: str
    about: str
    title: str
    nouns: tuple[str, ...]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


THEMES = (
    Theme(
        "sea",
        "the sea",
        "seaside",
        _words("ocean shoreline tide wave sail island boat coral pier seaweed"),
    ),
    Theme(
        "road",
        "the road",
        "road trip",
        _words("highway engine wheel asphalt crossing suitcase motel bridge roadside windshield"),
    ),
    Theme(
        "city",
        "the city",
        "downtown",
        _words("skyline subway neon sidewalk taxi rooftop avenue elevator billboard streetlight"),
    ),
    Theme(
        "night",
        "the night",
        "late night",
        _words("moon midnight shadow lamp dusk candle twilight curtain owl lantern"),
    ),
    Theme(
        "rain",
        "the rain",
        "rainy day",
        _words("rain cloud umbrella puddle drizzle raincoat thunder raindrop fog mist"),
    ),
    Theme(
        "home",
        "home",
        "at home",
        _words("kitchen doorway porch table chimney staircase cupboard kettle attic hallway"),
    ),
    Theme(
        "machines",
        "machines",
        "robot",
        _words("circuit satellite robot signal wire antenna screen voltage server keyboard"),
    ),
    Theme(
        "country",
        "the countryside",
        "countryside",
        _words("valley river barn orchard wheat tractor hill creek saddle haystack"),
    ),
)

EMOTION_WORDS: dict[tuple[bool, bool], tuple[str, ...]] = {
    (True, True): _words(
        "joy excitement delight laughter triumph passion fun glory ecstasy happiness"
    ),
    (True, False): _words(
        "calm kindness grace relief ease honesty wisdom trust harmony tenderness"
    ),
    (False, True): _words("anger rage terror panic outrage hostility fear fury war hatred"),
    (False, False): _words(
        "sorrow grief sadness loneliness gloom regret mourning melancholy emptiness boredom"
    ),
}
"""Nouns for ``(valence is high, arousal is high)``; each bank has the same length."""

LINES = (
    "there is {emotion} by the {theme}",
    "I carry my {emotion} along the {theme}",
    "under the {theme} we whisper about {emotion}",
    "all of this {emotion} around the {theme}",
    "the {theme} keeps turning with {emotion}",
    "you wrote {emotion} over the {theme}",
    "and I hear {emotion} behind the {theme}",
    "between the {theme} and the {emotion} I stand",
    "another {theme} and another name for {emotion}",
    "they call it {emotion} when the {theme} goes by",
    "from the {theme} comes a sound of {emotion}",
    "we were the {theme} and they were the {emotion}",
    "tell me again of the {theme} and of {emotion}",
    "my {emotion} sits beside the {theme}",
    "every {theme} has its own {emotion}",
    "the colour of the {theme} is {emotion}",
)
"""Lines of a lyric; each has one theme and one emotion noun and is neutral otherwise."""

_FIRST = _words(
    "Paper Velvet Copper Seven Marble Amber Hollow Crystal Double Ivory Scarlet Second Indigo "
    "Plastic Cedar Silver Wooden Linen Northern Twelve Crimson Cobalt Parallel Borrowed Slanted "
    "Woven Painted Folded Ninth Hidden Eastern Porcelain Granite Feathered Magnetic Striped "
    "Saffron Oval Upper Distant"
)
_NOUN = _words(
    "Sextant Ladder Mirror Button Orbit Needle Ribbon Spiral Envelope Pencil Garland Sundial Prism "
    "Thimble Pendulum Carousel Bracelet Almanac Lattice Anvil Quill Cipher Tassel Postcard "
    "Alphabet Harlequin Pocket Turnstile Domino Bobbin Goblet Stencil Awning Locket Parcel "
    "Trellis Kite Notebook Ledger Pinwheel"
)


def unique_names(num: int, rng: np.random.Generator, pattern: str) -> list[str]:
    """Draw ``num`` different names; ``pattern`` has the fields ``{first}`` and ``{noun}``."""
    num_pairs = len(_FIRST) * len(_NOUN)
    num_parts = 1 + 2 * num // num_pairs
    names = []
    for code in rng.choice(num_pairs * num_parts, size=num, replace=False).tolist():
        part, pair = divmod(code, num_pairs)
        first, noun = divmod(pair, len(_NOUN))
        name = pattern.format(first=_FIRST[first], noun=_NOUN[noun])
        names.append(f"{name} {part + 1}" if part else name)
    return names
