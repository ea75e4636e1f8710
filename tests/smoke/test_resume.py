"""A killed sweep resumes: finished runs stay, and the table is that of an undisturbed sweep."""

from __future__ import annotations

import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from commands import FAST_LYRICS, TINY, Finished, command, environment, snapshot, start

SWEEP = (
    *("+experiment=ablation_gnn", "seed=0,1", FAST_LYRICS, "features/audio=none", *TINY),
    "gnn.num_epochs=6",
)
NUM_RUNS = 6


@dataclass(frozen=True)
class Resumed:
    """One sweep that was killed and started again, and one that was left alone."""

    killed: Path
    undisturbed: Path
    finished_before: dict[str, int]  # run folder -> time of its manifest, ns
    drafts: list[Path]
    again: Finished
    alone: Finished


def _manifests(output_dir: Path) -> dict[str, int]:
    found = (output_dir / "ablation_gnn" / "runs").glob("[!.]*/manifest.json")
    return {path.parent.name: path.stat().st_mtime_ns for path in found}


def _kill_after_first_run(output_dir: Path) -> None:
    process = subprocess.Popen(
        command(SWEEP, output_dir),
        cwd=output_dir.parent,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 240
    while not _manifests(output_dir) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> Resumed:
    killed = tmp_path_factory.mktemp("killed") / "out"
    undisturbed = tmp_path_factory.mktemp("undisturbed") / "out"
    _kill_after_first_run(killed)
    before = _manifests(killed)
    unfinished = killed / "ablation_gnn" / "runs" / ".0123456789abcdef.x.part"
    unfinished.mkdir()
    (unfinished / "manifest.json").write_text("{}")
    drafts = sorted(killed.rglob("*.part"))
    again = start(SWEEP, killed)
    return Resumed(killed, undisturbed, before, drafts, again, start(SWEEP, undisturbed))


def _tables(output_dir: Path) -> dict[str, bytes]:
    (folder,) = {path.parent for path in output_dir.glob("ablation_gnn/*/table.csv")}
    return {f"{folder.name}/{name}": text for name, text in snapshot(folder).items()}


def test_kill_came_in_the_middle(resumed: Resumed) -> None:
    assert 0 < len(resumed.finished_before) < NUM_RUNS


def test_finished_runs_are_not_done_again(resumed: Resumed) -> None:
    assert resumed.again.code == 0, resumed.again.err
    now = _manifests(resumed.killed)
    assert len(now) == NUM_RUNS
    assert {name: now[name] for name in resumed.finished_before} == resumed.finished_before
    assert resumed.again.err.count("already finished") == len(resumed.finished_before)


def test_table_equals_that_of_an_undisturbed_sweep(resumed: Resumed) -> None:
    assert resumed.alone.code == 0, resumed.alone.err
    assert _tables(resumed.killed) == _tables(resumed.undisturbed)


def test_drafts_of_the_killed_process_are_ignored(resumed: Resumed) -> None:
    assert resumed.drafts
    listed = {path.name for path in (resumed.killed / "ablation_gnn" / "runs").glob("[!.]*")}
    assert len(listed) == NUM_RUNS
    assert not any(name.endswith(".part") for name in listed)


@pytest.mark.parametrize("name", ["run.trec", "paths.jsonl", "recommendations.jsonl"])
def test_same_seed_gives_the_same_bytes_in_a_fresh_process(resumed: Resumed, name: str) -> None:
    one, other = (
        {path.parent.name: path.read_bytes() for path in root.glob(f"ablation_gnn/runs/*/{name}")}
        for root in (resumed.killed, resumed.undisturbed)
    )
    assert len(one) == NUM_RUNS
    assert len(set(one.values())) > 1
    assert one == other


def test_each_run_is_announced_once(resumed: Resumed) -> None:
    said = [line[11:] for line in resumed.alone.err.splitlines() if f" of {NUM_RUNS}: " in line]
    assert said[0] == "run 1 of 6: gnn=graphsage, seed=0"
    assert said[-1] == "run 6 of 6: gnn=gcn, seed=1"
    assert len(said) == NUM_RUNS


@pytest.mark.parametrize(
    "noise", ["Launching", "GPU available", "TPU", "Tip:", "LeafSpec", "DEBUG", "Warning"]
)
def test_libraries_are_quiet(resumed: Resumed, noise: str) -> None:
    assert noise not in resumed.alone.err


def test_table_alone_is_printed_to_standard_output(resumed: Resumed) -> None:
    assert resumed.alone.out.startswith("ablation_gnn on demo")
    assert "figure.png" in resumed.alone.out.splitlines()[-1]
