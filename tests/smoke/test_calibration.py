"""The instrument is calibrated: audio helps where the dial says so, and nowhere else.

The whole command at reduced size, five seeds, with audio as the only modality. A minute each.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from conftest import Command

REDUCED = (
    *("data.num_songs=300", "data.num_artists=60", "data.num_users=500", "data.num_playlists=30"),
    *("data.num_text_queries=20", "data.interactions_per_song=33", "data.audio_duration_s=1.0"),
    *("features/lyrics=none", "features/emotion=none", "gnn.num_epochs=10"),
    *("evaluation.baselines=[popularity]", "trainer.progress_bar=false"),
)


def ablate(musicrag: Command, audio_signal: float, output_dir: Path) -> pd.DataFrame:
    """Rows for user queries of the variant without audio, by metric."""
    done = musicrag("+experiment=ablation_audio", f"data.audio_signal={audio_signal}", *REDUCED)
    assert done.code == 0, done.err
    (table,) = output_dir.glob("ablation_audio/*/table.csv")
    rows = pd.read_csv(table)
    rows = rows[(rows["query_type"] == "user") & (rows["label"] == "features/audio=none")]
    return rows.set_index("metric")


@pytest.mark.slow
def test_audio_helps_where_the_dial_is_up(musicrag: Command, tmp_path: Path) -> None:
    without = ablate(musicrag, 1.0, tmp_path / "out")
    assert without.loc["ndcg@10", "num_seeds"] == 5
    assert without.loc["ndcg@10", "difference"] < 0
    assert without.loc["ndcg@10", "p_holm"] < 0.05


@pytest.mark.slow
def test_audio_does_not_help_where_the_dial_is_at_zero(musicrag: Command, tmp_path: Path) -> None:
    without = ablate(musicrag, 0.0, tmp_path / "out")
    item_metrics = without.loc[["hit_rate@10", "map@10", "ndcg@10"]]
    assert (item_metrics["p_holm"] >= 0.05).all()
