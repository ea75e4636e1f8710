"""Scales, taste spaces and their file: what later items need to join the earlier ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from musicrag.contracts import FeatureMatrix
from musicrag.features.saved import FILE, SavedModality, load_features, save_features
from musicrag.features.standardise import fit_scale, standardise
from musicrag.features.taste import TasteSpace, fit_taste_space
from musicrag.types import InputError


def matrix_of(values: np.ndarray, present: list[bool] | None = None) -> FeatureMatrix:
    there = np.array([True] * len(values) if present is None else present)
    values = np.where(there[:, None], values, 0.0).astype(np.float32)
    return FeatureMatrix(values, there, tuple(f"f{n}" for n in range(values.shape[1])), "planted")


def saved(seed: int = 0) -> SavedModality:
    rng = np.random.default_rng(seed)
    kind = np.repeat([0, 1], 20)
    values = rng.normal(size=(40, 6)) + 3 * np.eye(2)[kind] @ rng.normal(size=(2, 6))
    raw = matrix_of(values, [bool(n % 7) for n in range(40)])
    train = sparse.csr_matrix(np.kron(np.eye(2), rng.random((8, 20)) < 0.5))
    scale = fit_scale(raw)
    space = fit_taste_space("audio", scale.apply(raw), train, rng)
    assert space.num_directions
    return SavedModality(raw, scale, space)


def test_a_scale_measures_new_items_as_it_measured_those_of_the_fit() -> None:
    known = matrix_of(np.array([[1.0, 5.0], [3.0, 5.0], [0.0, 0.0]]), [True, True, False])
    scale = fit_scale(known)
    np.testing.assert_array_equal(scale.mean, [2.0, 5.0])
    np.testing.assert_array_equal(scale.spread, [1.0, 0.0])
    np.testing.assert_array_equal(scale.apply(known).values, [[-1, 0], [1, 0], [0, 0]])
    new = scale.apply(
        matrix_of(np.array([[4.0, 9.0], [50.0, 5.0], [7.0, 7.0]]), [True] * 2 + [False])
    )
    np.testing.assert_array_equal(new.values, [[2, 0], [5, 0], [0, 0]])  # constant says nothing
    assert new.present.tolist() == [True, True, False]


def test_standardising_is_fitting_and_applying() -> None:
    raw = saved().raw
    assert standardise(raw).values.tobytes() == fit_scale(raw).apply(raw).values.tobytes()


def test_a_scale_without_data_gives_zeros() -> None:
    scale = fit_scale(matrix_of(np.ones((2, 3)), [False, False]))
    assert not scale.apply(matrix_of(np.full((2, 3), 7.0))).values.any()


def test_another_number_of_features_is_an_input_error() -> None:
    modality, wide = saved(), matrix_of(np.ones((2, 7)))
    with pytest.raises(InputError, match=r"planted gives 7 features, .* on 6"):
        modality.scale.apply(wide)
    with pytest.raises(InputError, match=r"planted gives 7 features, .* on 6"):
        modality.space.place(wide)


def test_saved_features_come_back_to_the_byte_and_place_alike(tmp_path: Path) -> None:
    features = {"lyrics": saved(1), "audio": saved(2)}
    save_features(tmp_path, features)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    loaded = load_features(tmp_path)
    assert list(loaded) == ["lyrics", "audio"]
    for modality, before in features.items():
        after = loaded[modality]
        assert after.raw.names == before.raw.names
        assert after.raw.encoder == before.raw.encoder
        for part, array in (("raw", "values"), ("raw", "present"), ("scale", "mean"),
                            ("scale", "spread"), ("space", "items"), ("space", "signal"),
                            ("space", "present")):  # fmt: skip
            one, other = (getattr(getattr(m, part), array) for m in (before, after))
            assert (one.dtype, one.tobytes()) == (other.dtype, other.tobytes())
        new = matrix_of(np.random.default_rng(3).normal(size=(4, 6)))
        places = [m.space.place(m.scale.apply(new)).items for m in (before, after)]
        assert places[0].any()
        np.testing.assert_array_equal(*places)


def test_a_modality_without_data_or_projection_can_be_saved(tmp_path: Path) -> None:
    empty = matrix_of(np.zeros((3, 0)), [False] * 3)
    space = TasteSpace(np.zeros((3, 0), dtype=np.float32), np.zeros(0), np.zeros(3, dtype=bool))
    save_features(tmp_path, {"audio": SavedModality(empty, fit_scale(empty), space)})
    found = load_features(tmp_path)["audio"]
    assert found.raw.names == ()
    assert found.space.projection is None
    save_features(tmp_path, {})
    assert load_features(tmp_path) == {}


def test_a_missing_or_damaged_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"features\.npz does not exist"):
        load_features(tmp_path)
    save_features(tmp_path, {"audio": saved()})
    whole = (tmp_path / FILE).read_bytes()
    for damaged in (b"", b"no archive", whole[: len(whole) // 2]):
        (tmp_path / FILE).write_bytes(damaged)
        with pytest.raises(InputError, match=r"features\.npz is damaged"):
            load_features(tmp_path)
    np.savez(tmp_path / FILE, format=np.array(1), modalities=np.array(["audio"]))
    with pytest.raises(InputError, match="is damaged"):
        load_features(tmp_path)
    np.savez(tmp_path / FILE, format=np.array(99), modalities=np.array([], dtype=str))
    with pytest.raises(InputError, match="has format 99"):
        load_features(tmp_path)


def test_a_pickle_is_never_read(tmp_path: Path) -> None:
    objects = np.array([{"a": 1}], dtype=object)
    np.savez(tmp_path / FILE, format=objects, modalities=objects)
    with pytest.raises(InputError, match="is damaged"):
        load_features(tmp_path)
