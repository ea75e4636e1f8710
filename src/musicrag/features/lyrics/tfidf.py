"""Lyrics become latent semantic vectors: TF-IDF over words, then a truncated SVD.

The fallback that needs no model. It knows only which words occur together in this data set's
lyrics, not what they mean.

Source: Deerwester et al. (1990), Indexing by Latent Semantic Analysis.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from musicrag.contracts import Dataset, FeatureMatrix
from musicrag.features.rows import ItemRows
from musicrag.types import InputError, Modality

_WORD = r"(?u)\b[^\W\d_]{2,}\b"


class TfidfLyrics:
    """Unit-length rows ``U Σ`` of the rank-``num_features`` SVD of sublinear TF-IDF.

    With fewer lyrics or words than ``num_features`` the last columns are zero, so that the width
    does not depend on the data.

    Args:
        num_features: width of the vectors, ≥ 1.
        vocabulary_size: most frequent words that are kept, ≥ 1.
        seed: seed of the randomised SVD; of no consequence for results beyond rounding.
    """

    modality: ClassVar[Modality] = "lyrics"
    requires: ClassVar[str] = "lyrics"
    is_rowwise: ClassVar[bool] = False  # its axes are those of all lyrics

    def __init__(
        self, num_features: int = 128, vocabulary_size: int = 20_000, seed: int = 0
    ) -> None:
        if num_features < 1 or vocabulary_size < 1:
            raise InputError(
                f"num_features and vocabulary_size must be ≥ 1, got {num_features} and "
                f"{vocabulary_size}."
            )
        self.num_features = num_features
        self.vocabulary_size = vocabulary_size
        self.seed = seed

    def encode(self, dataset: Dataset) -> FeatureMatrix:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.preprocessing import normalize
        from sklearn.utils.extmath import randomized_svd

        rows = ItemRows.read(dataset, self.requires)
        vectorizer = TfidfVectorizer(
            token_pattern=_WORD, max_features=self.vocabulary_size, sublinear_tf=True
        )
        texts = rows.texts()
        values = np.zeros((len(texts), self.num_features))
        is_usable = np.zeros(len(texts), dtype=bool)
        analyse = vectorizer.build_analyzer()
        if any(analyse(text) for text in texts):  # without a word sklearn raises ValueError
            weights = vectorizer.fit_transform(texts)  # [num_rows, num_words]
            is_usable = weights.getnnz(axis=1) > 0
            rank = min(self.num_features, *weights.shape)
            # TruncatedSVD itself divides by the variance, which is zero for a single lyric.
            left, singular, _ = randomized_svd(weights, rank, random_state=self.seed)
            values[:, :rank] = normalize(left * singular)
        names = tuple(f"lsa_{component}" for component in range(self.num_features))
        return rows.matrix(values, names, "TF-IDF + SVD", is_usable)
