"""Ready-made emotion features (valence, arousal, …) as they came with the data."""

from __future__ import annotations

from typing import ClassVar

from musicrag.contracts import Dataset, FeatureMatrix
from musicrag.features.ready_made import encode_columns
from musicrag.types import Modality


class TabularEmotion:
    """Every numeric column of ``emotion_features``; see :mod:`musicrag.features.ready_made`."""

    modality: ClassVar[Modality] = "emotion"
    requires: ClassVar[str] = "emotion_features"
    is_rowwise: ClassVar[bool] = True

    def encode(self, dataset: Dataset) -> FeatureMatrix:
        return encode_columns(dataset, self.requires, "tabular emotion")
