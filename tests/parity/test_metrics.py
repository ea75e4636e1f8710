"""Our metrics against pytrec_eval and ranx, and the laws that every ranking metric obeys."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from musicrag.evaluation.metrics import METRICS, evaluate, evaluate_ranked
from musicrag.evaluation.ranking import rank_items
from musicrag.types import InputError, Qrels, Run, Vocabulary

CUTOFFS = (1, 3, 10, 40)
ALL = [f"{name}@{k}" for name in METRICS for k in CUTOFFS]
TREC_NAMES = {
    "hit_rate": "success",
    "map": "map_cut",
    "ndcg": "ndcg_cut",
    "precision": "P",
    "recall": "recall",
}

ITEMS = [f"i{n}" for n in range(12)] + ["é", "Z", "z", "日本"]
# Few distinct scores force ties; 1 + 1e-9 and 1 are tied only in float32.
SCORES = st.sampled_from([0.0, 0.5, 1.0, 1.0 + 1e-9, 2.0, -1.0, float("inf"), 1e39, -1e39])
RUN = st.dictionaries(st.sampled_from(ITEMS), SCORES, max_size=len(ITEMS))
GAINS = st.dictionaries(st.sampled_from(ITEMS), st.integers(0, 3), max_size=len(ITEMS))
QUERIES = st.lists(st.tuples(GAINS, RUN), min_size=1, max_size=5)


def random_case(seed: int, has_ties: bool, num_queries: int = 60) -> tuple[Qrels, Run]:
    """Graded gains, lists of 0 to 50 items, one query of a single item, one without gain."""
    rng = np.random.default_rng(seed)
    qrels: Qrels = {}
    run: Run = {}
    for query in range(num_queries):
        ranked = rng.choice(200, size=rng.integers(0, 51), replace=False)
        judged = rng.choice(200, size=rng.integers(1, 30), replace=False)
        gains = rng.integers(0, 4, len(judged))
        scores = rng.integers(0, 6, len(ranked)) if has_ties else rng.permutation(len(ranked))
        run[f"q{query}"] = {f"i{i}": float(s) for i, s in zip(ranked, scores, strict=True)}
        qrels[f"q{query}"] = {f"i{i}": int(g) for i, g in zip(judged, gains, strict=True)}
    qrels["single"], run["single"] = {"i1": 1}, {"i1": 0.3}
    qrels["none"], run["none"] = {"i1": 0, "i2": -1}, {"i1": 1.0}
    return qrels, run


def trec(qrels: Qrels, run: Run, query_ids: list[str]) -> pd.DataFrame:
    """pytrec_eval's values of ``ALL``; a query that it drops (nothing ranked) becomes 0."""
    wanted = {f"{name}.{','.join(map(str, CUTOFFS))}" for name in TREC_NAMES.values()}
    judge = pytrec_eval.RelevanceEvaluator(qrels, wanted | {"recip_rank"})
    found = judge.evaluate({query: items for query, items in run.items() if items})
    rows = []
    for query in query_ids:
        values = found.get(query)
        row = {
            f"{ours}@{k}": values[f"{theirs}_{k}"] if values else 0.0
            for ours, theirs in TREC_NAMES.items()
            for k in CUTOFFS
        }
        for k in CUTOFFS:  # trec's recip_rank has no cut-off
            rank = values["recip_rank"] if values else 0.0
            row[f"mrr@{k}"] = rank if rank >= 1 / k else 0.0
        rows.append(row)
    return pd.DataFrame(rows, index=query_ids, columns=ALL)


