"""Seconds for 10,000 queries x 100 items: our metrics against pytrec_eval, and ranx on request.

    python benchmarks/metrics.py [--ranx]

The same four metrics, equal values (checked), best of five interleaved rounds. pytrec_eval takes
dictionaries only; ours are timed from dictionaries and from index matrices.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import pytrec_eval
from scipy import sparse

from musicrag.evaluation.metrics import evaluate, evaluate_ranked
from musicrag.evaluation.ranking import rank_items
from musicrag.types import IntArray, Qrels, Run

NUM_QUERIES, DEPTH, NUM_ITEMS, NUM_RELEVANT = 10_000, 100, 5_000, 10
METRICS = ["hit_rate@10", "map@100", "ndcg@10", "ndcg@100"]
TREC = {"success.10", "map_cut.100", "ndcg_cut.10,100"}


def seconds(contenders: dict[str, Callable[[], object]], rounds: int = 5) -> dict[str, float]:
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(rounds):
        for name, call in contenders.items():
            start = time.perf_counter()
            call()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def world() -> tuple[list[str], IntArray, sparse.csr_matrix, Qrels, Run]:
    """Half of the relevant items are ranked, half are drawn from the whole catalogue."""
    rng = np.random.default_rng(0)
    scores = rng.random((NUM_QUERIES, NUM_ITEMS), dtype=np.float32)
    ranked = rank_items(scores, None, DEPTH)
    half = (NUM_QUERIES, NUM_RELEVANT // 2)
    hits = np.take_along_axis(ranked, rng.integers(0, DEPTH, half), axis=1)
    item = np.hstack([hits, rng.integers(0, NUM_ITEMS, half)]).ravel()
    row = np.repeat(np.arange(NUM_QUERIES), NUM_RELEVANT)
    relevance = sparse.csr_matrix((np.ones(len(item)), (row, item)), (NUM_QUERIES, NUM_ITEMS))
    ids = [f"q{n:05d}" for n in range(NUM_QUERIES)]
    run: Run = {}
    qrels: Qrels = {}
    for n, query in enumerate(ids):
        run[query] = {f"i{i:05d}": float(scores[n, i]) for i in ranked[n]}
        entries = slice(*relevance.indptr[n : n + 2])
        pairs = zip(relevance.indices[entries], relevance.data[entries], strict=True)
        qrels[query] = {f"i{i:05d}": int(gain) for i, gain in pairs}
    return ids, ranked, relevance, qrels, run


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ranx", action="store_true", help="add ranx (compiles for 40 s)")
    arguments = parser.parse_args()
    ids, ranked, relevance, qrels, run = world()
    contenders: dict[str, Callable[[], object]] = {
        "pytrec_eval": lambda: pytrec_eval.RelevanceEvaluator(qrels, TREC).evaluate(run),
        "musicrag, dictionaries": lambda: evaluate(qrels, run, METRICS),
        "musicrag, indices": lambda: evaluate_ranked(ids, ranked, relevance, METRICS),
    }
    if arguments.ranx:
        import ranx

        contenders["ranx"] = lambda: ranx.evaluate(ranx.Qrels(qrels), ranx.Run(run), METRICS)
    ours = evaluate(qrels, run, METRICS).mean()["ndcg@100"]
    trec = pytrec_eval.RelevanceEvaluator(qrels, TREC).evaluate(run).values()
    assert abs(ours - np.mean([values["ndcg_cut_100"] for values in trec])) < 1e-9
    assert abs(ours - evaluate_ranked(ids, ranked, relevance, METRICS).mean()["ndcg@100"]) < 1e-9
    best = seconds(contenders)
    for name, value in best.items():
        ratio = best["pytrec_eval"] / value
        print(f"{name:24s} {value:7.3f} s   {ratio:5.1f} x as fast as pytrec_eval")


if __name__ == "__main__":
    main()
