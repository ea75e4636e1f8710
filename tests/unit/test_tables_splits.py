"""Splits: which items are hidden, from whom, and what is counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from musicrag.contracts import Dataset, RawTables, Split
from musicrag.sources.lightgcn import LightgcnLastfm
from musicrag.tables.clean import clean
from musicrag.tables.parts import part_sizes
from musicrag.tables.splits import HasPredefinedTest, split
from musicrag.types import InputError


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture
def dataset(tiny_raw: RawTables) -> Dataset:
    return clean("tiny", "Song", tiny_raw)


def items_of(dataset: Dataset, parts: Split, part: str, query_id: str) -> list[str]:
    matrix: sparse.csr_matrix = getattr(parts, part)
    return dataset.items.decode(matrix[parts.query_ids().index(query_id)].indices)


def users_table(num_items: int, **columns: object) -> Dataset:
    items = [f"s{number:02d}" for number in range(num_items)]
    raw = {
        "items": pd.DataFrame({"item_id": items, "title": items}),
        "interactions": pd.DataFrame({"user_id": "u1", "item_id": items, **columns}),
    }
    return clean("users", "Song", raw)


def test_profiles_are_users_and_playlists_in_order(dataset: Dataset) -> None:
    parts = split(dataset, rng())
    assert parts.query_ids() == ["playlist:p1", "playlist:p2", "user:u1", "user:u2", "user:u3"]
    assert parts.train.shape == (5, 6)


def test_parts_are_disjoint_and_complete_with_weights_kept(dataset: Dataset) -> None:
    parts = split(dataset, rng())
    together = (parts.train + parts.valid + parts.test).toarray()
    assert parts.train.nnz + parts.valid.nnz + parts.test.nnz == 11 + 7 == (together > 0).sum()
    assert set(together[:2].ravel()) == {0.0, 1.0}
    assert set(together[2:].ravel()) == {0.0, 2.0}
    assert parts.train.dtype == np.float32


def test_playlist_hides_its_tail_by_position(dataset: Dataset) -> None:
    parts = split(dataset, rng())
    assert items_of(dataset, parts, "train", "playlist:p1") == ["s1", "s2", "s3"]
    assert items_of(dataset, parts, "valid", "playlist:p1") == ["s4"]
    assert items_of(dataset, parts, "test", "playlist:p1") == ["s5"]


def test_random_strategy_does_not_keep_the_order_of_playlists(dataset: Dataset) -> None:
    hidden = {
        tuple(
            items_of(dataset, split(dataset, rng(seed), strategy="random"), "test", "playlist:p1")
        )
        for seed in range(20)
    }
    assert len(hidden) > 2


def test_timestamps_make_the_split_temporal() -> None:
    order = rng(5).permutation(20)
    dataset = users_table(20, timestamp=order)
    parts = split(dataset, rng())
    by_time = np.argsort(order)
    assert set(parts.test.indices) == set(by_time[18:])
    assert set(parts.valid.indices) == set(by_time[16:18])


def test_one_missing_timestamp_makes_auto_random_and_temporal_an_error() -> None:
    order = np.arange(20.0)
    order[3] = np.nan
    dataset = users_table(20, timestamp=order)
    assert len({tuple(split(dataset, rng(seed)).test.indices) for seed in range(9)}) > 4
    with pytest.raises(InputError, match="lacks it in 1 of 20 rows"):
        split(dataset, rng(), strategy="temporal")


def test_equal_timestamps_are_broken_at_random_not_by_id() -> None:
    dataset = users_table(20, timestamp=1.0)
    assert any(set(split(dataset, rng(seed)).test.indices) != {18, 19} for seed in range(5))


def test_equal_seed_gives_equal_split_and_another_seed_another(dataset: Dataset) -> None:
    first, again, other = (split(users_table(30), rng(seed)) for seed in (1, 1, 2))
    assert (first.test != again.test).nnz == 0
    assert (first.test != other.test).nnz > 0


def test_short_profiles_stay_in_train_and_are_counted(dataset: Dataset) -> None:
    report = split(dataset, rng()).report
    assert report["profiles"] == 5
    assert report["profiles_without_test_item"] == 2
    assert (report["users"], report["playlists"]) == (3, 2)
    assert report["train_interactions"] + report["valid_interactions"] == 18 - 3
    assert report["profiles_without_train_item"] == 0


def recbole_sizes(total: int, ratios: tuple[float, float, float]) -> list[int]:
    """``_calcu_split_ids`` of RecBole 1.2, transcribed."""
    counts = [int(ratio * total) for ratio in ratios]
    counts[0] = total - sum(counts[1:])
    for i in range(1, len(ratios)):
        if counts[0] <= 1:
            break
        if 0 < ratios[-i] * total < 1:
            counts[-i] += 1
            counts[0] -= 1
    return counts


@pytest.mark.parametrize(
    "ratios",
    [(0.8, 0.1, 0.1), (0.7, 0.1, 0.2), (0.1, 0.1, 0.8), (0.1, 0.8, 0.1), (0.34, 0.33, 0.33)],
)
def test_part_sizes_are_those_of_recbole_from_three_items_on(
    ratios: tuple[float, float, float],
) -> None:
    totals = np.arange(3, 400)
    num_valid, num_test = part_sizes(totals, ratios)
    expected = np.array([recbole_sizes(int(total), ratios) for total in totals])
    np.testing.assert_array_equal(num_valid, expected[:, 1])
    np.testing.assert_array_equal(num_test, expected[:, 2])
    assert (totals - num_valid - num_test >= 1).all()


def test_cold_items_are_hidden_from_everybody() -> None:
    items = [f"s{number:02d}" for number in range(20)]
    pairs = pd.DataFrame([(f"u{u}", i) for u in range(8) for i in items])
    raw = {
        "items": pd.DataFrame({"item_id": items, "title": items}),
        "interactions": pairs.set_axis(["user_id", "item_id"], axis=1),
    }
    parts = split(clean("cold", "Song", raw), rng(), strategy="cold_items")
    where = [set(matrix.indices) for matrix in (parts.train, parts.valid, parts.test)]
    assert [len(columns) for columns in where] == [16, 2, 2]
    assert where[0].isdisjoint(where[1] | where[2])
    assert where[1].isdisjoint(where[2])
    assert parts.report["items_not_in_train"] == 4


def test_predefined_test_is_taken_over_and_valid_is_a_ninth_of_the_rest(
    lightgcn_folder: Path,
) -> None:
    source = LightgcnLastfm(str(lightgcn_folder))
    assert isinstance(source, HasPredefinedTest)
    dataset = clean(source.name, source.item_type, source.load())
    parts = split(dataset, rng(), predefined_test=source.predefined_test())
    assert items_of(dataset, parts, "test", "user:1") == ["9"]
    assert items_of(dataset, parts, "test", "user:2") == ["2"]
    assert len(items_of(dataset, parts, "valid", "user:1")) == 1
    assert len(items_of(dataset, parts, "train", "user:1")) == 6
    assert items_of(dataset, parts, "train", "user:2") == ["1"]


def test_predefined_valid_share_is_relative_to_what_is_left() -> None:
    dataset = users_table(100)
    test = pd.DataFrame({"user_id": "u1", "item_id": [f"s{n:02d}" for n in range(10)]})
    parts = split(dataset, rng(), predefined_test=test)
    assert (parts.train.nnz, parts.valid.nnz, parts.test.nnz) == (80, 10, 10)


def test_predefined_pair_that_is_no_interaction_is_refused(dataset: Dataset) -> None:
    test = pd.DataFrame({"user_id": ["u1", "u3"], "item_id": ["s1", "s1"]})
    with pytest.raises(InputError, match=r"1 pairs that are no interactions.*'u3', 's1'"):
        split(dataset, rng(), predefined_test=test)
    with pytest.raises(InputError, match="lacks the column item_id"):
        split(dataset, rng(), predefined_test=test[["user_id"]])
    with pytest.raises(InputError, match="'cold_items' would ignore"):
        split(dataset, rng(), strategy="cold_items", predefined_test=test)


def test_about_a_third_of_text_queries_is_for_validation() -> None:
    ids = [f"q{number:02d}" for number in range(20)]
    raw = {
        "items": pd.DataFrame({"item_id": ["s1"], "title": ["one"]}),
        "queries": pd.DataFrame({"query_id": ids, "text": ids}),
        "qrels": pd.DataFrame({"query_id": ids, "item_id": "s1", "gain": 1.0}),
    }
    parts = split(clean("text", "Song", raw), rng())
    assert len(parts.text_valid) == 6
    assert sorted([*parts.text_valid, *parts.text_test]) == ids
    assert parts.train.shape == (0, 1)
    assert parts.report["profiles"] == 0


def test_a_single_text_query_is_a_test_query(dataset: Dataset) -> None:
    parts = split(dataset, rng())
    assert (parts.text_valid, parts.text_test) == ((), ("q1",))


def test_text_queries_do_not_change_the_split_of_users(
    dataset: Dataset, tiny_raw: RawTables
) -> None:
    del tiny_raw["queries"], tiny_raw["qrels"]
    without = split(clean("tiny", "Song", tiny_raw), rng())
    assert (split(dataset, rng()).test != without.test).nnz == 0


def test_nothing_to_split_is_an_error(tiny_raw: RawTables) -> None:
    with pytest.raises(InputError, match="has nothing to split"):
        split(clean("bare", "Song", {"items": tiny_raw["items"]}), rng())


def test_tail_needs_playlists() -> None:
    with pytest.raises(InputError, match="'tail' needs the table playlist_items"):
        split(users_table(5), rng(), strategy="tail")


@pytest.mark.parametrize("ratios", [(0.8, 0.2, 0.0), (0.5, 0.1, 0.1), (1.2, -0.1, -0.1)])
def test_ratios_must_be_positive_and_sum_to_one(
    dataset: Dataset, ratios: tuple[float, float, float]
) -> None:
    with pytest.raises(InputError, match="positive numbers of sum 1"):
        split(dataset, rng(), ratios=ratios)


def test_misspelt_strategy_is_named_with_the_nearest(dataset: Dataset) -> None:
    with pytest.raises(InputError, match="Did you mean 'temporal'"):
        split(dataset, rng(), strategy="temporl")  # type: ignore[arg-type]
