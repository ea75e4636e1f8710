# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
# ---
# %% [markdown]
# # A first look at the demo world, without Hydra
# %%
import numpy as np

from musicrag.sources.demo.source import DemoSource
from musicrag.tables.clean import clean
from musicrag.tables.leaks import training_tables
from musicrag.tables.splits import split

source = DemoSource(
    num_songs=60,
    num_artists=12,
    num_users=24,
    num_playlists=8,
    num_text_queries=6,
    interactions_per_song=6.0,
    audio_signal=1.0,
    lyrics_signal=1.0,
    emotion_signal=1.0,
    seed=0,
    audio_duration_s=0.5,
    sample_rate_hz=22050,
    cache_dir="outputs/cache",
)
dataset = clean(source.name, source.item_type, source.load())
dataset.tables["items"].head()
# %% [markdown]
# The split comes before anything is derived.
# %%
parts = split(dataset, np.random.default_rng(0))
tables = training_tables(dataset, parts)
parts.report
# %%
from musicrag.graph.build import build_graph
from musicrag.graph.paths import PathFinder
from musicrag.types import Node

graph = build_graph(tables, dataset.item_type, parts.profiles)
user, song = graph.index(Node("User", "u000")), graph.index(Node("Song", "s0007"))
for path in PathFinder(graph, np.array([user])).shortest(song, limit=3):
    print(path.to_json())
