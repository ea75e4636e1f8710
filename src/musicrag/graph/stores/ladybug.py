"""The graph in LadybugDB: embedded, one file, no server.

The file is only ever read in place. What changes it is made in a draft beside it and replaces it in
one step, so that a kill leaves the old graph or the new one, and a reader is never disturbed.
Source: https://ladybugdb.com, the successor of Kùzu (Feng et al., CIDR 2023).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ladybug
import pandas as pd
from tqdm import tqdm

from musicrag.graph.rows import GraphRows
from musicrag.graph.schema import NODE_TYPES, RELATIONS
from musicrag.graph.stores import _ladybug_cypher as cypher
from musicrag.graph.stores._one_writer import one_writer, refuse_if_locked
from musicrag.graph.stores._parts import (
    TRIPLES,
    check_hops,
    check_same_items,
    check_storable,
    dangling,
    edge_parts,
    node_parts,
    put_together,
    quoted,
    schema_version,
    unknown_node,
)
from musicrag.types import InputError, Node

_DRAFT = "graph.lbug"


class LadybugStore:
    """A graph in one LadybugDB file.

    Any number of stores and processes may read; one at a time writes, the others wait for it. A
    store always shows the newest graph, whoever loaded it.

    Args:
        path: database file; its folder is made. Drafts lie beside it while a load runs.
        read_only: refuse to load or merge; the file must be there.
        lock_timeout_s: how long a load or merge waits for another writer, in seconds.

    Raises:
        InputError: the file is no graph of musicrag, or is not there though ``read_only``.
    """

    def __init__(self, path: str, read_only: bool = False, lock_timeout_s: float = 60.0) -> None:
        self._path = Path(path).expanduser().absolute()
        self._log = self._path.with_name(f"{self._path.name}.wal")
        self._read_only = read_only
        self._lock_timeout_s = lock_timeout_s
        self._open: _Opened | None = None
        if read_only and not self._path.exists():
            raise InputError(f"There is no graph at {self._path}. Load one, or correct the path.")
        self._refresh()

    def load(self, rows: GraphRows) -> None:
        """See :class:`~musicrag.graph.stores.contract.GraphStore`; a draft replaces the file."""
        wanted = _metadata(rows.item_type, rows.content_hash)
        if self._metadata() == wanted:
            return
        check_storable(rows)
        with self._writing("load") as draft:
            if self._metadata() == wanted:  # by whoever held the lock before
                return
            self._change(draft, lambda target: _build(target, rows))

    def merge(self, rows: GraphRows) -> None:
        """See :class:`~musicrag.graph.stores.contract.GraphStore`.

        One transaction on a copy, which then replaces the file. Where nothing was loaded yet, this
        is a load.
        """
        with self._writing("merge") as draft:
            if self._refresh() is None:
                check_storable(rows)
                self._change(draft, lambda target: _build(target, rows))
                return
            opened = self._loaded()
            check_same_items(opened.item_type, rows)
            for node_type, ids in check_storable(rows, open_ends=True).items():
                found = set(opened.run(cypher.which_ids(node_type), ids=ids)["id"])
                for lost in (node_id for node_id in ids if node_id not in found):
                    raise dangling(node_type, lost)
            for path in (self._path, self._log):
                if path.exists():
                    shutil.copyfile(path, draft / path.name.replace(self._path.name, _DRAFT))
            self._change(draft, lambda target: _merge_into(target, rows))

    def read(self) -> GraphRows:
        """See :class:`~musicrag.graph.stores.contract.GraphStore`."""
        opened = self._loaded()
        return put_together(
            opened.item_type,
            ((node_type, opened.run(cypher.all_nodes(node_type))) for node_type in NODE_TYPES),
            ((triple, opened.run(cypher.all_edges(triple))) for triple in TRIPLES),
        )

    def counts(self) -> dict[str, int]:
        """See :class:`~musicrag.graph.stores.contract.GraphStore`."""
        opened = self._loaded()
        queries = {name: f"MATCH (:{quoted(name)}) RETURN count(*) AS n" for name in NODE_TYPES} | {
            name: f"MATCH ()-[:{quoted(name)}]->() RETURN count(*) AS n" for name in RELATIONS
        }
        found = {name: int(opened.run(query)["n"].iloc[0]) for name, query in queries.items()}
        return {name: count for name, count in found.items() if count}

    def neighbourhood(self, node: Node, hops: int) -> frozenset[Node]:
        """See :class:`~musicrag.graph.stores.contract.GraphStore`."""
        check_hops(hops)
        opened = self._loaded()
        if (
            node.type not in NODE_TYPES
            or opened.run(cypher.which_ids(node.type), ids=[node.id]).empty
        ):
            raise unknown_node(node)
        found = opened.run(cypher.within(node.type, hops), id=node.id)
        return frozenset(map(Node, found["type"], found["id"])) - {node}

    def close(self) -> None:
        """See :class:`~musicrag.graph.stores.contract.GraphStore`."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _refresh(self) -> _Opened | None:
        """The file as it is now; opens it again if another process has replaced it."""
        try:
            inode = self._path.stat().st_ino
        except FileNotFoundError:
            self.close()
            return None
        if self._open is None or self._open.inode != inode:
            self.close()
            self._open = _Opened(self._path)
        return self._open

    def _metadata(self) -> dict[str, str]:
        opened = self._refresh()
        return opened.metadata if opened is not None else {}

    def _loaded(self) -> _Opened:
        opened = self._refresh()
        if opened is None:
            raise InputError(f"No graph was loaded into {self._path} yet. Load one first.")
        if opened.metadata.get("schema_version") != schema_version():
            raise InputError(
                f"{self._path} was written by another version of musicrag. Load the graph again."
            )
        return opened

    @contextmanager
    def _writing(self, what: str) -> Iterator[Path]:
        """Yield an empty folder for a draft, as the only writer."""
        if self._read_only:
            raise InputError(
                f"{self._path} was opened read-only, so it cannot {what}. Open it with "
                f"read_only=False."
            )
        draft = self._path.with_name(f".{self._path.name}.part")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with one_writer(self._path, self._lock_timeout_s):
            shutil.rmtree(draft, ignore_errors=True)  # what a killed writer left
            draft.mkdir()
            try:
                yield draft
            finally:
                shutil.rmtree(draft, ignore_errors=True)

    def _change(self, draft: Path, write: Callable[[Path], None]) -> None:
        """Write a draft and let it replace the file in one step."""
        refuse_if_locked(self._path)
        write(draft / _DRAFT)
        refuse_if_locked(self._path)
        self._log.unlink(missing_ok=True)  # of another program: it would not fit the new file
        os.replace(draft / _DRAFT, self._path)
        self._refresh()


