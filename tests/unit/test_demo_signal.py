"""What the demo world's observations tell of its truth: much at dial 1, nothing at dial 0."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import soundfile
from nrclex import NRCLex
from scipy import signal
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from musicrag.sources.demo.audio import write_audio
from musicrag.sources.demo.listening import listen
from musicrag.sources.demo.lyrics import write_lyrics
from musicrag.sources.demo.walks import SongGraph
from musicrag.sources.demo.words import EMOTION_WORDS, GENRES, LINES, THEMES
from musicrag.sources.demo.world import (
    AROUSAL,
    BRIGHTNESS,
    VALENCE,
    World,
    build_world,
    user_tastes,
)

Float = npt.NDArray[np.float64]
RATE_HZ = 16_000
NUM_SONGS, NUM_USERS = 300, 150
USERS = range(NUM_USERS)
SENTIMENT = SentimentIntensityAnalyzer()


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(NUM_SONGS, 60, 0.4, seed=0)


def spectral_features(path: str) -> list[float]:
    """Loudness, onset rate and log band energies, as a plain listener would measure them."""
    sound, _ = soundfile.read(path)
    _, _, spectrum = signal.stft(sound, RATE_HZ, nperseg=512, noverlap=256)
    power = np.abs(spectrum) ** 2 + 1e-12
    edges = np.unique(np.geomspace(2, len(power), 17).astype(int))
    bands = np.log([power[a:b].mean(axis=0) for a, b in pairwise(edges)])
    flux = np.maximum(np.diff(bands.mean(axis=0)), 0)
    loudness = 20 * np.log10(np.sqrt(np.mean(sound**2)) + 1e-9)
    relative = bands.mean(axis=1) - bands.mean()
    return [loudness, flux.mean(), flux.std(), *relative, *bands.std(axis=1)]


def held_out_predictions(features: Float, targets: Float) -> tuple[Float, Float]:
    """Ridge regression fitted on even rows; predictions and truth of odd rows."""
    features = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-9)
    features = np.hstack([features, np.ones((len(features), 1))])
    train, truth = features[::2], targets[::2]
    gram = train.T @ train + 10.0 * np.eye(train.shape[1])
    return features[1::2] @ np.linalg.solve(gram, train.T @ truth), targets[1::2]


def r_squared(features: Float, targets: Float) -> Float:
    predicted, truth = held_out_predictions(features, targets)
    residual = np.square(truth - predicted).sum(axis=0)
    return 1 - residual / np.square(truth - truth.mean(axis=0)).sum(axis=0)


def genre_accuracy(features: Float, genre: npt.NDArray[np.int64]) -> float:
    predicted, truth = held_out_predictions(features, np.eye(len(GENRES))[genre])
    return float((predicted.argmax(axis=1) == truth.argmax(axis=1)).mean())


def heard(world: World, dial: float, folder: Path) -> Float:
    paths = write_audio(world, dial, 2.0, RATE_HZ, folder)["path"]
    return np.array([spectral_features(path) for path in paths])


def test_clear_audio_tells_latents_and_genre(world: World, tmp_path: Path) -> None:
    features = heard(world, 1.0, tmp_path)
    score = r_squared(features, world.latents)
    assert score[AROUSAL] > 0.8
    assert score[VALENCE] > 0.5
    assert score[BRIGHTNESS] > 0.7
    assert genre_accuracy(features, world.song_genre) > 0.6


def test_audio_at_dial_zero_tells_nothing(world: World, tmp_path: Path) -> None:
    features = heard(world, 0.0, tmp_path)
    assert (r_squared(features, world.latents) < 0.05).all()
    chance = np.bincount(world.song_genre).max() / NUM_SONGS
    assert genre_accuracy(features, world.song_genre) < chance + 0.08


def test_audio_dial_keeps_the_marginal_distribution(world: World, tmp_path: Path) -> None:
    clear, noise = heard(world, 1.0, tmp_path), heard(world, 0.0, tmp_path)
    shift = np.abs(clear.mean(axis=0) - noise.mean(axis=0)) / clear.std(axis=0)
    assert shift.max() < 0.25
    assert np.allclose(clear.std(axis=0), noise.std(axis=0), rtol=0.25)


def test_sound_has_the_asked_format_and_length(tmp_path: Path) -> None:
    table = write_audio(build_world(5, 2, 0.4, seed=0), 1.0, 1.5, RATE_HZ, tmp_path)
    for path in table["path"]:
        info = soundfile.info(path)
        assert (info.channels, info.subtype, info.samplerate) == (1, "PCM_16", RATE_HZ)
        assert info.frames == 24_000
        assert Path(path).is_absolute()


def nrc_counts(text: str) -> list[int]:
    lexicon = NRCLex()
    lexicon.load_token_list(text.split())
    names = ("joy", "anticipation", "trust", "anger", "fear", "sadness", "positive", "negative")
    return [lexicon.raw_emotion_scores.get(name, 0) for name in names]


def compounds(lyrics: pd.DataFrame) -> Float:
    return np.array([SENTIMENT.polarity_scores(text)["compound"] for text in lyrics["text"]])


@pytest.mark.parametrize(("dial", "low", "high"), [(1.0, 0.75, 1.0), (0.0, -0.15, 0.15)])
def test_vader_follows_valence_as_far_as_the_dial_says(
    world: World, dial: float, low: float, high: float
) -> None:
    lyrics = write_lyrics(world, 0.5, dial)
    correlation = np.corrcoef(compounds(lyrics), world.latents[:, VALENCE])[0, 1]
    assert low < correlation < high


@pytest.mark.parametrize(("dial", "low", "high"), [(1.0, 0.3, 1.0), (0.0, -1.0, 0.05)])
def test_emotion_words_tell_arousal_as_far_as_the_dial_says(
    world: World, dial: float, low: float, high: float
) -> None:
    counts = np.array([nrc_counts(text) for text in write_lyrics(world, 0.5, dial)["text"]])
    assert low < r_squared(counts.astype(float), world.latents[:, [AROUSAL]])[0] < high


def theme_of(text: str) -> int:
    words = set(text.split())
    return int(np.argmax([len(words & set(theme.nouns)) for theme in THEMES]))


@pytest.mark.parametrize(("dial", "low", "high"), [(1.0, 0.999, 1.001), (0.0, 0.0, 0.22)])
def test_theme_nouns_tell_the_theme_as_far_as_the_dial_says(
    world: World, dial: float, low: float, high: float
) -> None:
    themes = np.array([theme_of(text) for text in write_lyrics(world, dial, 0.5)["text"]])
    assert low < (themes == world.song_theme).mean() < high


def test_the_two_dials_of_the_lyrics_do_not_touch_each_other(world: World) -> None:
    feelings = {word for bank in EMOTION_WORDS.values() for word in bank}
    topics = {word for theme in THEMES for word in theme.nouns}

    def words(lyrics: pd.DataFrame, kept: set[str]) -> list[list[str]]:
        return [[word for word in text.split() if word in kept] for text in lyrics["text"]]

    base = write_lyrics(world, 0.6, 0.6)
    other_theme, other_feeling = write_lyrics(world, 0.1, 0.6), write_lyrics(world, 0.6, 0.1)
    assert words(base, feelings) == words(other_theme, feelings)
    assert words(base, topics) != words(other_theme, topics)
    assert words(base, topics) == words(other_feeling, topics)
    assert words(base, feelings) != words(other_feeling, feelings)


def test_only_emotion_nouns_carry_emotion() -> None:
    frame = " ".join(line.format(theme="", emotion="") for line in LINES).lower().split()
    topics = [word for theme in THEMES for word in theme.nouns]
    assert not set(topics + frame) & set(SENTIMENT.lexicon)
    assert sum(nrc_counts(" ".join(topics + frame))) == 0
    for (is_pleasant, _), bank in EMOTION_WORDS.items():
        for word in bank:
            assert (SENTIMENT.lexicon[word] > 0) == is_pleasant
            assert sum(nrc_counts(word)) > 0


def test_word_banks_are_of_one_length_and_disjoint() -> None:
    assert {len(bank) for bank in EMOTION_WORDS.values()} == {10}
    assert {len(theme.nouns) for theme in THEMES} == {10}
    nouns = [word for theme in THEMES for word in theme.nouns]
    assert len(nouns) == len(set(nouns))


def recall_of_later_songs(scores: Float, plays: pd.DataFrame) -> float:
    """Mean recall@20 of the last fifth of each history, earlier songs masked."""
    recalls = []
    for user, songs in plays.groupby("user")["song"]:
        cut = int(0.8 * len(songs))
        ranked = scores[int(str(user))].copy()
        ranked[songs.to_numpy()[:cut]] = -np.inf
        top = set(np.argsort(-ranked)[:20].tolist())
        recalls.append(len(top & set(songs.tolist()[cut:])) / (len(songs) - cut))
    return float(np.mean(recalls))


def test_true_latents_predict_the_next_songs_better_than_popularity_and_genre(
    world: World,
) -> None:
    table = listen(world, SongGraph(world), NUM_USERS, 10.0)["interactions"]
    plays = pd.DataFrame(
        {"user": table["user_id"].str[1:].astype(int), "song": table["item_id"].str[1:].astype(int)}
    )
    taste = user_tastes(NUM_USERS, world.seed)
    dark = world.latents * (np.arange(3) != BRIGHTNESS)
    views = {
        "all": (world, taste),
        "no sound": (replace(world, latents=np.zeros_like(world.latents)), taste),
        "no theme": (world, replace(taste, theme=np.zeros_like(taste.theme))),
        "no brightness": (replace(world, latents=dark), taste),
    }
    recall = {
        name: recall_of_later_songs(np.array([w.preference(t, row) for row in USERS]), plays)
        for name, (w, t) in views.items()
    }
    popularity = np.tile(np.bincount(plays["song"], minlength=NUM_SONGS), (NUM_USERS, 1))
    assert recall["all"] > 1.5 * recall_of_later_songs(popularity.astype(float), plays)
    assert recall["all"] > recall["no sound"] + 0.1
    assert recall["all"] > recall["no theme"] + 0.02
    assert recall["all"] > recall["no brightness"] + 0.04
