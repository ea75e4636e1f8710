"""The ``musicrag`` command: the graph and the collection around the experiments.

``train.py`` measures. This keeps alive what was measured: it builds and checks the graph, publishes
a trained system as a collection, keeps that fresh from web services, and asks it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from musicrag.artifacts import hash_json
from musicrag.cli import configure_logging
from musicrag.collection.folder import Collection
from musicrag.collection.mirror import Mirror
from musicrag.collection.recommend import Recommendation, Recommender
from musicrag.collection.sync import sync
from musicrag.collection.update import update
from musicrag.experiment.publish import publish
from musicrag.experiment.stored import open_store
from musicrag.experiment.sweep import plan
from musicrag.experiment.world import check_graph
from musicrag.schema import RunConfig
from musicrag.sources.folder import read_tables
from musicrag.sources.web.choose import SERVICES, make_source
from musicrag.sources.web.contract import TransientError
from musicrag.types import InputError

_EXIT_BAD_INPUT = 2
_EXIT_TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h


def main(argv: Sequence[str] | None = None) -> int:
    """Do one command.

    Returns:
        0; 2 after bad input, with one message; 75 if a service did not answer and the same
        command, run again, goes on where this one stopped.
    """
    arguments = _parse(argv)
    configure_logging()
    command: Callable[[argparse.Namespace], None] = arguments.command
    try:
        command(arguments)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return _EXIT_BAD_INPUT
    except TransientError as error:
        print(f"try again: {error}", file=sys.stderr)
        return _EXIT_TRY_AGAIN
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Words of the configuration may stand before and after the flags."""
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    if rest and (not hasattr(arguments, "words") or any(word.startswith("-") for word in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        arguments.words += rest
    return arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="musicrag", description="Build the graph; publish, feed and ask a collection."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _takes_config(_command(commands, "graph", _graph, "build, check and load the knowledge graph"))
    _takes_config(_asks(_command(commands, "publish", _publish, "train and keep a collection")))
    mirror = _command(commands, "mirror", _mirror, "bring a graph database up to a collection")
    _takes_config(_asks(mirror))
    fresh = _asks(_command(commands, "sync", _sync, "take in what a web service has that is new"))
    fresh.add_argument("--source", required=True, choices=sorted(SERVICES))
    fresh.add_argument("--since", type=date.fromisoformat, metavar="YYYY-MM-DD", help=_SINCE)
    fresh.add_argument("--user", action="append", default=[], help="Last.fm listener to follow")
    fresh.add_argument("--no-lyrics", action="store_true", help="leave Genius's pages alone")
    fresh.add_argument("--url", help="address of a mirror of the service")
    fresh.add_argument("--restart", action="store_true", help="forget a sync that was cut off")
    add = _asks(_command(commands, "add", _add, "take in tables: songs, lyrics, sounds, listens"))
    add.add_argument("tables", type=Path, help="folder of tables, docs/data_format.md")
    ask = _asks(_command(commands, "recommend", _recommend, "ask for songs, with reasons"))
    who = ask.add_mutually_exclusive_group(required=True)
    who.add_argument("--user", help="id of a listener")
    who.add_argument("--playlist", help="id of a playlist")
    who.add_argument("--text", help="what you would like to hear")
    ask.add_argument("-k", type=int, default=10, help="how many")
    ask.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser


_SINCE = "leave out what is older; default: the day of the last sync"


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    command: Callable[[argparse.Namespace], None],
    help_text: str,
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=help_text)
    parser.set_defaults(command=command)
    return parser


def _asks(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("collection", type=Path, help="folder of the collection")
    return parser


def _takes_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", metavar="group=option", help="as for train.py")
    parser.add_argument("--conf", type=Path, default=Path("conf"), help="folder of config.yaml")


def _config(arguments: argparse.Namespace) -> RunConfig:
    conf: Path = arguments.conf.resolve()
    if not (conf / "config.yaml").is_file():
        raise InputError(
            f"{conf} holds no config.yaml. Run musicrag in its repository, or name the folder "
            f"with --conf."
        )
    return plan(arguments.words, conf, is_multirun=False).jobs[0].config


def _graph(arguments: argparse.Namespace) -> None:
    print(f"Graph checked and loaded; report: {check_graph(_config(arguments))}")


def _publish(arguments: argparse.Namespace) -> None:
    collection = publish(_config(arguments), arguments.collection)
    print(f"{collection.path}: version {collection.version}")


def _mirror(arguments: argparse.Namespace) -> None:
    collection = Collection(arguments.collection)
    component = _config(arguments).graph.store
    store = open_store(component, collection.read().rows)
    try:
        name = f"{component.name}-{hash_json(component.params)[:8]}"
        print(f"{component.name} holds version {Mirror(name, store).bring_up_to(collection)}")
    finally:
        store.close()


def _sync(arguments: argparse.Namespace) -> None:
    collection = Collection(arguments.collection)
    source = make_source(
        arguments.source,
        collection.read().item_type,
        arguments.user,
        arguments.url,
        has_lyrics=not arguments.no_lyrics,
    )
    report = sync(collection, source, arguments.since, restart=arguments.restart)
    done = report.touched.describe() if report.touched else "published before it was cut off"
    print(f"{report.source}: {report.num_units} units; {done}; now version {report.version}")
    if report.num_rejects:
        print(f"{report.num_rejects} answers could not be used: {report.rejects}")


def _add(arguments: argparse.Namespace) -> None:
    collection = Collection(arguments.collection)
    changes = read_tables(arguments.tables)
    with collection.writing():
        grown, touched = update(collection.read(), changes)
        if not touched.is_nothing:
            collection.publish(grown, touched.delta)
    print(f"{touched.describe()}; now version {collection.version}")
    for table, row, reason in touched.rejects.itertuples(index=False):
        print(f"left out: {table}, row {row}: {reason}")


def _recommend(arguments: argparse.Namespace) -> None:
    recommender = Recommender(Collection(arguments.collection).read())
    if arguments.user is not None:
        found = recommender.for_user(arguments.user, arguments.k)
    elif arguments.playlist is not None:
        found = recommender.for_playlist(arguments.playlist, arguments.k)
    else:
        found = recommender.for_text(arguments.text, arguments.k)
    for rank, item in enumerate(found, start=1):
        print(_as_json(item) if arguments.json else f"{rank:3}. {item.title}  {item.reason}")


def _as_json(item: Recommendation) -> str:
    path = json.loads(item.path.to_json()) if item.path else None
    shown = {"item_id": item.item_id, "title": item.title, "score": item.score, "path": path}
    return json.dumps({**shown, "reason": item.reason}, ensure_ascii=False)


def run() -> None:
    """Entry point of the installed command."""
    raise SystemExit(main())