class _Opened:
    """A database file, open to read, and what it says about itself."""

    def __init__(self, path: Path) -> None:
        self.inode = path.stat().st_ino
        self._database = _database(path, read_only=True)
        self._connection = ladybug.Connection(self._database)
        try:
            found = self.run(cypher.METADATA)
        except RuntimeError as error:
            self.close()
            raise InputError(
                f"{path} is a Ladybug database, but none that musicrag wrote. Give another path."
            ) from error
        self.metadata: dict[str, str] = dict(zip(found["key"], found["value"], strict=True))
        self.item_type = self.metadata["item_type"]

    def run(self, query: str, **parameters: object) -> pd.DataFrame:
        result = _run(self._connection, query, **parameters)
        found: pd.DataFrame = result.get_as_arrow().to_pandas()
        return found

    def close(self) -> None:
        self._connection.close()
        self._database.close()


def _database(path: Path, read_only: bool) -> Any:
    try:
        return ladybug.Database(str(path), read_only=read_only)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{path} cannot be opened as a Ladybug database ({reason}). Give another path, or "
            f"remove what is there and load again."
        ) from error


def _run(connection: Any, query: str, **parameters: object) -> Any:
    return connection.execute(query, parameters)


def _metadata(item_type: str, content_hash: str) -> dict[str, str]:
    return {
        "item_type": item_type,
        "content_hash": content_hash,
        "schema_version": schema_version(),
    }


@contextmanager
def _writer(target: Path) -> Iterator[Any]:
    database = _database(target, read_only=False)
    connection = ladybug.Connection(database)
    try:
        yield connection
    finally:
        connection.close()
        database.close()  # writes the log into the file


def _build(target: Path, rows: GraphRows) -> None:
    """Write a whole graph into a new file."""
    total = len(rows.nodes) + len(rows.edges)
    with _writer(target) as connection, tqdm(total=total, desc="load graph", disable=None) as bar:
        for statement in cypher.schema():
            _run(connection, statement)
        for node_type, part in node_parts(rows.nodes):
            _copy(connection, target, cypher.copy_nodes(node_type), part)
            bar.update(len(part))
        for triple, part in edge_parts(rows.edges):
            _copy(connection, target, cypher.copy_edges(triple), part)
            bar.update(len(part))
        for key, value in _metadata(rows.item_type, rows.content_hash).items():
            _run(connection, cypher.SET_METADATA, key=key, value=value)


def _merge_into(target: Path, rows: GraphRows) -> None:
    """Add rows to a copy of the file, in one transaction."""
    with _writer(target) as connection:
        _run(connection, "BEGIN TRANSACTION")
        for node_type, part in node_parts(rows.nodes):
            _copy(connection, target, cypher.merge_nodes(node_type), part)
        for triple, part in edge_parts(rows.edges):
            for statement in cypher.remove_edges(triple):
                _copy(connection, target, statement, part)
            _copy(connection, target, cypher.copy_edges(triple), part)
        # The hash of the union is not known without reading it all; "" is the hash of nothing.
        _run(connection, cypher.SET_METADATA, key="content_hash", value="")
        _run(connection, "COMMIT")


def _copy(connection: Any, target: Path, statement: str, part: pd.DataFrame) -> None:
    """Run a statement that reads rows from a Parquet file, which takes the place of ``{}``."""
    rows = target.with_name("rows.parquet")
    part.to_parquet(rows, index=False)
    _run(connection, statement.replace(cypher.ROWS, cypher.file_literal(rows)))
    rows.unlink()
