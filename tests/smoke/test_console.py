"""The ``musicrag`` command from data to a collection that grows, against real local servers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from api_answers import KEYS, World
from api_stub import ApiStub, failing
from bolt import PASSWORD_ENV, USER, Bolt, bolt_server
from commands import CONF, TINY

from musicrag import console
from musicrag.collection.folder import Collection
from musicrag.graph.stores.neo4j import Neo4jStore

SMALL = [*TINY, "data.num_artists=4", "features/lyrics=none", "features/audio=none"]
Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Say:
    """``say(word, …)``: what ``musicrag word …`` returned and printed."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> tuple[int, str, str]:
        code = console.main([str(word) for word in words])
        return code, *capfd.readouterr()

    return run


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("console")
    words = ["publish", str(folder / "music"), *SMALL, "features/emotion=auto", f"--conf={CONF}"]
    assert console.main([*words, f"paths.output_dir={folder / 'out'}"]) == 0
    return folder / "music"


@pytest.fixture
def bolt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bolt]:
    pytest.importorskip("arcadedb_embedded", reason="arcadedb-embedded is there on Linux only")
    with bolt_server(tmp_path_factory.mktemp("bolt"), ("music",)) as server:
        yield server


def test_graph_writes_its_report_and_loads_the_store(say: Say, tmp_path: Path) -> None:
    words = [*SMALL, f"paths.output_dir={tmp_path}", "graph.store.path=music.lbug"]
    code, out, _ = say("graph", *words, "--conf", CONF)
    report = Path(out.strip().rpartition(" ")[2])
    assert code == 0
    assert report.read_text().splitlines()[2] == "**Valid**: all 13 rules hold."
    assert report.with_suffix(".png").stat().st_size > 10_000
    assert (tmp_path / "music.lbug").is_file()


def test_recommend_answers_with_paths_that_the_graph_holds(published: Path, say: Say) -> None:
    user = Collection(published).read().tables["users"]["user_id"].iloc[0]
    code, out, _ = say("recommend", published, "--user", user, "-k", 5, "--json")
    found = [json.loads(line) for line in out.splitlines()]
    assert (code, len(found)) == (0, 5)
    assert all(item["path"][0] == f"User:{user}" for item in found if item["path"])
    assert any(item["path"] for item in found)


def test_added_songs_are_recommended_and_adding_them_twice_changes_nothing(
    published: Path, say: Say, tmp_path: Path
) -> None:
    tables = Collection(published).read().tables
    artist = tables["items"]["artist_id"].iloc[0]
    song = {"item_id": ["new1"], "title": ["Glass Harbour"], "artist_id": [artist]}
    pd.DataFrame(song).to_csv(tmp_path / "items.csv", index=False)
    before = Collection(published).version
    assert say("add", published, tmp_path)[0] == 0
    assert Collection(published).version == before + 1
    code, out, _ = say("add", published, tmp_path)
    assert (code, Collection(published).version) == (0, before + 1)
    assert "nothing new" in out
    code, out, _ = say("recommend", published, "--text", "glass harbour", "-k", 1)
    assert "Glass Harbour" in out


def test_sync_takes_in_songs_and_the_graph_server_follows(
    published: Path, say: Say, bolt: Bolt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(*KEYS["lastfm"])
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv(PASSWORD_ENV, bolt.password)
    words = ["graph=neo4j", f"graph.store.uri={bolt.uri}", f"graph.store.user={USER}"]
    words += [f"graph.store.password_env={PASSWORD_ENV}", "graph.store.database=music"]
    assert say("mirror", published, *words, "--conf", CONF)[0] == 0
    num_items = len(Collection(published).read().tables["items"])
    with ApiStub(World()) as stub:
        code, _, _ = say("sync", published, "--source=lastfm", f"--url={stub.url}lastfm")
    assert code == 0
    contents = Collection(published).read()
    assert len(contents.tables["items"]) == num_items + 4 * 3  # three tracks of each artist
    assert say("mirror", published, *words, "--conf", CONF)[0] == 0
    store = Neo4jStore(bolt.uri, USER, PASSWORD_ENV, "music")
    assert store.read().content_hash == contents.rows.content_hash
    store.close()


def test_a_service_that_stays_away_is_no_bad_input(
    published: Path, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(*KEYS["lastfm"])
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    version = Collection(published).version
    with ApiStub(World()) as stub:
        stub.script([], then=failing(503, Retry_After="9999"))
        url = f"--url={stub.url}lastfm"
        code, _, err = say("sync", published, "--source=lastfm", "--restart", url)
    assert (code, Collection(published).version) == (75, version)
    assert "run" in err.lower()
    assert KEYS["lastfm"][1] not in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["recommend", "nowhere", "--user=u1"], "nowhere holds no collection"),
        (["add", "nowhere", "."], "holds no table"),
        (["sync", "nowhere", "--source=genius"], "nowhere holds no collection"),
        (["graph", "grph=neo4j", f"--conf={CONF}"], "Did you mean 'graph'"),
        (["graph", "--conf=nowhere"], "holds no config.yaml"),
        (["mirror", "nowhere", "graph=interactions", f"--conf={CONF}"], "nowhere holds no"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(
    words: list[str], message: str, say: Say, tmp_path: Path
) -> None:
    code, out, err = say(*words)
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith("error: ")
    assert message in err
    assert list(tmp_path.iterdir()) == []
