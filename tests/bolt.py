"""A real Bolt server on the loopback address: ArcadeDB, which brings its own Java, in a process.

python tests/bolt.py FOLDER PORT DATABASE…     # password: environment variable BOLT_PASSWORD
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import neo4j

USER = "root"
PASSWORD_ENV = "BOLT_PASSWORD"
_START_S = 60.0
_PLUGIN = "Bolt:com.arcadedb.bolt.BoltProtocolPlugin"


@dataclass(frozen=True)
class Bolt:
    """Where the server listens, and the password of its only user."""

    port: int
    password: str

    @property
    def uri(self) -> str:
        return f"bolt://127.0.0.1:{self.port}"

    def query(self, database: str, text: str, **parameters: object) -> list[dict[str, object]]:
        """Ask the server, past the store that is under test."""
        auth = (USER, self.password)
        with (
            neo4j.GraphDatabase.driver(self.uri, auth=auth) as driver,
            driver.session(database=database) as session,
        ):
            return session.run(text, parameters).data()

    def wipe(self, database: str) -> None:
        self.query(database, "MATCH (n) DETACH DELETE n")


@contextmanager
def bolt_server(folder: Path, databases: tuple[str, ...]) -> Iterator[Bolt]:
    """Start a server with these empty databases, and stop it afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        server = Bolt(free.getsockname()[1], secrets.token_hex(12))
    here = str(Path(__file__).resolve())
    words = [sys.executable, here, str(folder), str(server.port), *databases]
    log = folder / "server.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            words,
            cwd=folder,  # it writes a log folder where it stands
            env={**os.environ, PASSWORD_ENV: server.password},
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + _START_S
        while not (folder / "ready").exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"ArcadeDB did not start:\n{log.read_text('utf-8')}")
            time.sleep(0.05)
        yield server
    finally:
        process.kill()  # its data go with the test's folder
        process.wait()


def main() -> None:
    import arcadedb_embedded as arcadedb

    folder, port, *databases = sys.argv[1:]
    server = arcadedb.ArcadeDBServer(
        root_path=folder,
        root_password=os.environ[PASSWORD_ENV],
        config={"host": "127.0.0.1", "http_port": 0, "server_plugins": _PLUGIN, "bolt_port": port},
        jvm_kwargs={"heap_size": "2g"},
    )
    server.start()
    for name in databases:
        server.create_database(name)
    (Path(folder) / "ready").touch()
    sys.stdin.read()  # until whoever started us is gone


if __name__ == "__main__":
    main()
