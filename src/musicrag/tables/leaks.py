"""Tables from which the split's held-out pairs are gone, and a search for pairs that are not.

Everything that is derived from interactions (co-occurrence, popularity, tag edges, mood
profiles) starts from :func:`training_tables`. A pair is held out if it is in valid or test.
``qrels`` and ``gold_paths`` are answers, so they are no training tables at all.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from musicrag.contracts import Dataset, Split

_ANSWERS = ("qrels", "gold_paths")
_PAIR = ["profile_type", "profile_id", "item_id"]
_PROFILE_TYPE_OF_NODE = {"User": "user", "Playlist": "playlist"}


def training_tables(dataset: Dataset, split: Split) -> dict[str, pd.DataFrame]:
    """The tables of a data set that are safe to derive from.

    Rows of ``interactions``, ``playlist_items``, ``item_tags`` and ``links`` that show a held-out
    pair are left out: of ``item_tags`` those seen through such a profile, of ``links`` those
    that join a user or playlist with an item. The other tables stay as they are.
    """
    held_out = held_out_pairs(dataset, split)
    return {
        name: frame[~_shows(name, frame, dataset.item_type, held_out)].reset_index(drop=True)
        for name, frame in dataset.tables.items()
        if name not in _ANSWERS
    }


def find_leaks(tables: Mapping[str, pd.DataFrame], dataset: Dataset, split: Split) -> list[str]:
    """Look for held-out pairs in tables that something is to be derived from.

    Works pair by pair on sets, apart from the joins of :func:`training_tables`, so that one
    checks the other.

    Returns:
        One line for each table with a leak: how many rows, and the first; empty if all is well.
    """
    held_out = set(held_out_pairs(dataset, split).itertuples(index=False, name=None))
    leaks = [f"{name}: holds answers of queries" for name in _ANSWERS if name in tables]
    for name, frame in tables.items():
        pairs = _pairs_of(name, frame, dataset.item_type)
        found = [pair for pair in pairs.itertuples(index=False, name=None) if pair in held_out]
        if found:
            profile_type, profile_id, item_id = found[0]
            leaks.append(
                f"{name}: {len(found)} rows show a held-out pair, such as "
                f"{profile_type}:{profile_id} with {item_id}"
            )
    return leaks


def check_no_leak(tables: Mapping[str, pd.DataFrame], dataset: Dataset, split: Split) -> None:
    """Stop if :func:`find_leaks` finds anything.

    Raises:
        RuntimeError: a held-out pair is present; this is a fault of the code, not of the data.
    """
    leaks = find_leaks(tables, dataset, split)
    if leaks:
        raise RuntimeError(
            "Held-out pairs leak into training tables:\n  "
            + "\n  ".join(leaks)
            + "\nDerive from musicrag.tables.leaks.training_tables only."
        )


def held_out_pairs(dataset: Dataset, split: Split) -> pd.DataFrame:
    """Pairs in valid or test: ``profile_type, profile_id, item_id``."""
    hidden = (split.valid + split.test).tocoo()
    profiles: pd.DataFrame = split.profiles.iloc[hidden.row].reset_index(drop=True)
    return profiles.assign(item_id=dataset.items.array[hidden.col])[_PAIR]


def _shows(name: str, frame: pd.DataFrame, item_type: str, held_out: pd.DataFrame) -> pd.Series:
    """Whether each row of a table shows a held-out pair; indexed as ``frame``."""
    pairs = _pairs_of(name, frame, item_type)
    keys = pd.MultiIndex.from_frame(pairs.astype(object))
    hidden = keys.isin(pd.MultiIndex.from_frame(held_out.astype(object)))
    shown = pd.Series(False, index=frame.index)
    shown[pairs.index[np.asarray(hidden, dtype=np.bool_)]] = True
    return shown


def _pairs_of(name: str, frame: pd.DataFrame, item_type: str) -> pd.DataFrame:
    """Profile and item of those rows of a table that show a pair; indexed as ``frame``."""
    if name == "interactions":
        pairs = frame.rename(columns={"user_id": "profile_id"}).assign(profile_type="user")
    elif name == "playlist_items":
        pairs = frame.rename(columns={"playlist_id": "profile_id"}).assign(profile_type="playlist")
    elif name == "item_tags" and "profile_id" in frame:
        pairs = frame[frame["profile_id"].notna()]
    elif name == "links":
        pairs = _linked_pairs(frame, item_type)
    else:
        pairs = pd.DataFrame(columns=_PAIR)
    return pairs[_PAIR]


def _linked_pairs(links: pd.DataFrame, item_type: str) -> pd.DataFrame:
    """Links between a user or playlist and an item, in either direction."""
    ends = ["type", "id"]
    directions = []
    for profile_end, item_end in (("source", "target"), ("target", "source")):
        profile_type, profile_id = (links[f"{profile_end}_{end}"] for end in ends)
        item_node, item_id = (links[f"{item_end}_{end}"] for end in ends)
        joins = profile_type.isin(_PROFILE_TYPE_OF_NODE) & (item_node == item_type)
        columns = {
            "profile_type": profile_type[joins].map(_PROFILE_TYPE_OF_NODE),
            "profile_id": profile_id[joins],
            "item_id": item_id[joins],
        }
        directions.append(pd.DataFrame(columns))
    return pd.concat(directions)
