"""The reference part of ``docs/data_format.md``, written from :data:`TABLES`.

``python -m musicrag.tables.describe docs/data_format.md`` replaces what stands between the two
markers. The example rows of all tables together form one small valid data set, which a test
loads and cleans, so the documentation cannot drift from the code.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from musicrag import artifacts
from musicrag.contracts import TABLES, TableSpec
from musicrag.types import InputError

BEGIN = "<!-- tables:begin, written by python -m musicrag.tables.describe -->"
END = "<!-- tables:end -->"

EXAMPLES: dict[str, str] = {
    "items": """item_id,title,artist_id,album,year,duration_s
s1,Glass Harbour,a1,Tides,2019,212.4
s2,Paper Lanterns,a1,Tides,2019,187.0
s3,Northern Slow,a2,,2021,243.9
""",
    "artists": """artist_id,name
a1,Mira Holm
a2,The Quiet Engines
""",
    "users": """user_id,name
u1,Ada
u2,
""",
    "interactions": """user_id,item_id,weight,timestamp
u1,s1,14,1712000000
u1,s3,2,1712086400
u2,s2,1,1712172800
""",
    "playlists": """playlist_id,title
p1,Songs for the ferry
""",
    "playlist_items": """playlist_id,item_id,position
p1,s2,0
p1,s1,1
""",
    "item_tags": """item_id,tag,kind,weight,profile_type,profile_id
s1,dream pop,genre,1,,
s1,calm,mood,0.7,,
s3,night drive,tag,1,user,u1
""",
    "lyrics": """item_id,text
s1,"Glass on the water, light on the pier
We sail"
""",
    "audio": """item_id,path
s1,audio/glass_harbour.wav
""",
    "audio_features": """item_id,tempo_bpm,energy
s1,92.0,0.41
s2,118.5,0.66
""",
    "emotion_features": """item_id,valence,arousal
s1,0.3,-0.5
s3,-0.2,-0.8
""",
    "nodes": """node_type,node_id,name
Artist,a3,Sol Varga
""",
    "links": """source_type,source_id,relation,target_type,target_id,weight
User,u1,KNOWS,User,u2,1
Artist,a1,COLLABORATED_WITH,Artist,a3,2
""",
    "queries": """query_id,text,user_id
q1,something calm by an artist like Mira Holm,u1
""",
    "query_anchors": """query_id,node_type,node_id
q1,Mood,calm
q1,Artist,a1
""",
    "qrels": """query_id,item_id,gain
q1,s1,1
""",
    "gold_paths": """query_type,query_id,item_id,path
text,q1,s1,"[""Artist:a1"", ""PERFORMED_BY"", ""Song:s1""]"
""",
}


def describe() -> str:
    """Return Markdown with one section for each table: columns, key, and example rows."""
    return "\n".join(_section(name, spec) for name, spec in TABLES.items())


def update(document: str) -> str:
    """Return a document with the text between the markers replaced by :func:`describe`.

    Raises:
        InputError: a marker is missing.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise InputError(f"The document needs the lines {BEGIN!r} and {END!r}, in this order.")
    return f"{before}{BEGIN}\n\n{describe()}\n{END}{after}"


def main(arguments: Sequence[str]) -> None:
    """Update the document named by the only argument, ``docs/data_format.md`` by default."""
    target = Path(arguments[0] if arguments else "docs/data_format.md")
    artifacts.write_text(target, update(target.read_text(encoding="utf-8")))


def _section(name: str, spec: TableSpec) -> str:
    lines = [f"### `{name}`", "", spec.meaning, ""]
    lines += ["| column | type | required | meaning |", "|---|---|---|---|"]
    lines += [
        f"| `{column}` | {about.type} | {'yes' if about.required else 'no'} | {about.meaning} |"
        for column, about in spec.columns.items()
    ]
    if spec.has_feature_columns:
        lines.append("| *any other name* | float | at least one | a numeric feature |")
    key = ", ".join(f"`{column}`" for column in spec.key)
    lines += ["", f"No two rows share {key}.", "", "```csv", EXAMPLES[name].rstrip("\n"), "```", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
