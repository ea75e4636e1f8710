"""Profiles and their items are parted into train, valid and test before anything is derived.

A user or a playlist is one row of the matrix. Users are split by time where every interaction
has a timestamp and at random otherwise; of a playlist the tail is hidden. Knows nothing of
graphs or models.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Literal, Protocol, get_args, runtime_checkable

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from musicrag.contracts import Dataset, Split
from musicrag.tables.parts import TEST, TRAIN, VALID, Ratios, hide_items, hide_last, part_sizes
from musicrag.types import BoolArray, InputError, IntArray, nearest

_log = logging.getLogger(__name__)

Strategy = Literal["auto", "random", "temporal", "tail", "cold_items"]
"""``auto``: users by time if all timestamps are there, else at random; playlists by position.
``random``: both at random. ``temporal``: as ``auto``, and timestamps must be there. ``tail``: as
``auto``, and playlists must be there. ``cold_items``: a random share of *items* is hidden from
all profiles.
"""
_TEXT_VALID_RATIO = 0.3


@runtime_checkable
class HasPredefinedTest(Protocol):
    """A source whose authors published a test split of their own."""

    def predefined_test(self) -> pd.DataFrame | None:
        """Pairs ``user_id, item_id``, or ``None`` where the file is not there."""
        ...


def split(
    dataset: Dataset,
    rng: np.random.Generator,
    ratios: Ratios = (0.8, 0.1, 0.1),
    strategy: Strategy = "auto",
    predefined_test: pd.DataFrame | None = None,
) -> Split:
    """Part every profile's items, and the text queries, into train, valid and test.

    Profiles with fewer than 3 items stay in train whole and are counted. Text queries are parted
    at random, 30 % for validation (at least one of two or more).

    Args:
        dataset: clean tables.
        rng: makes every random choice; equal state, equal split.
        ratios: shares of train, valid and test, which sum to 1.
        strategy: one of :data:`Strategy`.
        predefined_test: pairs ``user_id, item_id`` that form the test part of users; validation
            is then ``valid / (train + valid)`` of what is left, 1/9 by default.

    Raises:
        InputError: there is nothing to split, or the strategy does not suit the data.
    """
    started = time.perf_counter()
    _check_options(ratios, strategy)
    profiles, pairs = _pairs(dataset)
    _check_strategy(dataset, pairs, strategy, predefined_test)
    if strategy == "cold_items":
        part = hide_items(pairs["item_idx"].to_numpy(dtype=np.int64), ratios, rng)
    else:
        given = _predefined_pairs(pairs, profiles, dataset, predefined_test)
        part = _profile_parts(pairs, len(profiles), given, _rank(pairs, strategy, rng), ratios)
    shape = (len(profiles), len(dataset.items))
    train, valid, test = (_matrix(pairs[part == which], shape) for which in (TRAIN, VALID, TEST))
    result = Split(profiles, train, valid, test, *_split_queries(dataset, rng))
    result = replace(result, report=_report(result))
    counts = ", ".join(f"{name} {count}" for name, count in result.report.items())
    _log.info("%s: %s; %.1f s", dataset.name, counts, time.perf_counter() - started)
    return result


def _check_options(ratios: Ratios, strategy: str) -> None:
    allowed = get_args(Strategy)
    if strategy not in allowed:
        raise InputError(
            f"strategy {strategy!r} is not one of {', '.join(allowed)}.{nearest(strategy, allowed)}"
        )
    if len(ratios) != 3 or min(ratios) <= 0 or abs(sum(ratios) - 1) > 1e-6:
        raise InputError(
            f"ratios must be three positive numbers of sum 1, got {ratios}. Write (0.8, 0.1, 0.1)."
        )


def _pairs(dataset: Dataset) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Profiles in order, and all profile–item pairs sorted by (profile, item).

    Returns:
        ``profile_type, profile_id``; and ``profile_idx, item_idx, is_user, weight, order``,
        where ``order`` is the timestamp or the position, or NaN.
    """
    stacked = pd.concat(_profile_rows(dataset), ignore_index=True)
    by_profile = stacked.groupby(["profile_type", "profile_id"], sort=True)
    profiles = by_profile.size().index.to_frame(index=False)
    pairs = pd.DataFrame(
        {
            "profile_idx": by_profile.ngroup().to_numpy(dtype=np.int64),
            "item_idx": dataset.items.encode(stacked["item_id"].to_numpy(dtype=object)),
            "is_user": (stacked["profile_type"] == "user").to_numpy(dtype=np.bool_),
            "weight": stacked["weight"].to_numpy(dtype=np.float32),
            "order": stacked["order"].to_numpy(dtype=np.float64),
        }
    )
    return profiles, pairs.sort_values(["profile_idx", "item_idx"], ignore_index=True)


