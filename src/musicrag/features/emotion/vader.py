"""Lyrics become statistics of their lines' sentiment, by the rules of VADER.

A line ends at a line break, or after ``. ! ? ;`` so that lyrics stored as paragraphs are not
judged as one long sentence, on which VADER's compound score saturates. English only: words of
other languages count as neutral.

Source: Hutto & Gilbert (2014), VADER: A Parsimonious Rule-based Model for Sentiment Analysis of
Social Media Text.
"""

from __future__ import annotations

import re
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from musicrag.contracts import Dataset, FeatureMatrix
from musicrag.features.rows import ItemRows
from musicrag.types import InputError, Modality

SCORES = ("compound", "pos", "neu", "neg")
_STATISTICS = ("mean", "std", "min", "max")
NAMES = (
    *(f"vader_{score}_{statistic}" for statistic in _STATISTICS for score in SCORES),
    "vader_positive_share",
    "vader_negative_share",
)
_LINE_END = re.compile(r"[\r\n]+|(?<=[.!?;])\s+")


def split_lines(text: str) -> list[str]:
    """Lines of a lyric, without blank ones."""
    return [line for part in _LINE_END.split(text) if (line := part.strip())]


class VaderEmotion:
    """Mean, deviation, minimum and maximum of the line scores, and shares of marked lines.

    Args:
        polarity_threshold: |compound| from which a line counts as positive or negative, in
            ``(0, 1]``; VADER's authors use 0.05.
    """

    modality: ClassVar[Modality] = "emotion"
    requires: ClassVar[str] = "lyrics"
    is_rowwise: ClassVar[bool] = True

    def __init__(self, polarity_threshold: float = 0.05) -> None:
        if not 0 < polarity_threshold <= 1:
            raise InputError(f"polarity_threshold must be in (0, 1], got {polarity_threshold}.")
        self.polarity_threshold = polarity_threshold

    def encode(self, dataset: Dataset) -> FeatureMatrix:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

        rows = ItemRows.read(dataset, self.requires)
        analyser = SentimentIntensityAnalyzer()
        values = np.zeros((len(rows.frame), len(NAMES)))
        is_usable = np.zeros(len(rows.frame), dtype=bool)
        for row, text in enumerate(rows.texts()):
            lines = split_lines(text)
            if lines:
                scores = [analyser.polarity_scores(line) for line in lines]
                values[row] = self._summarise(
                    np.array([[score[name] for name in SCORES] for score in scores])
                )
                is_usable[row] = True
        return rows.matrix(values, NAMES, "VADER", is_usable)

    def _summarise(self, scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Statistics of line scores ``[num_lines, 4]``, in the order of :data:`NAMES`."""
        compound = scores[:, 0]
        return np.concatenate(
            [
                scores.mean(axis=0),
                scores.std(axis=0),
                scores.min(axis=0),
                scores.max(axis=0),
                [np.mean(compound >= self.polarity_threshold)],
                [np.mean(compound <= -self.polarity_threshold)],
            ]
        )
