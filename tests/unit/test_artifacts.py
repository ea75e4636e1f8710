from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from musicrag.artifacts import (
    Cache,
    atomic_file,
    atomic_folder,
    code_hash,
    hash_file,
    hash_frames,
    hash_json,
    read_json,
    write_json,
    write_parquet,
    write_text,
)
from musicrag.contracts import FeatureMatrix
from musicrag.types import InputError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    target = tmp_path / "result.txt"
    write_text(target, "old")

    def fail() -> None:
        with atomic_file(target) as path:
            path.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert target.read_text() == "old"
    assert names(tmp_path) == ["result.txt"]


def test_a_write_replaces_the_old_file_and_makes_its_folder(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "result.txt"
    write_text(target, "old")
    write_text(target, "Åsa")
    assert target.read_text(encoding="utf-8") == "Åsa"
    assert names(target.parent) == ["result.txt"]
    assert target.stat().st_mode & 0o777 == 0o644


def test_the_target_is_not_seen_before_it_is_whole(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "result.txt") as path:
        path.write_text("half")
        assert not (tmp_path / "result.txt").exists()
    with atomic_folder(tmp_path / "run") as folder:
        (folder / "one").write_text("1")
        assert not (tmp_path / "run").exists()
    assert names(tmp_path) == ["result.txt", "run"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failed_folder_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def fail() -> None:
        with atomic_folder(tmp_path / "run") as folder:
            (folder / "half").write_text("1")
            raise error

    with pytest.raises(error):
        fail()
    assert names(tmp_path) == []


def test_a_folder_that_another_process_finished_stays(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "run") as ours:
        (ours / "result").write_text("ours")
        with atomic_folder(tmp_path / "run") as theirs:
            (theirs / "result").write_text("theirs")
    assert (tmp_path / "run" / "result").read_text() == "theirs"
    assert names(tmp_path) == ["run"]


def test_a_folder_finished_between_the_look_and_the_rename_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "run"
    with atomic_folder(target) as theirs:
        (theirs / "result").write_text("theirs")
    look = Path.exists
    with atomic_folder(target) as ours:
        (ours / "result").write_text("ours")
        monkeypatch.setattr(Path, "exists", lambda path: path != target and look(path))
    monkeypatch.undo()

    def onto_a_file() -> None:
        with atomic_folder(tmp_path / "file") as folder:
            (folder / "result").write_text("ours")
            monkeypatch.setattr(Path, "exists", lambda path: False)

    (tmp_path / "file").write_text("no folder")
    with pytest.raises(NotADirectoryError):
        onto_a_file()
    monkeypatch.undo()
    (tmp_path / "file").unlink()
    assert (target / "result").read_text() == "theirs"
    assert names(tmp_path) == ["run"]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_json_refuses_what_is_no_number(tmp_path: Path, value: float) -> None:
    write_json(tmp_path / "m.json", {"ndcg@10": 0.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "m.json", {"ndcg@10": value})
    with pytest.raises(ValueError, match="not JSON compliant"):
        hash_json({"lr": value})
    assert read_json(tmp_path / "m.json") == {"ndcg@10": 0.5}


def test_json_is_sorted_so_that_equal_values_are_equal_files(tmp_path: Path) -> None:
    write_json(tmp_path / "one.json", {"b": 1, "a": [1, 2]})
    write_json(tmp_path / "two.json", {"a": [1, 2], "b": 1})
    assert hash_file(tmp_path / "one.json") == hash_file(tmp_path / "two.json")
    assert hash_json({"b": 1, "a": 2}) == hash_json({"a": 2, "b": 1}) != hash_json({"a": 2, "b": 3})


@pytest.mark.parametrize("text", ["{", "[1]", ""])
def test_a_broken_json_file_is_named(tmp_path: Path, text: str) -> None:
    write_text(tmp_path / "m.json", text)
    with pytest.raises(InputError, match=r"m\.json .*Delete it and run again"):
        read_json(tmp_path / "m.json")


def test_parquet_keeps_the_frame(tmp_path: Path) -> None:
    frame = pd.DataFrame({"item_id": ["s1", "s2"], "weight": [1.0, None]})
    write_parquet(tmp_path / "t.parquet", frame)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), frame)


FRAME = pd.DataFrame({"user_id": ["u1", "u2", "u3"], "item_id": ["s1", "s2", "s3"]})
CHANGES: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "a value": lambda frame: frame.replace("s2", "s9"),
    "an empty value": lambda frame: frame.replace("s2", None),
    "a column's name": lambda frame: frame.rename(columns={"item_id": "song_id"}),
    "the order of columns": lambda frame: frame[["item_id", "user_id"]],
    "two columns' values": lambda frame: frame.set_axis(["item_id", "user_id"], axis=1),
    "the order of rows": lambda frame: frame.iloc[::-1],
    "a missing row": lambda frame: frame.iloc[:2],
    "a row twice": lambda frame: frame.iloc[[0, 1, 2, 2]],
}


@pytest.mark.parametrize("change", sorted(CHANGES))
def test_the_hash_of_frames_depends_on(change: str) -> None:
    changed = CHANGES[change](FRAME)
    assert hash_frames({"t": changed}) != hash_frames({"t": FRAME})


def test_the_hash_of_frames_depends_on_names_but_not_on_their_order_or_the_index() -> None:
    other = FRAME.iloc[:1]
    assert hash_frames({"a": FRAME, "b": other}) == hash_frames({"b": other, "a": FRAME})
    assert hash_frames({"a": FRAME, "b": other}) != hash_frames({"a": other, "b": FRAME})
    assert hash_frames({"a": FRAME}) != hash_frames({"a": FRAME, "b": FRAME.iloc[:0]})
    assert hash_frames({"a": FRAME.set_axis([7, 8, 9])}) == hash_frames({"a": FRAME})


def test_code_hash_is_stable_and_knows_its_package() -> None:
    assert code_hash("musicrag.graph") == code_hash("musicrag.graph") != code_hash("musicrag.gnn")
    with pytest.raises(InputError, match=r"'musicrag\.types' is no installed package"):
        code_hash("musicrag.types")


def test_the_cache_gives_back_what_was_computed_and_computes_once(tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.float32).reshape(3, 2)
    matrix = FeatureMatrix(values, np.array([True, False, True]), ("énergie", "b"), "librosa")
    calls = []

    def compute() -> FeatureMatrix:
        calls.append(1)
        return matrix

    cache = Cache(tmp_path)
    for _ in range(3):
        found = cache.features({"data": "abc", "dim": 2}, compute)
        np.testing.assert_array_equal(found.values, matrix.values)
        np.testing.assert_array_equal(found.present, matrix.present)
        assert (found.values.dtype, found.present.dtype) == (np.float32, np.bool_)
        assert (found.names, found.encoder) == (matrix.names, matrix.encoder)
    assert len(calls) == 1
    cache.features({"data": "abc", "dim": 3}, compute)
    Cache(tmp_path).features({"dim": 2, "data": "abc"}, compute)
    assert len(calls) == 2


def test_a_failed_computation_is_not_cached(tmp_path: Path) -> None:
    def fail() -> FeatureMatrix:
        raise RuntimeError("no sound")

    with pytest.raises(RuntimeError, match="no sound"):
        Cache(tmp_path).features({"a": 1}, fail)
    assert not list(tmp_path.rglob("*.npz"))
