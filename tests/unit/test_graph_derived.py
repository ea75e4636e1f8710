from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import NO_PROFILES, items_table

from musicrag.graph.build import graph_rows
from musicrag.graph.derived import similar_mood_pairs
from musicrag.graph.validation import find_violations

TINY = float(np.finfo(np.float32).tiny)


def features(*points: tuple[float | None, ...], axes: tuple[str, ...] = ()) -> pd.DataFrame:
    names = list(axes or ("valence", "arousal", "dominance")[: len(points[0]) if points else 2])
    frame = pd.DataFrame(list(points), columns=names, dtype="float64")
    return frame.assign(item_id=[f"s{row}" for row in range(len(points))])


def found_pairs(frame: pd.DataFrame, top: int) -> dict[str, dict[str, float]]:
    """Weight of each neighbour of each item that has some; no pair is given twice."""
    a, b, weight = similar_mood_pairs(frame, top)
    assert len(set(zip(a, b, strict=True))) == len(a)
    found: dict[str, dict[str, float]] = {}
    for one, other, value in zip(a, b, weight, strict=True):
        found.setdefault(one, {})[other] = value
    return found


def naive_weights(frame: pd.DataFrame, axes: list[str]) -> dict[str, dict[str, float]]:
    """``exp(-d)`` of every item to every other, items that lack a value left out."""
    known = frame.dropna(subset=axes)
    scores = {
        axis: (known[axis] - known[axis].mean()) / (known[axis].std(ddof=0) or 1.0) for axis in axes
    }
    weights: dict[str, dict[str, float]] = {}
    for one, a in known["item_id"].items():
        for other, b in known["item_id"].items():
            if a != b:
                square = sum((scores[axis][one] - scores[axis][other]) ** 2 for axis in axes)
                weights.setdefault(a, {})[b] = math.exp(-math.sqrt(square))
    return weights


def assert_nearest(frame: pd.DataFrame, axes: list[str], top: int) -> None:
    """Each item has its ``top`` nearest; of equally near ones any will do."""
    found, expected = found_pairs(frame, top), naive_weights(frame, axes)
    assert set(found) == set(expected)
    for item, near in found.items():
        assert near == pytest.approx({other: expected[item][other] for other in near})
        best = sorted(expected[item].values(), reverse=True)[:top]
        assert sorted(near.values(), reverse=True) == pytest.approx(best)


_VALUE = st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0, None])


@settings(max_examples=200, deadline=None)
@given(
    points=st.lists(st.tuples(_VALUE, _VALUE, _VALUE), min_size=2, max_size=14),
    num_axes=st.sampled_from([2, 3]),
    top=st.integers(1, 5),
)
def test_neighbours_are_those_of_a_naive_search(
    points: list[tuple[float | None, ...]], num_axes: int, top: int
) -> None:
    frame = features(*(point[:num_axes] for point in points))
    assert_nearest(frame, ["valence", "arousal", "dominance"][:num_axes], top)


def test_more_equal_points_than_neighbours_give_no_item_itself() -> None:
    frame = features(*[(0.5, 0.5)] * 12, (0.9, -0.9))
    assert_nearest(frame, ["valence", "arousal"], 2)
    for item, near in found_pairs(frame, 2).items():
        assert item not in near
        assert len(near) == 2


def test_items_that_feel_the_same_weigh_one_even_if_all_do() -> None:
    found = found_pairs(features((0.1, 0.3), (0.1, 0.3), (0.1, 0.3)), 5)
    assert found == {
        "s0": {"s1": 1.0, "s2": 1.0}, "s1": {"s0": 1.0, "s2": 1.0}, "s2": {"s0": 1.0, "s1": 1.0},
    }  # fmt: skip


def test_an_item_that_lacks_a_value_is_in_no_pair() -> None:
    frame = features((0.1, 0.2), (None, 0.2), (0.3, math.inf), (0.4, -0.5))
    found = found_pairs(frame, 3)
    assert {item: set(near) for item, near in found.items()} == {"s0": {"s3"}, "s3": {"s0"}}


@pytest.mark.parametrize(
    "axes",
    [
        ("valence", "dominance"),  # two axes, but arousal is not one of them
        ("valence", "valence_mean"),
        ("arousal", "dominance"),
        ("tension", "joy"),
    ],
)
def test_without_valence_and_arousal_there_are_no_pairs(axes: tuple[str, str]) -> None:
    assert found_pairs(features((0.1, 0.2), (0.3, 0.4), axes=axes), 3) == {}


def test_means_serve_as_axes_and_an_axis_counts_once() -> None:
    points = ((0.1, 0.9), (0.2, 0.4), (-0.7, 0.3), (0.5, -0.6))
    expected = found_pairs(features(*points), 2)
    means = features(*points, axes=("valence_mean", "arousal_mean"))
    assert found_pairs(means, 2) == expected
    both = means.assign(valence=means["valence_mean"], arousal=means["arousal_mean"])
    assert found_pairs(both.assign(valence_std=9.0), 2) == expected


@pytest.mark.parametrize("points", [(), ((0.1, 0.2),), ((0.1, 0.2), (None, 0.3))])
def test_one_known_item_has_no_neighbour(points: tuple[tuple[float | None, ...], ...]) -> None:
    assert found_pairs(features(*points), 3) == {}


def test_neighbours_do_not_depend_on_the_order_of_rows() -> None:
    rng = np.random.default_rng(0)
    frame = features(*rng.integers(0, 3, (40, 2)).astype(float).tolist())  # many equal points
    expected = found_pairs(frame, 3)
    for seed in range(5):
        assert found_pairs(frame.sample(frac=1, random_state=seed), 3) == expected


def test_an_outlier_too_far_for_float32_has_no_edge_of_weight_zero() -> None:
    frame = features(*[(0.0, 0.0)] * 20_000, (1.0, 1.0))
    found = found_pairs(frame, 2)
    assert "s20000" not in found  # its distance is 200 standard deviations: exp(-200) < 1e-38
    assert min(weight for near in found.values() for weight in near.values()) >= TINY
    tables = {"items": items_table(list(frame["item_id"])), "emotion_features": frame}
    assert find_violations(graph_rows(tables, "Song", NO_PROFILES, num_similar_mood=2)) == ()


def test_equal_album_titles_of_two_artists_are_two_albums() -> None:
    items = items_table(
        ["s1", "s2", "s3", "s4", "s5"],
        artist_id=["a1", "a1", "a2", None, "a2"],
        album=["Greatest Hits", "Greatest Hits", "Greatest Hits", "Greatest Hits", None],
    )
    rows = graph_rows({"items": items}, "Song", NO_PROFILES, relations=["ON_ALBUM"])
    joined = dict(zip(rows.edges["source_id"], rows.edges["target_id"], strict=True))
    assert joined == {
        "s1": "a1/Greatest Hits", "s2": "a1/Greatest Hits", "s3": "a2/Greatest Hits",
        "s4": "Greatest Hits",
    }  # fmt: skip
    albums = rows.nodes[rows.nodes["node_type"] == "Album"]
    assert set(albums["name"]) == {"Greatest Hits"}
    assert len(albums) == 3


def test_albums_of_a_table_without_artists_are_told_apart_by_title() -> None:
    items = items_table(["s1", "s2", "s3"], album=["One", "One", "Two"])
    rows = graph_rows({"items": items}, "Song", NO_PROFILES)
    assert rows.edges["target_id"].tolist() == ["One", "One", "Two"]
