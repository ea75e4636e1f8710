"""What ``auto`` stands for, and that names, classes and yaml files agree."""

from __future__ import annotations

import importlib.util
import inspect
import logging
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from musicrag.features import choose as choose_module
from musicrag.features.choose import (
    ENCODERS,
    candidates,
    choose,
    encoder_class,
    required_table,
)
from musicrag.types import MODALITIES, InputError, Modality

CONF = Path(__file__).parents[2] / "conf" / "features"
ALL = [(modality, name) for modality, known in ENCODERS.items() for name in known]


@pytest.mark.parametrize(
    ("modality", "tables", "name"),
    [
        ("lyrics", {"items", "lyrics"}, "sbert"),
        ("lyrics", {"items"}, None),
        ("audio", {"audio", "audio_features"}, "librosa"),
        ("audio", {"audio_features"}, "tabular"),
        ("audio", {"lyrics"}, None),
        ("emotion", {"emotion_features", "lyrics"}, "tabular"),
        ("emotion", {"lyrics"}, "lexicons"),
        ("emotion", set(), None),
    ],
)
def test_auto_takes_what_the_data_has(
    modality: Modality, tables: set[str], name: str | None
) -> None:
    choice = choose(modality, frozenset(tables))
    assert choice.name == name
    assert choice.note.startswith(f"{modality}: ")


def test_auto_without_the_extra_falls_back_and_warns(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        choose_module.importlib.util,
        "find_spec",
        lambda name: None if name == "sentence_transformers" else real(name),
    )
    with caplog.at_level(logging.WARNING):
        choice = choose("lyrics", frozenset({"lyrics"}))
    assert choice.name == "tfidf"
    assert "pip install 'musicrag[models]'" in choice.note
    assert choice.note in caplog.text


def test_auto_with_every_extra_does_not_warn(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for modality in MODALITIES:
            choose(modality, frozenset({"lyrics", "audio"}))
    assert not caplog.records


@pytest.mark.parametrize("modality", MODALITIES)
def test_candidates_are_registered(modality: Modality) -> None:
    assert set(candidates(modality)) <= set(ENCODERS[modality])


@pytest.mark.parametrize(("modality", "name"), ALL)
def test_registered_class_has_the_modality_it_is_registered_for(
    modality: Modality, name: str
) -> None:
    assert encoder_class(modality, name).modality == modality
    assert required_table(modality, name) == encoder_class(modality, name).requires


@pytest.mark.parametrize(("modality", "name"), ALL)
def test_yaml_names_the_registered_class_and_its_defaults(modality: Modality, name: str) -> None:
    values = yaml.safe_load((CONF / modality / f"{name}.yaml").read_text("utf-8"))
    assert values.pop("name") == name
    assert values.pop("_target_") == ENCODERS[modality][name]
    parameters = inspect.signature(encoder_class(modality, name)).parameters
    assert values == {key: parameter.default for key, parameter in parameters.items()}


@pytest.mark.parametrize("modality", MODALITIES)
def test_yaml_files_are_the_registered_names_auto_and_none(modality: Modality) -> None:
    files = {path.stem: path for path in (CONF / modality).glob("*.yaml")}
    assert set(files) == {*ENCODERS[modality], "auto", "none"}
    for name in ("auto", "none"):
        values = yaml.safe_load(files[name].read_text("utf-8"))
        assert values == {"name": name, "_target_": None}


def test_unknown_name_is_an_input_error_with_the_nearest() -> None:
    with pytest.raises(InputError, match="Did you mean 'librosa'"):
        encoder_class("audio", "libros")


def test_importing_every_encoder_loads_no_heavy_library() -> None:
    code = (
        "import sys\n"
        "from musicrag.features.choose import ENCODERS, encoder_class\n"
        "for modality, known in ENCODERS.items():\n"
        "    for name in known: encoder_class(modality, name)()\n"
        "heavy = {'torch', 'librosa', 'sklearn', 'sentence_transformers', 'numba', 'nrclex',\n"
        "         'vaderSentiment', 'transformers', 'soundfile'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
