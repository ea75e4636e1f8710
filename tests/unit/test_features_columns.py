"""Ready-made columns, and standardising them."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest

from musicrag.contracts import Dataset, FeatureMatrix
from musicrag.features.audio.tabular import TabularAudio
from musicrag.features.ready_made import circle_of_fifths
from musicrag.features.standardise import standardise
from musicrag.types import InputError

GAP = float("nan")


def columns(**values: list[object]) -> Dataset:
    num_rows = len(next(iter(values.values()), []))
    ids = [f"s{row:02d}" for row in range(num_rows)]
    tables = {
        "items": pd.DataFrame({"item_id": ids, "title": ids}),
        "audio_features": pd.DataFrame({"item_id": ids, **values}),
    }
    return Dataset("tiny", "Song", tables, pd.DataFrame(), "0")


def matrix(values: list[list[float]], present: list[bool]) -> FeatureMatrix:
    array = np.array(values, dtype=np.float32)
    names = tuple(f"f{i}" for i in range(array.shape[1]))
    return FeatureMatrix(array, np.array(present), names, "test")


def test_numbers_pass_unchanged() -> None:
    result = TabularAudio().encode(columns(energy=[0.25, 0.5], is_live=[True, False]))
    assert result.names == ("energy", "is_live")
    assert result.values.tolist() == [[0.25, 1.0], [0.5, 0.0]]


def test_gap_takes_the_column_mean_and_empty_row_is_absent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    data = columns(energy=[0.2, GAP, 0.6, GAP], tempo_bpm=[100.0, 120.0, 140.0, GAP])
    with caplog.at_level(logging.WARNING):
        result = TabularAudio().encode(data)
    assert result.present.tolist() == [True, True, True, False]
    assert result.values[1].tolist() == pytest.approx([0.4, 120.0])
    assert not result.values[3].any()
    assert "1 gaps" in caplog.text


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e300])
def test_numbers_that_float32_cannot_hold_count_as_gaps(value: float) -> None:
    result = TabularAudio().encode(columns(energy=[0.2, 0.4, value], mode=[0, 1, 1]))
    assert result.values[2, 0] == pytest.approx(0.3)


def test_column_without_a_number_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        result = TabularAudio().encode(columns(energy=[0.2, 0.4], valence=[GAP, GAP]))
    assert result.names == ("energy",)
    assert "valence" in caplog.text


def test_nullable_integers_are_read() -> None:
    result = TabularAudio().encode(columns(bars=pd.array([4, None, 8], dtype="Int64")))
    assert result.present.tolist() == [True, False, True]
    assert result.values[:, 0].tolist() == [4.0, 0.0, 8.0]


def test_key_lies_on_the_circle_of_fifths() -> None:
    keys = list(range(12))
    result = TabularAudio().encode(columns(key=keys, energy=[0.5] * 12))
    assert result.names == ("key_fifths_sin", "key_fifths_cos", "energy")
    circle = result.values[:, :2]
    np.testing.assert_allclose(np.linalg.norm(circle, axis=1), 1.0, rtol=1e-6)
    distance = np.linalg.norm(circle - circle[0], axis=1)
    assert set(np.argsort(distance)[1:3]) == {7, 5}  # G and F are C's neighbours
    assert distance.argmax() == 6  # F sharp lies opposite


def test_unknown_key_is_a_gap() -> None:
    assert np.isnan(circle_of_fifths(np.array([np.nan]))).all()
    result = TabularAudio().encode(columns(key=[0, -1], energy=[0.1, 0.2]))
    np.testing.assert_allclose(result.values[1, :2], result.values[0, :2])
    assert TabularAudio().encode(columns(key=[0, -1])).present.tolist() == [True, False]


@pytest.mark.parametrize("keys", [[0.5, 3.0], [0.0, 12.0], [-2.0, 1.0]])
def test_key_that_is_no_pitch_class_stays_a_number(keys: list[float]) -> None:
    assert TabularAudio().encode(columns(key=list(keys))).names == ("key",)


def test_text_columns_are_refused_by_name() -> None:
    with pytest.raises(InputError, match="genre"):
        TabularAudio().encode(columns(genre=["rock", "pop"]))
    with pytest.raises(InputError, match="there is none"):
        TabularAudio().encode(
            Dataset(
                "tiny",
                "Song",
                {
                    "items": pd.DataFrame({"item_id": ["a"], "title": ["a"]}),
                    "audio_features": pd.DataFrame({"item_id": ["a"]}),
                },
                pd.DataFrame(),
                "0",
            )
        )


def test_standardise_gives_mean_zero_and_deviation_one_over_present_rows() -> None:
    rng = np.random.default_rng(0)
    present = rng.random(200) < 0.7
    values = np.where(present[:, None], rng.normal(50.0, [1.0, 9.0], (200, 2)), 0.0)
    result = standardise(matrix(values.tolist(), present.tolist()))
    np.testing.assert_allclose(result.values[present].mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(result.values[present].std(axis=0), 1.0, rtol=1e-5)
    assert not result.values[~present].any()
    assert result.values.dtype == np.float32


@pytest.mark.parametrize("constant", [0.0, 0.1, 12_345.678])
def test_standardise_makes_constant_columns_zero(constant: float) -> None:
    result = standardise(matrix([[constant, 1.0], [constant, 2.0], [constant, 4.0]], [True] * 3))
    assert not result.values[:, 0].any()
    assert result.values[:, 1].any()


def test_standardise_does_not_blow_up_rounding_noise() -> None:
    noisy = np.nextafter(np.float32(120.0), np.float32(121.0)).item()
    result = standardise(matrix([[120.0], [noisy], [120.0]], [True] * 3))
    assert not result.values.any()


def test_standardise_clips_at_five() -> None:
    values = [[0.0]] * 500 + [[1e6]]
    result = standardise(matrix(values, [True] * 501))
    assert result.values.max() == 5.0


def test_standardise_takes_one_row_and_none() -> None:
    assert standardise(matrix([[3.0]], [True])).values.tolist() == [[0.0]]
    assert standardise(matrix([[0.0]], [False])).values.tolist() == [[0.0]]
