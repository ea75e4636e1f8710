"""Keys come from the environment or .env, and are blanked wherever something is written."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from musicrag.sources.web.credentials import Secrets, guard_logs, read_key
from musicrag.types import InputError

VARIABLE = "LASTFM_API_KEY"


def test_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text(f"{VARIABLE}=from-file\n", "utf-8")
    monkeypatch.delenv(VARIABLE, raising=False)
    assert read_key(VARIABLE, "x", tmp_path) == "from-file"
    monkeypatch.setenv(VARIABLE, " from-environment ")
    assert read_key(VARIABLE, "x", tmp_path) == "from-environment"


def test_working_folder_is_the_default_and_the_environment_is_not_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(f'{VARIABLE}="quoted"\n', "utf-8")
    assert read_key(VARIABLE, "x") == "quoted"
    assert VARIABLE not in os.environ


@pytest.mark.parametrize("value", [None, "", "   "])
def test_missing_key_names_variable_and_where_to_get_one(
    value: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(InputError, match=f"{VARIABLE} is not set. Get one at https://last.fm"):
        read_key(VARIABLE, "https://last.fm", tmp_path)


def test_key_with_strange_characters_is_refused_without_showing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "abc\ndef")
    with pytest.raises(InputError, match=VARIABLE) as caught:
        read_key(VARIABLE, "x", tmp_path)
    assert "abc" not in str(caught.value)


def test_scrubbing_blanks_the_key_as_it_is_and_as_in_a_url() -> None:
    secrets = Secrets(["a/b c"])
    assert secrets.scrub("1 a/b c 2 a/b%20c 3 a%2Fb+c") == (
        "1 [key removed] 2 [key removed] 3 [key removed]"
    )
    assert "a/b" not in repr(secrets)


def test_no_key_scrubs_nothing() -> None:
    assert Secrets([""]).scrub("text") == "text"


def test_excerpt_is_scrubbed_before_it_is_cut() -> None:
    key = "0123456789"
    excerpt = Secrets([key]).excerpt("x" * 155 + key + " more")
    assert "01234" not in excerpt
    assert len(excerpt) == 160


def test_excerpt_is_one_line() -> None:
    assert Secrets().excerpt(" a\n\n b\t") == "a b"


def test_log_records_and_their_tracebacks_are_scrubbed(caplog: pytest.LogCaptureFixture) -> None:
    for key in ("other", "s3cret", "third"):  # one filter for each service
        guard_logs(Secrets([key]))
    log = logging.getLogger("pylast")
    log.warning("asked with %s and %s", "s3cret", {"key": "s3cret"})
    try:
        raise RuntimeError("s3cret in an error")
    except RuntimeError:
        log.exception("failed")
    assert "s3cret" not in caplog.text
    assert "asked with [key removed] and {'key': '[key removed]'}" in caplog.text
    assert "RuntimeError: [key removed] in an error" in caplog.text


def test_guarding_twice_adds_one_filter() -> None:
    guard_logs(Secrets(["once"]))
    before = len(logging.getLogger("pylast").filters)
    guard_logs(Secrets(["once"]))
    assert len(logging.getLogger("pylast").filters) == before
