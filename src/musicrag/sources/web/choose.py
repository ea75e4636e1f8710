"""A name becomes a web source; the libraries of the other services are not imported."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import cast

from musicrag.sources.web.contract import WebSource
from musicrag.types import InputError, nearest

SERVICES = {"genius": "Genius", "lastfm": "Lastfm", "musicbrainz": "Musicbrainz"}
"""Name of each service, which is its module too, and its class."""


def make_source(
    name: str,
    item_type: str = "Song",
    users: Sequence[str] = (),
    base_url: str | None = None,
    has_lyrics: bool = True,
) -> WebSource:
    """The client of a service with its defaults.

    Args:
        name: a key of :data:`SERVICES`.
        item_type: node type of the catalogue's items, ``Song`` or ``Artist``.
        users: names of users whose plays are wanted; only Last.fm has any.
        base_url: address of a mirror; None for the service itself.
        has_lyrics: whether lyrics are wanted; only Genius has any.

    Raises:
        InputError: no such service, its key is missing, a setting is another service's, or
            ``musicrag[sync]`` is not installed.
    """
    if name not in SERVICES:
        raise InputError(
            f"{name!r} is no web source. Allowed: {', '.join(SERVICES)}.{nearest(name, SERVICES)}"
        )
    if users and name != "lastfm":
        raise InputError(f"Only lastfm knows what users played, not {name}. Leave the users out.")
    settings: dict[str, object] = {} if base_url is None else {"base_url": base_url}
    if name == "lastfm":
        settings["users"] = users
    if name == "genius":
        settings["has_lyrics"] = has_lyrics
    make = getattr(import_module(f"musicrag.sources.web.{name}"), SERVICES[name])
    return cast(WebSource, make(item_type=item_type, **settings))