def _profile_rows(dataset: Dataset) -> list[pd.DataFrame]:
    """``profile_type, profile_id, item_id, weight, order`` of users and of playlists."""
    frames = []
    if "interactions" in dataset.tables:
        rows = dataset.tables["interactions"].rename(columns={"user_id": "profile_id"})
        frames.append(rows.assign(profile_type="user", order=rows.get("timestamp", np.nan)))
    if "playlist_items" in dataset.tables:
        rows = dataset.tables["playlist_items"].rename(columns={"playlist_id": "profile_id"})
        frames.append(rows.assign(profile_type="playlist", order=rows["position"], weight=1.0))
    columns = ["profile_type", "profile_id", "item_id", "weight", "order"]
    if not frames and "queries" in dataset.tables:
        frames.append(pd.DataFrame({column: pd.Series(dtype="float64") for column in columns}))
    if not frames:
        raise InputError(
            f"{dataset.name} has nothing to split: it has neither interactions, nor "
            "playlist_items, nor queries. Add one of these tables."
        )
    return [frame[columns] for frame in frames]


def _check_strategy(
    dataset: Dataset, pairs: pd.DataFrame, strategy: Strategy, test: pd.DataFrame | None
) -> None:
    users = pairs[pairs["is_user"]]
    without_time = int(users["order"].isna().sum())
    if strategy == "temporal" and (users.empty or without_time):
        raise InputError(
            f"strategy 'temporal' needs a timestamp in every row of interactions; {dataset.name} "
            f"lacks it in {without_time} of {len(users)} rows. Set split.strategy=auto or random."
        )
    if strategy == "tail" and "playlist_items" not in dataset.tables:
        raise InputError(
            f"strategy 'tail' needs the table playlist_items, which {dataset.name} lacks. Set "
            "split.strategy=auto, random or temporal."
        )
    if strategy == "cold_items" and test is not None:
        raise InputError(
            f"{dataset.name} comes with a test split of its own, which 'cold_items' would ignore. "
            "Set split.strategy=auto, or remove the authors' test file."
        )


