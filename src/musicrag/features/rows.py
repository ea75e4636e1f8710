"""Rows of one table become rows of one feature matrix, in the order of ``dataset.items``.

Every encoder reads and writes through :class:`ItemRows`, so the rules of
:class:`~musicrag.contracts.FeatureMatrix` (row i = item i, absent rows zero, float32, finite) stand
here once. Knows nothing of what the features mean.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from musicrag.contracts import Dataset, FeatureMatrix
from musicrag.types import BoolArray, InputError, IntArray

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DatasetPart(Dataset):
    """A data set reduced to a few of its items, of which none need have usable data.

    Attributes:
        whole: the data set that it is a part of, for encoders whose rows need the whole table.
    """

    whole: Dataset

    @classmethod
    def of(cls, whole: Dataset, item_ids: Collection[str], table: str) -> DatasetPart:
        """The rows that ``items`` and ``table``, if it is there, have for some items."""
        tables = {
            name: frame[frame["item_id"].isin(item_ids)]
            for name, frame in whole.tables.items()
            if name in ("items", table)
        }
        return cls(whole.name, whole.item_type, tables, whole.rejects, whole.content_hash, whole)


@dataclass(frozen=True)
class ItemRows:
    """One table in item order, so that the order of its rows cannot change a result.

    Attributes:
        table: the table's name.
        frame: its rows, sorted by item; at most one row an item.
        item_idx: the item of each row, ascending. Shape ``[num_rows]``.
        num_items: items of the data set.
        dataset_name: for messages.
        started_s: clock reading at the start of the encoding, for the log.
        may_be_empty: whether it is no error that no row is usable.
    """

    table: str
    frame: pd.DataFrame
    item_idx: IntArray
    num_items: int
    dataset_name: str
    started_s: float = field(default_factory=time.perf_counter)
    may_be_empty: bool = False

    @classmethod
    def read(cls, dataset: Dataset, table: str) -> ItemRows:
        """Sort the rows of ``table`` by item.

        Raises:
            InputError: the data set has no such table, or an item has two rows in it.
        """
        if table not in dataset.tables:
            raise InputError(
                f"Data set {dataset.name!r} has no table {table!r}, only "
                f"{', '.join(sorted(dataset.tables))}. Add it, or choose another encoder."
            )
        frame = dataset.tables[table]
        item_idx = dataset.items.encode(frame["item_id"].to_numpy(dtype=object))
        order = np.argsort(item_idx, kind="stable")
        item_idx = item_idx[order]
        repeated = np.flatnonzero(np.diff(item_idx) == 0)
        if len(repeated):
            raise InputError(
                f"Table {table!r} of {dataset.name!r} has {len(repeated)} items with more than "
                f"one row, such as {dataset.items.ids[item_idx[repeated[0]]]!r}. Keep one of each."
            )
        ordered = frame.iloc[order].reset_index(drop=True)
        may_be_empty = isinstance(dataset, DatasetPart)
        return cls(
            *(table, ordered, item_idx, len(dataset.items), dataset.name), may_be_empty=may_be_empty
        )

    def texts(self) -> list[str]:
        """Column ``text`` without surrounding blanks; a missing text is the empty string."""
        return [text.strip() for text in self.frame["text"].fillna("").astype(str)]

    def matrix(
        self,
        values: npt.NDArray[np.floating],
        names: Sequence[str],
        encoder: str,
        is_usable: BoolArray | None = None,
    ) -> FeatureMatrix:
        """Place one feature row per table row at its item; every other item is absent.

        Args:
            values: features of the table's rows. Shape ``[num_rows, num_features]``.
            names: feature names, ``num_features`` long.
            encoder: what made the features, for captions.
            is_usable: False for rows without usable data; None if all have. Shape ``[num_rows]``.

        Raises:
            InputError: no row is usable, and the data set is not a :class:`DatasetPart`.
        """
        usable = np.ones(len(values), dtype=bool) if is_usable is None else is_usable
        if not usable.any() and not self.may_be_empty:
            raise InputError(
                f"None of the {len(usable)} rows of table {self.table!r} of "
                f"{self.dataset_name!r} is usable for {encoder}. Fix the table or choose "
                "another encoder ('none' leaves the modality out)."
            )
        placed = np.zeros((self.num_items, len(names)), dtype=np.float32)
        present = np.zeros(self.num_items, dtype=bool)
        placed[self.item_idx[usable]] = values[usable]
        present[self.item_idx[usable]] = True
        is_finite = np.asarray(np.isfinite(placed).all(axis=0))
        if not is_finite.all():
            broken = [name for name, ok in zip(names, is_finite, strict=True) if not ok]
            raise InputError(f"{encoder} gave values that are not finite in {', '.join(broken)}.")
        logger.info(
            "%s: %d of %d items, %d features from %d rows of %r in %.1f s",
            encoder,
            present.sum(),
            self.num_items,
            len(names),
            len(values),
            self.table,
            time.perf_counter() - self.started_s,
        )
        return FeatureMatrix(placed, present, tuple(names), encoder)
