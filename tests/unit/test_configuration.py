"""What is wrong in a command line is said before data is loaded, in words that help."""

from __future__ import annotations

from pathlib import Path

import pytest

from musicrag.experiment import resolve as resolving
from musicrag.experiment.sweep import check_composition, plan
from musicrag.types import InputError

CONF = Path(__file__).parents[2] / "conf"
MISSPELT = [
    ("gnn.embeding_dim=8", "'gnn.embeding_dim'", "'gnn.embedding_dim'", "gnn.num_layers"),
    ("+gnn.embeding_dim=8", "gnn.embeding_dim", "'embedding_dim'", "num_layers"),
    ("++gnn.embeding_dim=8", "gnn.embeding_dim", "'embedding_dim'", "num_layers"),
    ("+gnnn=gat", "gnnn", "'gnn'", "retrieval"),
    ("gnn=graphsag", "gnn=graphsag", "'graphsage'", "gat, gcn"),
    ("gn=gat", "'gn'", "'gnn'", "retrieval"),
    ("+experiment=ablation_audoi", "ablation_audoi", "'ablation_audio'", "ablation_gnn"),
    ("+debug=fats", "+debug=fats", "'fast'", "Allowed: fast"),
    ("features/audoi=none", "'features/audoi'", "'features/audio'", "features/lyrics"),
    ("features/audio=lirosa", "features/audio=lirosa", "'librosa'", "tabular"),
    ("data.nmu_songs=50", "'data.nmu_songs'", "'data.num_songs'", "data.num_users"),
    ("+data.nmu_songs=50", "data.nmu_songs", "'num_songs'", "num_users"),
    ("+features.audio.foo=1 features/audio=none", "features.audio.foo", "unknown key", ""),
    ("gnn=gat gnn.layer.num_head=4", "num_head", "'gnn.layer.num_heads'", ""),
    ("gnn.layer.num_heads=2", "'gnn.layer.num_heads'", "unknown key", "gnn.layer.name"),
    ("~gnn.lrr", "'gnn.lrr'", "'gnn.lr'", ""),
    ("hydra.sweeper.parms=3", "parms", "'hydra.sweeper.params'", ""),
    ("trainer.strategy=dpp", "trainer.strategy", "'ddp'", "ddp_spawn"),
    ("retrieval.channels=[gnnn]", "retrieval.channels.0", "'gnn'", "bm25"),
    ("evaluation.primary=ndgc@10", "evaluation.primary", "'ndcg'", "precision"),
    ("evaluation.metrics=[hitrate]", "evaluation.metrics", "'hit_rate'", "mrr"),
    ("evaluation.baselines=[popularty]", "evaluation.baselines", "'popularity'", "ease"),
    ("graph.relations=[LISTEND]", "graph.relations", "'LISTENED'", "KNOWS"),
    ("gnn.layer._target_=musicrag.gnn.layers.GatLayr", "GatLayr", "'GatLayer'", ""),
    ("-m gnn=graphsage,gta", "gnn=gta", "'gat'", "graphsage"),
    ("launcher=jolib", "launcher=jolib", "'joblib'", "submitit"),
]
IMPOSSIBLE = [
    ("experiment=ablation_audio", "+experiment=ablation_audio"),
    ("debug=fast", "+debug=fast"),
    ("+gnn=gat", "without a plus"),
    ("gnn", "group=option"),
    ("gnn=null", "gnn=null: no such option"),
    ("~gnn.lr", "gnn.lr: this key is missing"),
    ("seed=abc", "seed: Input should be a valid integer, got 'abc'"),
    ("seed=-1", "seed: Input should be greater than or equal to 0"),
    ("seed=${nowhere}", "cannot be resolved"),
    ("gnn.lr=fast", "gnn.lr: Input should be a valid number, got 'fast'"),
    ("gnn.lr=0", "gnn.lr: Input should be greater than 0"),
    ("gnn.dropout=1.5", "gnn.dropout"),
    ("gnn.num_epochs=3.5", "gnn.num_epochs"),
    ("evaluation.k=10", "Write evaluation.k=[10]"),
    ("evaluation.k=[10,10]", "10 stands twice"),
    ("evaluation.primary=ndcg@7", "Add 7 to evaluation.k"),
    ("evaluation.primary=ndcg", "such as 'ndcg@10'"),
    ("evaluation.table=[recall@10] evaluation.metrics=[ndcg]", "Add recall to evaluation.metrics"),
    ("evaluation.depth=5", "depth must be at least the largest k, 20"),
    ("evaluation.num_paths=5", "num_paths must be at least the largest k, 20"),
    ("features.audio=none", "features/audio=OPTION"),
    ("features/audio=tabular", "Allowed here: librosa, auto, none"),
    ("retrieval.channels=[content] features=none", "Add gnn, bm25 or walk"),
    ("gnn=gat gnn.embedding_dim=9", "not divisible by gnn.layer.num_heads=2"),
    ("gnn=gat gnn.layer.num_heads=0", "gnn.layer.num_heads=0"),
    ("gnn.layer._target_=os.path", "os has no class 'path'"),
    ("data=tables", "Not set: data.dir"),
    ("data=tables data.dir=/nowhere", "The data folder /nowhere does not exist"),
    ("data=lastfm data.dir=/nowhere", "/nowhere"),
    ("data=lightgcn_lastfm data.dir=/nowhere", "/nowhere"),
    ("data=spotify_playlists data.dir=/nowhere", "/nowhere"),
    ("data.num_songs=5", "data=demo: num_songs=5 is out of range"),
    ("split.valid_ratio=0.6 split.test_ratio=0.5", "must be below 1"),
    ("trainer.precision=16-mixed", "precision 16-mixed needs a GPU"),
    ("experiment.name=a/b", "experiment.name"),
    ("gnn=graphsage,gat", "add -m"),
    ("seed=0,1", "add -m"),
    ("-m seed=0,0", "asks twice for the same run: musicrag, seed=0"),
    ("-m gnn.lr=0.1,0.10", "asks twice for the same run"),
    ("-m logger=csv,none", "come out as the same run"),
    ("-m gnn.lr=interval(0,1)", "Write the values out"),
    ("-m +experiment=ablation_audio,ablation_gnn", "one command for each"),
    ("+experiment=ablation_audio seed=1,1", "asks twice"),
    ("+experiment=ablation_audio features/audio=auto,librosa", "come out as the same run"),
]


