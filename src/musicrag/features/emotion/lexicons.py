"""VADER and NRCLex side by side: the default when the data brings lyrics but no emotion columns."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from musicrag.contracts import Dataset, FeatureMatrix
from musicrag.features.emotion.nrclex import NrclexEmotion
from musicrag.features.emotion.vader import VaderEmotion
from musicrag.types import Modality


class LexiconEmotion:
    """The columns of :class:`VaderEmotion`, then those of :class:`NrclexEmotion`.

    Args:
        polarity_threshold: |compound| from which a line counts as positive or negative, in
            ``(0, 1]``.
    """

    modality: ClassVar[Modality] = "emotion"
    requires: ClassVar[str] = "lyrics"
    is_rowwise: ClassVar[bool] = True

    def __init__(self, polarity_threshold: float = 0.05) -> None:
        self._vader = VaderEmotion(polarity_threshold)
        self._nrclex = NrclexEmotion()

    def encode(self, dataset: Dataset) -> FeatureMatrix:
        vader = self._vader.encode(dataset)
        nrclex = self._nrclex.encode(dataset)
        return FeatureMatrix(
            np.concatenate([vader.values, nrclex.values], axis=1),
            vader.present | nrclex.present,
            vader.names + nrclex.names,
            "VADER + NRCLex",
        )
