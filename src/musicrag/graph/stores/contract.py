"""What every graph database does for musicrag.

A store holds one graph. Rows go in and come out as :class:`~musicrag.graph.rows.GraphRows`, so the
same graph is the same rows, whichever store it went through.
"""

from __future__ import annotations

from typing import Protocol

from musicrag.graph.rows import GraphRows
from musicrag.types import Node


class GraphStore(Protocol):
    """A property graph in a database: label = node type, relationship type = relation.

    Nodes have the properties ``id`` (unique in its label) and ``name``; relationships ``weight``.
    """

    def load(self, rows: GraphRows) -> None:
        """Make the store hold exactly these rows: what is missing comes in, what is else goes.

        Idempotent: twice is once, and a load that was killed is completed by the next. Constraints
        and indexes come first, rows in batches, with a progress bar on a terminal.

        Raises:
            InputError: the database cannot be opened or refuses the password; says what to do.
        """
        ...

    def merge(self, rows: GraphRows) -> None:
        """Add nodes and edges, or give those that are there a new name and weight; all or nothing.

        An empty name leaves the old one. An edge may lie in either direction: there is one for a
        pair of nodes in a relation. Every end of an edge must be in ``rows`` or in the store. Where
        nothing was loaded yet, this is a load.

        Raises:
            InputError: an end is nowhere, the items differ, or a load was killed; nothing changed.
        """
        ...

    def read(self) -> GraphRows:
        """All rows, in canonical order.

        Raises:
            InputError: nothing was loaded yet, or a load was killed and not completed.
        """
        ...

    def counts(self) -> dict[str, int]:
        """Number of nodes of each type and of edges of each relation, those of 0 left out.

        Raises:
            InputError: as :meth:`read`.
        """
        ...

    def neighbourhood(self, node: Node, hops: int) -> frozenset[Node]:
        """Nodes within 1 to ``hops`` (at most 3) edges of any direction, without the node itself.

        Raises:
            InputError: the node is not in the store, or as :meth:`read`.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections; closing twice is allowed."""
        ...
