from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from musicrag.evaluation.metrics import evaluate
from musicrag.evaluation.trec import read_qrels, read_run, write_qrels, write_run
from musicrag.types import InputError

IDS = st.text(
    st.one_of(st.sampled_from(" \t\n\r%\u3000\x85\x1c2F"), st.characters(codec="utf-8")),
    min_size=1,
    max_size=5,
)
SCORES = st.one_of(
    st.floats(allow_nan=False), st.sampled_from([0.1, 1 + 1e-9, 1.0, float(np.float32(0.1))])
)
RUNS = st.dictionaries(IDS, st.dictionaries(IDS, SCORES, min_size=1, max_size=4), max_size=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trec")


@settings(max_examples=200, deadline=None)
@given(RUNS)
def test_what_is_read_is_what_was_written(folder: Path, run: dict[str, dict[str, float]]) -> None:
    write_run(folder / "run.txt", run, "tag")
    assert read_run(folder / "run.txt") == run
    write_qrels(folder / "qrels.txt", run)
    assert read_qrels(folder / "qrels.txt") == run


def test_equal_runs_give_equal_bytes_in_ranked_order(tmp_path: Path) -> None:
    run = {"q 2": {"a": 1.0, "b": 1.0 + 1e-9, "100%": 3.0}, "q1": {"x": -0.5}}
    again = {"q1": {"x": -0.5}, "q 2": {"100%": 3.0, "b": 1.0 + 1e-9, "a": 1.0}}
    write_run(tmp_path / "run", run, "my tag")
    write_run(tmp_path / "again", again, "my tag")
    assert (tmp_path / "run").read_bytes() == (tmp_path / "again").read_bytes()
    # 1 and 1 + 1e-9 are equal as float32, so the higher id comes first.
    assert (tmp_path / "run").read_text() == (
        "q%202 Q0 100%25 1 3.0 my%20tag\n"
        "q%202 Q0 b 2 1.000000001 my%20tag\n"
        "q%202 Q0 a 3 1.0 my%20tag\n"
        "q1 Q0 x 1 -0.5 my%20tag\n"
    )


def test_trec_eval_reads_our_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    run = {f"q {q}": {f"i {i}": float(rng.normal()) for i in range(30)} for q in range(5)}
    qrels = {q: {item: float(rng.integers(0, 3)) for item in items} for q, items in run.items()}
    write_run(tmp_path / "run", run, "tag")
    write_qrels(tmp_path / "qrels", qrels)
    with (tmp_path / "run").open() as run_file, (tmp_path / "qrels").open() as qrels_file:
        judge = pytrec_eval.RelevanceEvaluator(pytrec_eval.parse_qrel(qrels_file), {"ndcg_cut.10"})
        theirs = judge.evaluate(pytrec_eval.parse_run(run_file))
    ours = evaluate(qrels, run, ["ndcg@10"]).per_query["ndcg@10"]
    expected = [theirs[query.replace(" ", "%20")]["ndcg_cut_10"] for query in ours.index]
    np.testing.assert_allclose(ours, expected, atol=1e-9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q1 Q0 a 1 0.5 tag\nq1 Q0 b 2 tag\n", "line 2: 5 fields instead of 6"),
        ("\nq1 Q0 a 1 x tag\n", "line 2: the score must be a number, got 'x'"),
        ("q1 Q0 a 1 nan tag\n", "line 1: the score must be a number, got 'nan'"),
        ("q1 Q0 a 1 2 tag\nq1 Q0 a 2 1 tag\n", "line 2: item 'a' stands twice for query 'q1'"),
        ("q1 Q0 %ff 1 2 tag\n", "line 1: '%ff' is not percent-encoded UTF-8"),
    ],
)
def test_malformed_run_is_refused_by_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "run").write_text(text)
    with pytest.raises(InputError, match=message):
        read_run(tmp_path / "run")


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no file"):
        read_run(tmp_path / "absent")
    (tmp_path / "qrels").write_bytes(b"q1 0 a 1\nq1 0 \xff 1\n")
    with pytest.raises(InputError, match="not UTF-8"):
        read_qrels(tmp_path / "qrels")


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ({"": {"a": 1.0}}, "empty query id"),
        ({"q": {"": 1.0}}, "empty item id"),
        ({"q": {"a": float("nan")}}, "'a' for query 'q' is NaN"),
    ],
)
def test_what_cannot_be_written_leaves_the_old_file(
    tmp_path: Path, run: dict[str, dict[str, float]], message: str
) -> None:
    write_run(tmp_path / "run", {"q": {"a": 1.0}}, "tag")
    before = (tmp_path / "run").read_bytes()
    with pytest.raises(InputError, match=message):
        write_run(tmp_path / "run", {"a": {"first": 1.0}, **run}, "tag")
    assert (tmp_path / "run").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
