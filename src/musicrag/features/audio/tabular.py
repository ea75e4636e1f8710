"""Ready-made audio features (tempo, energy, danceability, …) as they came with the data."""

from __future__ import annotations

from typing import ClassVar

from musicrag.contracts import Dataset, FeatureMatrix
from musicrag.features.ready_made import encode_columns
from musicrag.types import Modality


class TabularAudio:
    """Every numeric column of ``audio_features``; see :mod:`musicrag.features.ready_made`."""

    modality: ClassVar[Modality] = "audio"
    requires: ClassVar[str] = "audio_features"
    is_rowwise: ClassVar[bool] = True

    def encode(self, dataset: Dataset) -> FeatureMatrix:
        return encode_columns(dataset, self.requires, "tabular audio")
