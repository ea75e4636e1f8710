"""A stored data set comes back unchanged, or says what is wrong with the folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from musicrag.contracts import Dataset, RawTables
from musicrag.tables import storage
from musicrag.tables.clean import clean
from musicrag.types import InputError


@pytest.fixture
def dataset(tiny_raw: RawTables) -> Dataset:
    tiny_raw["items"] = tiny_raw["items"].assign(year=[None, 1999, None, 2001, None, None])
    tiny_raw["audio_features"] = pd.DataFrame({"item_id": ["s1"], "energy": [np.pi]})
    tiny_raw["interactions"].loc[0, "item_id"] = "gone"
    return clean("tiny", "Song", tiny_raw, on_invalid="reject")


def test_round_trip_is_identical(dataset: Dataset, tmp_path: Path) -> None:
    storage.write(dataset, tmp_path / "x")
    found = storage.read(tmp_path / "x")
    assert (found.name, found.item_type, found.content_hash) == (
        dataset.name,
        dataset.item_type,
        dataset.content_hash,
    )
    assert list(found.tables) == list(dataset.tables)
    for name in dataset.tables:
        pd.testing.assert_frame_equal(found.tables[name], dataset.tables[name])
    pd.testing.assert_frame_equal(found.rejects, dataset.rejects)
    assert len(found.rejects) == 1


def test_failed_write_leaves_no_folder(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(storage.artifacts, "write_json", fail)
    with pytest.raises(OSError, match="disk full"):
        storage.write(dataset, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"manifest.json is missing"):
        storage.read(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("items.parquet", b"PAR1", "cannot be read"),
        ("manifest.json", b"{}", "is incomplete"),
        ("manifest.json", b"{", "not valid JSON"),
    ],
)
def test_damaged_file_is_named(
    dataset: Dataset, tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    storage.write(dataset, tmp_path / "x")
    (tmp_path / "x" / name).write_bytes(content)
    with pytest.raises(InputError, match=words) as error:
        storage.read(tmp_path / "x")
    assert name in str(error.value)


def test_missing_and_shortened_files_are_named(dataset: Dataset, tmp_path: Path) -> None:
    storage.write(dataset, tmp_path / "x")
    dataset.tables["items"].iloc[:2].to_parquet(tmp_path / "x" / "items.parquet")
    with pytest.raises(InputError, match="has 2 rows, the manifest says 6"):
        storage.read(tmp_path / "x")
    (tmp_path / "x" / "items.parquet").unlink()
    with pytest.raises(InputError, match=r"items.parquet cannot be read"):
        storage.read(tmp_path / "x")
