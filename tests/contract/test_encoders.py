"""Every encoder obeys the rules of ``FeatureMatrix``, whatever it measures."""

from __future__ import annotations

import inspect
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from encoder_dataset import dataset, full_tables, lyrics_dataset

from musicrag.contracts import TABLES, Dataset, Encoder, FeatureMatrix
from musicrag.features.choose import ENCODERS, encoder_class
from musicrag.types import MODALITIES, InputError

ALL = [(modality, name) for modality, known in ENCODERS.items() for name in known]
ITEM_IDS = ("s1", "s2", "s3", "s4", "s5")
PRESENT = (True, True, False, False, True)


@pytest.fixture(scope="module", params=ALL, ids=lambda pair: "/".join(pair))
def encoder(request: pytest.FixtureRequest) -> Encoder:
    modality, name = request.param
    return encoder_class(modality, name)()


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    return full_tables(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def data(tables: dict[str, pd.DataFrame]) -> Dataset:
    return dataset(tables, ITEM_IDS)


@pytest.fixture(scope="module")
def matrix(encoder: Encoder, data: Dataset) -> FeatureMatrix:
    return encoder.encode(data)


def test_class_variables_name_a_modality_and_a_table(encoder: Encoder) -> None:
    assert encoder.modality in MODALITIES
    assert encoder.requires in TABLES


def test_shapes_types_and_names_agree(matrix: FeatureMatrix) -> None:
    assert matrix.values.shape == (len(ITEM_IDS), len(matrix.names))
    assert matrix.values.dtype == np.float32
    assert matrix.present.dtype == np.bool_
    assert len(set(matrix.names)) == len(matrix.names)
    assert matrix.encoder


def test_items_without_usable_data_are_masked_and_zero(matrix: FeatureMatrix) -> None:
    assert tuple(matrix.present) == PRESENT
    assert not matrix.values[~matrix.present].any()


def test_items_with_data_have_finite_and_differing_rows(matrix: FeatureMatrix) -> None:
    assert np.isfinite(matrix.values).all()
    assert len(np.unique(matrix.values[matrix.present], axis=0)) == sum(PRESENT)


def test_same_data_gives_the_same_bytes(
    encoder: Encoder, data: Dataset, matrix: FeatureMatrix
) -> None:
    again = type(encoder)().encode(data)
    assert again.values.tobytes() == matrix.values.tobytes()
    assert again.names == matrix.names


def test_order_of_table_rows_is_irrelevant(
    encoder: Encoder, data: Dataset, matrix: FeatureMatrix
) -> None:
    reversed_tables = {name: frame.iloc[::-1] for name, frame in data.tables.items()}
    shuffled = encoder.encode(dataset(reversed_tables, ITEM_IDS[::-1]))
    assert shuffled.values.tobytes() == matrix.values.tobytes()
    assert tuple(shuffled.present) == PRESENT


def test_rows_follow_the_items_when_they_are_renamed(
    encoder: Encoder, tables: dict[str, pd.DataFrame], matrix: FeatureMatrix
) -> None:
    opposite = dict(zip(ITEM_IDS, reversed(ITEM_IDS), strict=True))
    renamed = {
        name: frame.assign(item_id=frame["item_id"].map(opposite)) for name, frame in tables.items()
    }
    mirrored = encoder.encode(dataset(renamed, ITEM_IDS))
    assert tuple(mirrored.present) == PRESENT[::-1]
    if mirrored.names[0].startswith("lsa_"):  # a latent axis has no sign: compare similarities
        similarity = [m.values @ m.values.T for m in (mirrored, matrix)]
        np.testing.assert_allclose(similarity[0][::-1, ::-1], similarity[1], atol=1e-5)
    else:
        np.testing.assert_allclose(mirrored.values[::-1], matrix.values, atol=1e-5)


def test_one_item_is_enough(encoder: Encoder, tables: dict[str, pd.DataFrame]) -> None:
    alone = {name: frame[frame["item_id"] == "s1"] for name, frame in tables.items()}
    matrix = encoder.encode(dataset(alone, ["s1"]))
    assert matrix.present.tolist() == [True]
    assert np.isfinite(matrix.values).all()
    assert matrix.values.any()


def test_data_without_a_usable_row_is_an_input_error(
    encoder: Encoder, tables: dict[str, pd.DataFrame]
) -> None:
    unusable = {name: frame[frame["item_id"] == "s3"] for name, frame in tables.items()}
    with pytest.raises(InputError, match="None of the 1 rows"):
        encoder.encode(dataset(unusable, ["s3"]))


def test_missing_table_is_an_input_error_that_names_it(encoder: Encoder, data: Dataset) -> None:
    only_items = replace(data, tables={"items": data.tables["items"]})
    with pytest.raises(InputError, match=f"no table '{encoder.requires}'"):
        encoder.encode(only_items)


def test_two_rows_for_one_item_are_an_input_error(encoder: Encoder, data: Dataset) -> None:
    frame = data.tables[encoder.requires]
    doubled = {**data.tables, encoder.requires: pd.concat([frame, frame.iloc[:1]])}
    with pytest.raises(InputError, match="'s1'"):
        encoder.encode(replace(data, tables=doubled))


def test_constructor_arguments_are_keywords_with_types_and_defaults(encoder: Encoder) -> None:
    for parameter in inspect.signature(type(encoder)).parameters.values():
        assert parameter.default is not inspect.Parameter.empty
        assert parameter.annotation is not inspect.Parameter.empty


@pytest.mark.parametrize("name", ["sbert", "tfidf"])
def test_lyrics_alike_in_words_lie_closer(name: str) -> None:
    texts = {
        "a": "The river runs down to the silver sea",
        "b": "Down to the sea the silver river runs",
        "c": "Engines roar and tyres burn on the midnight highway",
    }
    values = encoder_class("lyrics", name)().encode(lyrics_dataset(texts)).values
    assert values[0] @ values[1] > values[0] @ values[2] + 0.2


def test_librosa_reads_with_several_processes_as_with_one(data: Dataset) -> None:
    from musicrag.features.audio.librosa_audio import LibrosaAudio

    alone = LibrosaAudio().encode(data)
    together = LibrosaAudio(num_workers=2).encode(data)
    np.testing.assert_allclose(together.values, alone.values, rtol=1e-5, atol=1e-5)
    assert together.present.tolist() == alone.present.tolist()