def _refusal(line: str) -> str:
    words = line.split()
    with pytest.raises(InputError) as caught:
        plan([word for word in words if word != "-m"], CONF, "-m" in words)
    return str(caught.value)


@pytest.mark.parametrize(("line", "key", "near", "allowed"), MISSPELT, ids=[m[0] for m in MISSPELT])
def test_misspelt_word_is_named_with_its_neighbour(
    line: str, key: str, near: str, allowed: str
) -> None:
    message = _refusal(line)
    assert key in message
    assert near in message
    assert allowed in message


@pytest.mark.parametrize(("line", "advice"), IMPOSSIBLE, ids=[i[0] for i in IMPOSSIBLE])
def test_impossible_setting_is_refused_with_advice(line: str, advice: str) -> None:
    assert advice in _refusal(line)


def test_sound_encoder_is_refused_where_the_data_has_no_sound(lightgcn_folder: Path) -> None:
    line = f"data=lightgcn_lastfm data.dir={lightgcn_folder} features/audio=librosa"
    assert "features/audio=librosa needs table 'audio'" in _refusal(line)


def test_ablation_of_what_the_data_lacks_is_refused(lightgcn_folder: Path) -> None:
    line = f"+experiment=ablation_audio data=lightgcn_lastfm data.dir={lightgcn_folder}"
    message = _refusal(line)
    assert "nothing to compare" in message
    assert "audio none" in message


def test_gpu_trainer_is_refused_without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolving.torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(resolving.torch.backends.mps, "is_available", lambda: False)
    assert "needs 8 GPU(s) on this machine, which shows 1" in _refusal("trainer=dgx_a100")


def test_wandb_is_refused_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolving.importlib.util, "find_spec", lambda name: None)
    assert "pip install 'musicrag[tracking]'" in _refusal("logger=wandb features=none")


def test_every_wrong_key_is_listed_in_one_message() -> None:
    message = _refusal("seed=abc gnn.lr=fast +gnnn=1")
    assert all(key in message for key in ("seed:", "gnn.lr:", "gnnn:"))


def _plan(line: str) -> list[str]:
    words = line.split()
    found = plan([word for word in words if word != "-m"], CONF, "-m" in words)
    return [str(job) for job in found.jobs]


def test_plain_command_is_one_run() -> None:
    assert _plan("") == ["musicrag, seed=0"]


def test_experiment_sets_up_its_own_sweep() -> None:
    runs = _plan("+experiment=ablation_audio")
    assert len(runs) == 10
    assert runs[0] == "features/audio=auto, seed=0"
    assert runs[-1] == "features/audio=none, seed=4"


@pytest.mark.parametrize(
    ("words", "runs"),
    [
        ("seed=7", ["features/audio=auto, seed=7", "features/audio=none, seed=7"]),
        (
            "seed=0,1 features/audio=none,auto",
            [f"features/audio={a}, seed={s}" for a in ("none", "auto") for s in (0, 1)],
        ),
        ("seed=3 features/audio=none", ["features/audio=none, seed=3"]),
        (
            "seed=0 gnn=gat,gcn features/audio=auto",
            ["features/audio=auto, gnn=gat, seed=0", "features/audio=auto, gnn=gcn, seed=0"],
        ),
        ("hydra.mode=RUN", ["musicrag, seed=0"]),
    ],
)
def test_command_line_replaces_the_experiments_own_values(words: str, runs: list[str]) -> None:
    assert _plan(f"+experiment=ablation_audio {words}") == runs


def test_sweep_over_a_range_and_a_glob() -> None:
    assert len(_plan("-m seed=range(3) retrieval=glob(*)")) == 3 * len(
        list((CONF / "retrieval").glob("*.yaml"))
    )


def test_auto_is_replaced_by_what_the_data_can_feed(lightgcn_folder: Path) -> None:
    words = ["data=lightgcn_lastfm", f"data.dir={lightgcn_folder}"]
    features = plan(words, CONF, False).jobs[0].config.features
    assert (features.lyrics.target, features.audio.target) == (None, None)
    assert plan([], CONF, False).jobs[0].config.features.audio.name == "librosa"


def test_composition_check_passes_what_is_not_yet_complete() -> None:
    check_composition(["data=tables", "gnn=gat,gcn"], CONF)
    with pytest.raises(InputError, match="graphsage"):
        check_composition(["gnn=graphsag"], CONF)