def _rank(
    pairs: pd.DataFrame, strategy: Strategy, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """What sorts the items of a profile, the last being hidden; ``rng`` breaks ties.

    Returns:
        Rank of each pair among all pairs. Shape ``[num_pairs]``.
    """
    order = pairs["order"].to_numpy(dtype=np.float64).copy()
    is_user = pairs["is_user"].to_numpy(dtype=np.bool_)
    if strategy == "random":
        order[:] = 0.0
    elif np.isnan(order[is_user]).any():
        order[is_user] = 0.0
    rank = np.empty(len(order))
    rank[np.lexsort((rng.random(len(order)), order))] = np.arange(len(order))
    return rank


def _predefined_pairs(
    pairs: pd.DataFrame, profiles: pd.DataFrame, dataset: Dataset, test: pd.DataFrame | None
) -> BoolArray:
    """Which pairs are in the authors' test split; each of that must be an interaction."""
    if test is None:
        return np.zeros(len(pairs), dtype=np.bool_)
    missing = {"user_id", "item_id"} - set(test.columns)
    if missing:
        raise InputError(f"predefined_test lacks the column {', '.join(sorted(missing))}.")
    wanted = pd.MultiIndex.from_frame(test[["user_id", "item_id"]].astype(str)).unique()
    profile_ids = profiles["profile_id"].to_numpy(dtype=object)[pairs["profile_idx"]]
    present = pd.MultiIndex.from_arrays([profile_ids, dataset.items.array[pairs["item_idx"]]])
    is_user = pairs["is_user"].to_numpy(dtype=np.bool_)
    given: BoolArray = np.asarray(present.isin(wanted), dtype=np.bool_) & is_user
    if given.sum() != len(wanted):
        absent = wanted[~wanted.isin(present[given])]
        raise InputError(
            f"predefined_test has {len(absent)} pairs that are no interactions of {dataset.name}, "
            f"such as {absent[0]}. Add them to interactions."
        )
    return given


def _profile_parts(
    pairs: pd.DataFrame,
    num_profiles: int,
    given: BoolArray,
    rank: npt.NDArray[np.float64],
    ratios: Ratios,
) -> IntArray:
    """Part of each pair, profile by profile; ``given`` pairs are test and replace users' own."""
    profile_idx = pairs["profile_idx"].to_numpy(dtype=np.int64)
    free = ~given
    num_items = np.bincount(profile_idx[free], minlength=num_profiles).astype(np.int64)
    num_valid, num_test = part_sizes(num_items, ratios)
    if given.any():
        users = np.unique(profile_idx[pairs["is_user"]])
        share = ratios[1] / (ratios[0] + ratios[1])
        num_valid[users] = part_sizes(num_items[users], (1 - share, share, share))[0]
        num_test[users] = 0
    part = np.full(len(pairs), TEST, dtype=np.int64)
    part[free] = hide_last(profile_idx[free], rank[free], num_valid, num_test)
    return part


def _matrix(pairs: pd.DataFrame, shape: tuple[int, int]) -> sparse.csr_matrix:
    """The pairs as float32 CSR ``[num_profiles, num_items]``, column indices sorted."""
    rows_and_columns = (pairs["profile_idx"].to_numpy(), pairs["item_idx"].to_numpy())
    matrix = sparse.csr_matrix((pairs["weight"].to_numpy(), rows_and_columns), shape=shape)
    matrix.sort_indices()
    return matrix


def _split_queries(
    dataset: Dataset, rng: np.random.Generator
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Ids of text queries for validation and for test, each sorted."""
    if "queries" not in dataset.tables:
        return (), ()
    ids = np.sort(dataset.tables["queries"]["query_id"].to_numpy(dtype=object))
    num_valid = max(int(_TEXT_VALID_RATIO * len(ids)), 1) if len(ids) > 1 else 0
    shuffled = rng.permutation(ids)
    return tuple(sorted(shuffled[:num_valid])), tuple(sorted(shuffled[num_valid:]))


def _report(split: Split) -> dict[str, int]:
    train_items, valid_items, test_items = (
        np.diff(part.indptr) for part in (split.train, split.valid, split.test)
    )
    return {
        "profiles": len(split.profiles),
        "users": int((split.profiles["profile_type"] == "user").sum()),
        "playlists": int((split.profiles["profile_type"] == "playlist").sum()),
        "profiles_without_valid_item": int((valid_items == 0).sum()),
        "profiles_without_test_item": int((test_items == 0).sum()),
        "profiles_without_train_item": int((train_items == 0).sum()),
        "items_not_in_train": split.train.shape[1] - len(np.unique(split.train.indices)),
        "train_interactions": split.train.nnz,
        "valid_interactions": split.valid.nnz,
        "test_interactions": split.test.nnz,
        "text_valid_queries": len(split.text_valid),
        "text_test_queries": len(split.text_test),
    }
