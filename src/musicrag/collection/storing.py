"""Contents become one version folder and back, unchanged.

    <version>/tables/           Parquet, one file for each table
    <version>/graph.lbug        the graph database, read-only from here on
    <version>/features.npz      raw rows, scales and taste spaces
    <version>/network/          weights and settings, without pickle; absent without a network
    <version>/vectors.npy       one row for each node; absent without a network
    <version>/manifest.json     names, settings, fusion weights, counts, hash of the graph

Knows nothing of which version is the current one.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from musicrag import artifacts
from musicrag.collection.contents import Contents, EncoderSpec, GraphSettings, RetrievalSettings
from musicrag.collection.delta import Delta, apply_delta
from musicrag.features.saved import load_features, save_features
from musicrag.gnn.saved import load_network, save_network
from musicrag.graph.rows import GraphRows
from musicrag.graph.stores.ladybug import LadybugStore
from musicrag.tables import storage
from musicrag.types import FloatArray, InputError

FORMAT = 1
MANIFEST, GRAPH = "manifest.json", "graph.lbug"
_TABLES, _NETWORK, _VECTORS = "tables", "network", "vectors.npy"
_MAX_JOURNALS = 50  # names of syncs that a version remembers, so that none is applied twice


@dataclass(frozen=True)
class Manifest:
    """What a version says of itself; see :class:`Contents` for most of it.

    Attributes:
        counts: rows of each table, nodes, edges.
        graph_hash: content hash of the graph.
        journals: ids of the last syncs that went into this version or an earlier one.
    """

    format: int
    name: str
    item_type: str
    encoders: dict[str, EncoderSpec]
    graph: GraphSettings
    retrieval: RetrievalSettings
    fusion_weights: dict[str, dict[str, float]]
    has_network: bool
    counts: dict[str, int]
    graph_hash: str
    journals: tuple[str, ...]


def write(
    contents: Contents,
    folder: Path,
    journals: Sequence[str] = (),
    base: Path | None = None,
    delta: Delta | None = None,
) -> None:
    """Write one version into an existing, empty folder.

    Args:
        journals: ids of syncs that are in it.
        base: folder of the version that it grew from, if there is one.
        delta: the way from the graph of ``base`` to this one; its store is copied and merged.
    """
    storage.write(contents.dataset, folder / _TABLES)
    _write_graph(contents.rows, folder / GRAPH, base, delta)
    save_features(folder, contents.features)
    if contents.network is not None and contents.vectors is not None:
        save_network(folder / _NETWORK, contents.network)
        with artifacts.atomic_file(folder / _VECTORS) as path, path.open("wb") as handle:
            np.save(handle, contents.vectors, allow_pickle=False)
    artifacts.write_json(folder / MANIFEST, asdict(_manifest(contents, journals)))


def read(folder: Path) -> Contents:
    """Inverse of :func:`write`.

    Raises:
        InputError: a file is missing, damaged, or of another version of musicrag.
    """
    manifest = read_manifest(folder)
    has_network = manifest.has_network
    return Contents(
        manifest.name,
        manifest.item_type,
        storage.read(folder / _TABLES).tables,
        read_rows(folder),
        manifest.encoders,
        load_features(folder),
        load_network(folder / _NETWORK) if has_network else None,
        _read_vectors(folder / _VECTORS) if has_network else None,
        manifest.graph,
        manifest.retrieval,
        manifest.fusion_weights,
    )


def read_manifest(folder: Path) -> Manifest:
    """What a version says of itself.

    Raises:
        InputError: there is none, or it is damaged or of another version of musicrag.
    """
    source = folder / MANIFEST
    if not source.is_file():
        raise InputError(f"{folder} is no version of a collection: {MANIFEST} is missing.")
    value = artifacts.read_json(source)
    if value.get("format") != FORMAT:
        raise InputError(
            f"{source} has format {value.get('format')!r}, this version of musicrag reads "
            f"{FORMAT}. Publish the collection again."
        )
    try:
        manifest: Manifest = TypeAdapter(Manifest).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            f"{source} is damaged at {'.'.join(map(str, first['loc']))}: {first['msg']}. Publish "
            "the collection again."
        ) from error
    return manifest


def read_rows(folder: Path) -> GraphRows:
    """The graph of a version.

    Raises:
        InputError: it is missing, damaged, or was changed since.
    """
    source = folder / GRAPH
    if not source.exists():
        raise InputError(f"{source} is missing. Publish the collection again.")
    store = LadybugStore(str(source), read_only=True)
    try:
        rows = store.read()
    finally:
        store.close()
    if rows.content_hash != read_manifest(folder).graph_hash:
        raise InputError(
            f"{source} holds another graph than its version was published with. Do not write to "
            "it; publish the collection again."
        )
    return rows


def _manifest(contents: Contents, journals: Sequence[str]) -> Manifest:
    counts = {f"table {name}": len(frame) for name, frame in contents.tables.items()}
    counts |= {"nodes": len(contents.rows.nodes), "edges": len(contents.rows.edges)}
    return Manifest(
        FORMAT,
        contents.name,
        contents.item_type,
        dict(contents.encoders),
        contents.graph,
        contents.retrieval,
        {query_type: dict(of_type) for query_type, of_type in contents.fusion_weights.items()},
        contents.network is not None,
        counts,
        contents.rows.content_hash,
        tuple(journals[-_MAX_JOURNALS:]),
    )


def _write_graph(rows: GraphRows, target: Path, base: Path | None, delta: Delta | None) -> None:
    """Copy the store of the version before and merge what is new; else load all rows."""
    is_grown = base is not None and delta is not None and (base / GRAPH).exists()
    if is_grown and base is not None:
        shutil.copyfile(base / GRAPH, target)
    store = LadybugStore(str(target))
    try:
        if is_grown and delta is not None:
            apply_delta(store, delta, rows)
        else:
            store.load(rows)
        found, wanted = store.counts(), _counts(rows)
        if found != wanted:  # a fault of the code: never publish it
            raise RuntimeError(f"The graph store holds {found}, but the graph has {wanted}.")
    finally:
        store.close()


def _counts(rows: GraphRows) -> dict[str, int]:
    counted = [*rows.nodes.groupby("node_type").size().items()]
    counted += [*rows.edges.groupby("relation").size().items()]
    return {str(name): int(count) for name, count in counted}


def _read_vectors(source: Path) -> FloatArray:
    try:
        vectors: Any = np.load(source, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{source} cannot be read ({error}). Publish the collection again."
        ) from error
    return np.asarray(vectors, dtype=np.float32)
