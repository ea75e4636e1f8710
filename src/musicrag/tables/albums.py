"""Which album an item is on: titles repeat, so an album is known by its artist too."""

from __future__ import annotations

import pandas as pd


def album_ids(items: pd.DataFrame) -> pd.Series[str]:
    """Node id of each item's album, ``artist_id/title``, or the title where there is no artist.

    Args:
        items: rows of table ``items`` whose ``album`` is not missing.
    """
    if "artist_id" not in items:
        return items["album"]
    known = items["artist_id"].notna()
    return items["album"].where(~known, items["artist_id"].fillna("") + "/" + items["album"])
