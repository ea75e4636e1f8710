"""The words that every package shares: ids, paths, qrels, runs, and the error a user sees.

Knows nothing of pandas, torch or Hydra. Names: ``*_id`` is a raw string,
``*_idx`` a contiguous int64 index, and only ``Vocabulary`` converts between the two.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

Modality = Literal["lyrics", "audio", "emotion"]
MODALITIES: tuple[Modality, ...] = get_args(Modality)
QueryType = Literal["user", "playlist", "text"]
QUERY_TYPES: tuple[QueryType, ...] = get_args(QueryType)

Qrels = dict[str, dict[str, float]]
"""``{query_id: {item_id: gain}}``; an item with gain > 0 is relevant."""
Run = dict[str, dict[str, float]]
"""``{query_id: {item_id: score}}``; higher is better, ties by item id descending (trec_eval)."""

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


class InputError(ValueError):
    """What a user gave cannot be used. The message names the value, what is allowed, what to do."""


def nearest(word: str, allowed: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the closest allowed spelling, or an empty string."""
    close = difflib.get_close_matches(word, sorted(allowed), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


@dataclass(frozen=True, order=True)
class Node:
    """One entity of the knowledge graph: its type (``Song``, ``Artist``, …) and its raw id."""

    type: str
    id: str

    def __str__(self) -> str:
        return f"{self.type}:{self.id}"

    @classmethod
    def parse(cls, text: str) -> Node:
        """Read ``Type:id``; the id may itself hold colons."""
        node_type, separator, node_id = text.partition(":")
        if not (separator and node_type and node_id):
            raise InputError(f"{text!r} is not a node. Write it as 'Type:id', such as 'Song:s12'.")
        return cls(node_type, node_id)


@dataclass(frozen=True, order=True)
class Path:
    """A walk node–relation–node… in the graph; relations carry no direction.

    Shapes:
        ``len(nodes) == len(relations) + 1``; ``num_hops == len(relations)``.
    """

    nodes: tuple[Node, ...]
    relations: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.nodes) != len(self.relations) + 1:
            raise InputError(
                f"A path of {len(self.nodes)} nodes needs {len(self.nodes) - 1} relations, "
                f"got {len(self.relations)}."
            )

    @property
    def num_hops(self) -> int:
        return len(self.relations)

    @property
    def target(self) -> Node:
        return self.nodes[-1]

    def edges(self) -> frozenset[tuple[Node, str, Node]]:
        """The path's edges with their two ends sorted, so that direction does not count."""
        return frozenset(
            (min(a, b), relation, max(a, b))
            for a, relation, b in zip(self.nodes, self.relations, self.nodes[1:], strict=False)
        )

    def to_json(self) -> str:
        """``["User:u1", "LISTENED", "Song:s3", …]``, nodes and relations in turn."""
        parts = [str(self.nodes[0])]
        for relation, node in zip(self.relations, self.nodes[1:], strict=True):
            parts += [relation, str(node)]
        return json.dumps(parts, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Path:
        """Inverse of :meth:`to_json`.

        Raises:
            InputError: the text is not a JSON list of nodes and relations in turn.
        """
        try:
            parts = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"A path must be a JSON list, got {text!r}: {error}") from error
        if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
            raise InputError(f"A path must be a JSON list of strings, got {text!r}.")
        return cls(tuple(Node.parse(part) for part in parts[::2]), tuple(parts[1::2]))


@dataclass(frozen=True)
class ScoredPath:
    """A path that a retriever returned, and its score (higher is better)."""

    path: Path
    score: float


class Vocabulary:
    """The one converter between raw string ids and contiguous int64 indices.

    Ids are kept sorted, so "item id descending" and "index descending" are the same order.
    """

    def __init__(self, ids: Iterable[str]) -> None:
        self.ids: tuple[str, ...] = tuple(sorted(set(ids)))
        self._index = {raw: idx for idx, raw in enumerate(self.ids)}

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, raw: object) -> bool:
        return raw in self._index

    @cached_property
    def array(self) -> npt.NDArray[np.object_]:
        """All ids as an object array, row ``idx`` holding its id. Shape ``[n]``."""
        return np.array(self.ids, dtype=object)

    def idx(self, raw: str) -> int:
        try:
            return self._index[raw]
        except KeyError:
            hint = nearest(raw, self.ids) if len(self.ids) < 10_000 else ""
            raise InputError(f"Unknown id {raw!r} among {len(self)} ids.{hint}") from None

    def encode(self, raw_ids: Sequence[str] | npt.NDArray[np.object_]) -> IntArray:
        """Map ids to indices; raises :class:`InputError` on an unknown id. Shape ``[len]``."""
        return np.fromiter((self.idx(raw) for raw in raw_ids), dtype=np.int64, count=len(raw_ids))

    def decode(self, idx: Iterable[int]) -> list[str]:
        return [self.ids[i] for i in idx]
