"""Lyrics become frequencies of the eight basic emotions and two polarities of the NRC lexicon.

NRCLex 4 ships a lexicon of 6,468 words. ``load_token_list`` needs no NLTK download, but does not
lemmatise, so only the forms that the lexicon lists are found. English only. The terms of EmoLex
itself are research-only.

Source: Mohammad & Turney (2013), Crowdsourcing a Word–Emotion Association Lexicon.
"""

from __future__ import annotations

import re
from typing import ClassVar

import numpy as np

from musicrag.contracts import Dataset, FeatureMatrix
from musicrag.features.rows import ItemRows
from musicrag.types import Modality

CATEGORIES = (
    "anger",
    "anticipation",
    "disgust",
    "fear",
    "joy",
    "negative",
    "positive",
    "sadness",
    "surprise",
    "trust",
)
NAMES = tuple(f"nrc_{category}" for category in CATEGORIES)
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")


def tokenise(text: str) -> list[str]:
    """Lower-cased words, apostrophes inside a word kept."""
    return [word.replace("\u2019", "'") for word in _WORD.findall(text.lower())]


class NrclexEmotion:
    """Share of a lyric's words that the lexicon links to each category.

    The counts are divided by the number of *all* words (not, as ``affect_frequencies`` does, by
    the number of emotional ones), so a song with one sad word in a hundred is not "all sadness".
    """

    modality: ClassVar[Modality] = "emotion"
    requires: ClassVar[str] = "lyrics"
    is_rowwise: ClassVar[bool] = True

    def encode(self, dataset: Dataset) -> FeatureMatrix:
        from nrclex import NRCLex

        rows = ItemRows.read(dataset, self.requires)
        lexicon = NRCLex()
        values = np.zeros((len(rows.frame), len(NAMES)))
        is_usable = np.zeros(len(rows.frame), dtype=bool)
        for row, text in enumerate(rows.texts()):
            tokens = tokenise(text)
            if tokens:
                lexicon.load_token_list(tokens)
                counts = lexicon.raw_emotion_scores
                values[row] = [counts.get(category, 0) / len(tokens) for category in CATEGORIES]
                is_usable[row] = True
        return rows.matrix(values, NAMES, "NRCLex", is_usable)