@pytest.mark.parametrize("has_ties", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_metrics_equal_pytrec_eval(seed: int, has_ties: bool) -> None:
    qrels, run = random_case(seed, has_ties)
    ours = evaluate(qrels, run, ALL).per_query
    theirs = trec(qrels, run, list(ours.index))
    np.testing.assert_allclose(ours.to_numpy(), theirs.to_numpy(), rtol=0, atol=1e-9)
    assert len(ours) > 50
    assert ours["map@10"].between(0.01, 0.99).any()


@settings(max_examples=150, deadline=None)
@given(QUERIES)
def test_metrics_equal_pytrec_eval_on_any_case(cases: list[tuple[dict, dict]]) -> None:
    qrels = {f"q{n}": gains for n, (gains, _) in enumerate(cases)}
    run = {f"q{n}": scores for n, (_, scores) in enumerate(cases)}
    ours = evaluate(qrels, run, ALL).per_query
    if len(ours):
        theirs = trec({q: qrels[q] for q in ours.index}, run, list(ours.index))
        np.testing.assert_allclose(ours.to_numpy(), theirs.to_numpy(), rtol=0, atol=1e-9)


def ranx_values(qrels: Qrels, run: Run, metrics: list[str]) -> dict[str, list[float]]:
    """ranx as plain Python in a process of its own: its numba kernels take 40 s to compile."""
    code = """
import json, sys, ranx
qrels, run, metrics = json.load(sys.stdin)
values = ranx.evaluate(ranx.Qrels(qrels), ranx.Run(run), metrics, return_mean=False)
print(json.dumps({name: list(map(float, column)) for name, column in values.items()}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps([qrels, run, metrics]),
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_metrics_equal_ranx() -> None:
    """Without ties: ranx leaves their order to an unstable sort."""
    qrels, run = random_case(3, has_ties=False)
    scored = sorted(q for q in run if run[q] and any(gain > 0 for gain in qrels[q].values()))
    qrels = {query: {i: g for i, g in qrels[query].items() if g > 0} for query in scored}
    run = {query: run[query] for query in scored}
    ours = evaluate(qrels, run, ALL).per_query
    theirs = ranx_values(qrels, run, ALL)  # ranx sorts queries, as we do
    for name in ALL:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=1e-9, err_msg=name)


@settings(max_examples=100, deadline=None)
@given(QUERIES, st.randoms(use_true_random=False))
def test_order_of_input_does_not_matter(cases: list[tuple[dict, dict]], random: object) -> None:
    qrels = {f"q{n}": gains for n, (gains, _) in enumerate(cases)}
    run = {f"q{n}": scores for n, (_, scores) in enumerate(cases)}

    def shuffled(mapping: dict) -> dict:
        keys = list(mapping)
        random.shuffle(keys)  # type: ignore[attr-defined]
        return {key: mapping[key] for key in keys}

    again = evaluate(
        shuffled({q: shuffled(g) for q, g in qrels.items()}),
        shuffled({q: shuffled(s) for q, s in run.items()}),
        ALL,
    )
    pd.testing.assert_frame_equal(evaluate(qrels, run, ALL).per_query, again.per_query)


@settings(max_examples=100, deadline=None)
@given(QUERIES)
def test_matrices_give_the_same_values_as_dictionaries(cases: list[tuple[dict, dict]]) -> None:
    vocabulary = Vocabulary(ITEMS)
    scores = np.full((len(cases), len(ITEMS)), -np.inf)
    relevance = np.zeros_like(scores)
    for row, (gains, run) in enumerate(cases):
        finite = {item: max(min(score, 9.0), -9.0) for item, score in run.items()}
        run.update(finite)
        for item, score in finite.items():
            scores[row, vocabulary.idx(item)] = score
        for item, gain in gains.items():
            relevance[row, vocabulary.idx(item)] = gain
    ids = [f"q{n}" for n in range(len(cases))]
    names = [name for name in ALL if not name.endswith("@40")]
    by_index = evaluate_ranked(
        ids, rank_items(scores, None, len(ITEMS)), sparse.csr_matrix(relevance), names
    )
    by_id = evaluate(
        dict(zip(ids, (gains for gains, _ in cases), strict=True)),
        dict(zip(ids, (run for _, run in cases), strict=True)),
        names,
    )
    pd.testing.assert_frame_equal(by_index.per_query, by_id.per_query, rtol=1e-12)
    assert (by_index.num_skipped, by_index.num_missing) == (by_id.num_skipped, by_id.num_missing)


@settings(max_examples=100, deadline=None)
@given(QUERIES)
def test_values_lie_between_0_and_1_and_rise_with_k(cases: list[tuple[dict, dict]]) -> None:
    qrels = {f"q{n}": gains for n, (gains, _) in enumerate(cases)}
    run = {f"q{n}": scores for n, (_, scores) in enumerate(cases)}
    values = evaluate(qrels, run, ALL).per_query
    assert ((values >= 0) & (values <= 1 + 1e-12)).all(axis=None)
    for name in ("hit_rate", "map", "mrr", "recall"):  # ndcg and precision may fall
        curve = values[[f"{name}@{k}" for k in CUTOFFS]].to_numpy()
        assert (np.diff(curve, axis=1) >= 0).all()


@settings(max_examples=50, deadline=None)
@given(GAINS.filter(lambda gains: any(gains.values())))
def test_ideal_order_gives_one(gains: dict[str, int]) -> None:
    run = {"q": {item: float(gain) for item, gain in gains.items()}}
    num_relevant = sum(gain > 0 for gain in gains.values())
    values = evaluate({"q": gains}, run, [*ALL, f"precision@{num_relevant}"]).mean()
    assert [values[f"ndcg@{k}"] for k in CUTOFFS] == pytest.approx([1.0] * len(CUTOFFS))
    for name in ("map@40", "recall@40", "mrr@1", "hit_rate@1", f"precision@{num_relevant}"):
        assert values[name] == pytest.approx(1.0)


def test_values_by_hand() -> None:
    # Ranked c (gain 0), b (2), a (1); also relevant: d (3), not ranked. Ties: id descending.
    qrels = {"q": {"a": 1.0, "b": 2.0, "d": 3.0}}
    run = {"q": {"a": 0.5, "b": 0.5, "c": 0.5}}
    values = evaluate(qrels, run, [f"{name}@2" for name in METRICS] + ["precision@10"]).mean()
    ideal = 3 / np.log2(2) + 2 / np.log2(3)
    assert values == pytest.approx(
        {
            "hit_rate@2": 1.0,
            "map@2": (1 / 2) / 3,
            "mrr@2": 1 / 2,
            "ndcg@2": (2 / np.log2(3)) / ideal,
            "precision@2": 1 / 2,
            "recall@2": 1 / 3,
            "precision@10": 2 / 10,
        }
    )


def test_queries_are_skipped_and_missing_ones_counted() -> None:
    qrels = {"ranked": {"a": 1.0}, "absent": {"a": 1.0}, "empty": {"a": 1.0}, "no": {"a": 0.0}}
    run = {"ranked": {"a": 1.0}, "empty": {}, "unjudged": {"a": 1.0}}
    result = evaluate(qrels, run, ["recall@1"])
    assert result.per_query["recall@1"].to_dict() == {"absent": 0.0, "empty": 0.0, "ranked": 1.0}
    assert (result.num_skipped, result.num_missing) == (2, 2)
    assert result.mean() == {"recall@1": pytest.approx(1 / 3)}
    with pytest.raises(InputError, match="None of 1 queries"):
        evaluate({"q": {}}, {}, ["recall@1"]).mean()


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("ndgc@10", "Did you mean 'ndcg'"),
        ("ndcg", "such as 'ndcg@10'"),
        ("ndcg@0", "cut-off of 1 or more"),
        ("ndcg@-1", "cut-off of 1 or more"),
        ("ndcg@x", "cut-off of 1 or more"),
    ],
)
def test_bad_metric_is_refused(metric: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate({"q": {"a": 1.0}}, {"q": {"a": 1.0}}, [metric])


def test_values_that_are_not_numbers_are_refused() -> None:
    good = {"other": {"a": 1.0, "b": 2.0}, "q": {"a": 1.0}}
    with pytest.raises(InputError, match="NaN score for query 'q'"):
        evaluate(good, {**good, "q": {"a": float("nan")}}, ["map@1"])
    with pytest.raises(InputError, match="gain of item 'a' for query 'q' is inf"):
        evaluate({"q": {"a": float("inf")}}, good, ["map@1"])


@pytest.mark.parametrize(
    ("ranked", "message"),
    [
        ([[0, 3]], "-1 \\(none\\) to 2"),
        ([[0, -2]], "-1 \\(none\\) to 2"),
        ([[1, 1]], "same item twice"),
        ([[1]], "needs lists of 2 items"),
        ([[0, 1], [0, 1]], "same number of rows"),
    ],
)
def test_bad_ranking_is_refused(ranked: list[list[int]], message: str) -> None:
    relevance = sparse.csr_matrix(np.array([[0.0, 1.0, 0.0]]))
    with pytest.raises(InputError, match=message):
        evaluate_ranked(["q"], np.array(ranked), relevance, ["map@2"])
