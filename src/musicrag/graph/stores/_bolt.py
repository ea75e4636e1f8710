"""A connection to a server that speaks Bolt, and errors that say what to do.

Every read and write is a managed transaction: the official driver repeats it after a lost
connection or a change of leader. The password is read here and kept by the driver alone.
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from musicrag.types import InputError

if TYPE_CHECKING:
    import neo4j

_SCHEMES = ("bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc")
_FETCH_SIZE = 10_000  # rows a message
_MAX_TRIES, _PAUSE_S = 5, 0.1

Result = TypeVar("Result")


class BoltServer:
    """One database of a server or cluster.

    Args:
        uri, user, password_env, database: as of :class:`~musicrag.graph.stores.neo4j.Neo4jStore`.

    Raises:
        InputError: the variable is not set, the server cannot be reached or refuses the password.
    """

    def __init__(self, uri: str, user: str, password_env: str, database: str | None) -> None:
        _check_uri(uri)
        self._uri, self._user, self._password_env = uri, user, password_env
        self._database = database
        self._driver: neo4j.Driver | None = self._connect()

    def __str__(self) -> str:
        name = f"database {self._database!r}" if self._database else "the default database"
        return f"{name} at {self._uri}"

    def read(self, work: Callable[[neo4j.ManagedTransaction], Result]) -> Result:
        """Run reading queries in one transaction, perhaps more than once."""
        with self._session() as session:
            return session.execute_read(work)

    def write(self, work: Callable[[neo4j.ManagedTransaction], Result]) -> Result:
        """Run queries in one transaction, all or nothing; ``work`` may run more than once."""
        from neo4j.exceptions import ConstraintError

        with self._session() as session:
            for _ in range(_MAX_TRIES - 1):
                try:
                    return session.execute_write(work)
                except ConstraintError:
                    # Another transaction made a node that MERGE did not see yet; next time it will.
                    time.sleep(_PAUSE_S)
            return session.execute_write(work)

    def close(self) -> None:
        """Let go of all connections; closing twice is allowed."""
        if self._driver is not None:
            self._driver.close()
            self._driver = None

    def _connect(self) -> neo4j.Driver:
        if importlib.util.find_spec("neo4j") is None:
            raise InputError("The Neo4j store needs a driver. Run `pip install 'musicrag[neo4j]'`.")
        import neo4j

        password = os.environ.get(self._password_env)
        if not password:
            raise InputError(
                f"No password for {self}. Set the environment variable {self._password_env}; it "
                f"is read from nowhere else."
            )
        # Each session sees what the ones before wrote, on whichever server of a cluster it runs.
        self._bookmarks = neo4j.GraphDatabase.bookmark_manager()
        with self._advice():
            driver = neo4j.GraphDatabase.driver(
                self._uri, auth=(self._user, password), notifications_min_severity="OFF"
            )
            try:
                driver.verify_connectivity()
            except BaseException:
                driver.close()
                raise
        return driver

    @contextmanager
    def _session(self) -> Iterator[neo4j.Session]:
        if self._driver is None:
            raise InputError(f"The connection to {self} is closed. Open another one.")
        with (
            self._advice(),
            self._driver.session(
                database=self._database,
                bookmark_manager=self._bookmarks,
                fetch_size=_FETCH_SIZE,
            ) as session,
        ):
            yield session

    @contextmanager
    def _advice(self) -> Iterator[None]:
        from neo4j.exceptions import AuthError, DriverError, Neo4jError

        try:
            yield
        except AuthError as error:
            raise InputError(
                f"{self} refuses user {self._user!r} with the password in the environment "
                f"variable {self._password_env}. Correct the user or the variable."
            ) from error
        except Neo4jError as error:
            raise InputError(
                f"{self} refused a request: {error.message} ({error.code}). Check the name of the "
                f"database and the rights of user {self._user!r}."
            ) from error
        except (DriverError, OSError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(
                f"{self} cannot be reached ({reason}). Check the address, and that the server "
                f"runs and answers Bolt there."
            ) from error


def _check_uri(uri: str) -> None:
    try:
        parts = urlsplit(uri)
        scheme, host, has_secret = parts.scheme, parts.hostname, parts.username is not None
    except ValueError:
        scheme, host, has_secret = "", None, "@" in uri
    if has_secret:
        raise InputError(
            "The address of a Neo4j server must not hold a user or password. Write it as "
            "neo4j://host:7687; the user is a setting, the password an environment variable."
        )
    if scheme not in _SCHEMES or not host:
        raise InputError(
            f"{uri!r} is no address of a Neo4j server. Write it as neo4j://host:7687; possible "
            f"are {', '.join(_SCHEMES)}."
        )
