"""The Last.fm split of the LightGCN repository becomes tables: users, artists, weights, trust.

Ids are the authors' own, 1-based, and cannot be mapped to names; an artist is shown as
``artist 17``. Where ``test1.txt`` is present its pairs come in as interactions and
:meth:`LightgcnLastfm.predefined_test` names them, so that the split can take them over.

Source: X. He et al., "LightGCN", SIGIR 2020, https://github.com/gusye1234/LightGCN-PyTorch.
"""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd

from musicrag.contracts import RawTables
from musicrag.sources.delimited import friendships, read_table, require_files, to_numbers
from musicrag.types import InputError

_log = logging.getLogger(__name__)

_TRAIN, _TEST, _TRUST = "data1.txt", "test1.txt", "trustnetwork.txt"


class LightgcnLastfm:
    """Last.fm as LightGCN uses it.

    Args:
        dir: folder with ``data1.txt`` (user TAB artist TAB weight, no header) and, where at hand,
            ``test1.txt`` (the same columns) and ``trustnetwork.txt`` (user TAB user).
    """

    name = "lightgcn_lastfm"
    item_type = "Artist"

    def __init__(self, dir: str) -> None:
        self._folder = Path(dir).expanduser()

    def available(self) -> frozenset[str]:
        require_files(self._folder, [_TRAIN])
        names = {"items", "users", "interactions"}
        if (self._folder / _TRUST).is_file():
            names.add("links")
        return frozenset(names)

    def load(self) -> RawTables:
        self.available()
        train, test = self._pairs(_TRAIN), self._test_pairs()
        interactions = pd.concat([train, test], ignore_index=True)
        overlap = interactions.duplicated(["user_id", "item_id"])[len(train) :].sum()
        if overlap:
            raise InputError(
                f"{self._folder / _TEST} repeats {overlap} pairs of {_TRAIN} or of itself. A pair "
                "must stand in one of them: remove it from the other."
            )
        items = pd.DataFrame({"item_id": interactions["item_id"].unique()})
        items["title"] = "artist " + items["item_id"]
        users = [interactions["user_id"]]
        tables = {"items": items, "interactions": interactions}
        if (self._folder / _TRUST).is_file():
            trust = read_table(
                self._folder / _TRUST, ["user", "friend"], separator="\t", has_header=False
            )
            users += [trust["user"], trust["friend"]]
            tables["links"] = friendships(trust["user"], trust["friend"])
        tables["users"] = pd.DataFrame({"user_id": pd.concat(users).unique()})
        _log.info(
            "%s: %d pairs, %d of them the authors' test split",
            self._folder,
            len(interactions),
            len(test),
        )
        return tables

    def predefined_test(self) -> pd.DataFrame | None:
        """The authors' test pairs (``user_id, item_id``), or ``None`` without ``test1.txt``."""
        pairs = self._test_pairs()[["user_id", "item_id"]]
        return None if pairs.empty else pairs

    def _test_pairs(self) -> pd.DataFrame:
        if (self._folder / _TEST).is_file():
            return self._pairs(_TEST)
        return self._pairs(_TRAIN).iloc[:0]

    def _pairs(self, name: str) -> pd.DataFrame:
        path = self._folder / name
        columns = ["user_id", "item_id", "weight"]
        pairs = read_table(path, columns, separator="\t", has_header=False)
        pairs["weight"] = to_numbers(pairs, "weight", path)
        return pairs
