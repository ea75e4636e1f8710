"""Every encoder gives the same rows for some items as for all, or says that it cannot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from encoder_dataset import dataset, full_tables

from musicrag.contracts import Dataset, Encoder, FeatureMatrix
from musicrag.features.choose import ENCODERS, encoder_class
from musicrag.features.emotion.vader import VaderEmotion
from musicrag.features.partial import encode_items
from musicrag.types import InputError

ALL = [(modality, name) for modality, known in ENCODERS.items() for name in known]
ROWWISE = [pair for pair in ALL if encoder_class(*pair).is_rowwise]
ITEM_IDS = ("s1", "s2", "s3", "s4", "s5")


@pytest.fixture(scope="module", params=ROWWISE, ids=lambda pair: "/".join(pair))
def encoder(request: pytest.FixtureRequest) -> Encoder:
    return encoder_class(*request.param)()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset(full_tables(tmp_path_factory.mktemp("clips")), ITEM_IDS)


@pytest.fixture(scope="module")
def matrix(encoder: Encoder, data: Dataset) -> FeatureMatrix:
    return encoder.encode(data)


def test_only_latent_semantics_must_see_all_items() -> None:
    assert set(ALL) - set(ROWWISE) == {("lyrics", "tfidf")}


@pytest.mark.parametrize("pair", sorted(set(ALL) - set(ROWWISE)), ids="/".join)
def test_an_encoder_that_must_see_all_items_says_so(pair: tuple[str, str], data: Dataset) -> None:
    encoder = encoder_class(*pair)()  # type: ignore[arg-type]
    with pytest.raises(InputError, match="Encode all items and train anew"):
        encode_items(encoder, data, ["s1"])
    some = dataset({"lyrics": data.tables["lyrics"].iloc[:2]}, ["s1", "s2"])
    width = min(len(ITEM_IDS), 2)
    few, many = encoder.encode(some).values, encoder.encode(data).values[:width]
    assert not np.allclose(few, many, atol=1e-3)  # so the refusal has a reason


@pytest.mark.parametrize(
    "item_ids", [["s1"], ["s5", "s1"], ["s2", "s3", "s4"], ["s3"], ["s4"], ["s4", "s3"], ITEM_IDS]
)
def test_rows_of_some_items_are_those_of_all(
    encoder: Encoder, data: Dataset, matrix: FeatureMatrix, item_ids: list[str]
) -> None:
    some = encode_items(encoder, data, item_ids)
    rows = [ITEM_IDS.index(item) for item in item_ids]
    assert some.names == matrix.names
    assert some.encoder == matrix.encoder
    assert some.values.dtype == np.float32
    np.testing.assert_allclose(some.values, matrix.values[rows], atol=1e-5)
    assert some.present.tolist() == matrix.present[rows].tolist()


class Spy(VaderEmotion):
    """Notes which items it was given."""

    def encode(self, dataset: Dataset) -> FeatureMatrix:
        self.given = dataset.items.ids, sorted(dataset.tables["lyrics"]["item_id"])
        return super().encode(dataset)


def test_only_the_items_asked_for_are_encoded(data: Dataset) -> None:
    spy = Spy()
    encode_items(spy, data, ["s5", "s4", "s1"])
    assert spy.given == (("s1", "s4", "s5"), ["s1", "s5"])


def test_an_unknown_item_is_an_input_error(encoder: Encoder, data: Dataset) -> None:
    with pytest.raises(InputError, match="'s9'"):
        encode_items(encoder, data, ["s1", "s9"])


def test_without_the_table_items_are_absent_if_the_columns_are_known(
    encoder: Encoder, data: Dataset, matrix: FeatureMatrix
) -> None:
    bare = replace(data, tables={"items": data.tables["items"]})
    some = encode_items(encoder, bare, ["s2", "s1"], matrix.names)
    assert some.values.shape == (2, len(matrix.names))
    assert not some.present.any()
    with pytest.raises(InputError, match=f"no table '{encoder.requires}'"):
        encode_items(encoder, bare, ["s1"])


def test_columns_follow_those_that_are_there_already(
    encoder: Encoder, data: Dataset, matrix: FeatureMatrix
) -> None:
    turned = matrix.names[::-1][:-1]
    some = encode_items(encoder, data, ["s1"], turned)
    assert some.names == turned
    np.testing.assert_allclose(some.values[0], matrix.values[0][::-1][:-1], atol=1e-5)
    with pytest.raises(InputError, match="gives no loudness"):
        encode_items(encoder, data, ["s1"], [*matrix.names, "loudness"])


def test_a_gap_of_a_new_item_is_filled_as_in_the_whole_table() -> None:
    encoder = encoder_class("audio", "tabular")()
    frame = pd.DataFrame(
        {"item_id": ["a", "b", "new"], "tempo": [90.0, 110.0, np.nan], "energy": [1.0, 2.0, 3.0]}
    )
    data = dataset({"audio_features": frame}, ["a", "b", "new"])
    new = encode_items(encoder, data, ["new"])
    np.testing.assert_allclose(new.values, [[100.0, 3.0]])
