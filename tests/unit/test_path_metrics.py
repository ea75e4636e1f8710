from __future__ import annotations

import numpy as np
import pytest

from musicrag.evaluation.path_metrics import evaluate_paths
from musicrag.types import InputError, Node, Path, ScoredPath

NAMES = [f"{name}@{k}" for name in ("path_recall", "path_hit", "edge_recall") for k in (1, 3, 10)]


def path(*parts: str) -> Path:
    """``path("u", "LIKES", "s1")``: nodes and relations in turn."""
    return Path(tuple(Node("N", part) for part in parts[::2]), tuple(parts[1::2]))


def ranked(*paths: Path) -> list[ScoredPath]:
    return [ScoredPath(p, -float(place)) for place, p in enumerate(paths)]


A = path("u", "LIKES", "s1", "BY", "a", "BY", "s2")
B = path("u", "LIKES", "s3", "BY", "a", "BY", "s2")
C = path("u", "LIKES", "s1", "TAG", "s4")
OTHER = path("u", "LIKES", "s9")


def test_path_metrics_by_hand() -> None:
    gold = {"q": {"s2": [A, B], "s4": [C], "s5": []}}
    result = evaluate_paths(gold, {"q": ranked(OTHER, A, B, C)}, NAMES)
    values = result.mean()
    assert [values[f"path_recall@{k}"] for k in (1, 3, 10)] == pytest.approx([0, 2 / 3, 1])
    # s5 is relevant but has no gold path: it stays in the denominator of path_hit.
    assert [values[f"path_hit@{k}"] for k in (1, 3, 10)] == pytest.approx([0, 1 / 3, 2 / 3])
    # Edges: u-s1, s1-a, a-s2, u-s3, s3-a, s1-s4.
    assert [values[f"edge_recall@{k}"] for k in (1, 3, 10)] == pytest.approx([0, 5 / 6, 1])


def test_path_metrics_equal_a_naive_reference() -> None:
    rng = np.random.default_rng(0)

    def draw() -> Path:
        length = int(rng.integers(1, 4))
        nodes = [f"n{rng.integers(4)}" for _ in range(length + 1)]
        parts = [part for node in nodes for part in (node, f"r{rng.integers(2)}")][:-1]
        return path(*parts)

    for _ in range(100):
        gold = {"q": {f"i{n}": [draw() for _ in range(rng.integers(0, 4))] for n in range(3)}}
        found = ranked(*[draw() for _ in range(12)])
        all_gold = {p.to_json() for paths in gold["q"].values() for p in paths}
        if not all_gold:
            continue
        values = evaluate_paths(gold, {"q": found}, NAMES).mean()
        for k in (1, 3, 10):
            seen: list[Path] = []
            for scored in found:
                if scored.path not in seen and len(seen) < k:
                    seen.append(scored.path)
            texts = {p.to_json() for p in seen}
            assert values[f"path_recall@{k}"] == len(all_gold & texts) / len(all_gold)
            hits = [any(p.to_json() in texts for p in paths) for paths in gold["q"].values()]
            assert values[f"path_hit@{k}"] == sum(hits) / 3
            edges = {e for paths in gold["q"].values() for p in paths for e in p.edges()}
            present = {e for p in seen for e in p.edges()}
            assert values[f"edge_recall@{k}"] == len(edges & present) / len(edges)


def test_direction_counts_for_paths_but_not_for_edges() -> None:
    backward = Path(tuple(reversed(C.nodes)), tuple(reversed(C.relations)))
    values = evaluate_paths({"q": {"s4": [C]}}, {"q": ranked(backward)}, NAMES).mean()
    assert (values["path_recall@1"], values["edge_recall@1"]) == (0.0, 1.0)


def test_relations_tell_paths_apart() -> None:
    renamed = Path(C.nodes, ("LIKES", "MOOD"))
    values = evaluate_paths({"q": {"s4": [C]}}, {"q": ranked(renamed)}, NAMES).mean()
    assert (values["path_recall@1"], values["edge_recall@1"]) == (0.0, 0.5)


def test_a_repeated_path_counts_once_and_takes_one_place() -> None:
    values = evaluate_paths({"q": {"s2": [A, B]}}, {"q": ranked(A, A, A, B)}, NAMES).mean()
    assert values["path_recall@1"] == 0.5
    assert values["path_recall@3"] == 1.0


def test_queries_without_gold_are_left_out_and_reported() -> None:
    gold = {"q": {"s4": [C]}, "none": {"s4": []}, "missing": {"s2": [A]}}
    result = evaluate_paths(gold, {"q": ranked(C), "unknown": ranked(C)}, ["path_recall@1"])
    assert result.per_query["path_recall@1"].to_dict() == {"missing": 0.0, "q": 1.0}
    assert (result.num_without_gold, result.num_missing) == (2, 1)
    assert result.share_without_gold == 0.5
    with pytest.raises(InputError, match="None of 1 queries"):
        evaluate_paths({"q": {}}, {}, ["path_recall@1"]).mean()


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="Did you mean 'path_recall'"):
        evaluate_paths({}, {}, ["path_recal@10"])
    with pytest.raises(InputError, match="must come best first"):
        evaluate_paths({"q": {"s4": [C]}}, {"q": ranked(A, C)[::-1]}, NAMES)
