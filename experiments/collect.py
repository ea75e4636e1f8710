"""Copy the newest table of each study from outputs/ into experiments/, paper/ and README.md.

Run by `make results`; so no number in them is typed by hand.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_MARKS = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def newest_table(study: str, outputs: Path) -> Path | None:
    """Folder of the study's table that was written last, if there is one."""
    found = [path.parent for path in (outputs / study).glob("*/table.md")]
    return max(found, key=lambda folder: (folder / "table.md").stat().st_mtime, default=None)


def collect(outputs: Path) -> None:
    """Copy what there is; a study without a table keeps what it had."""
    for study in sorted(path.name for path in (ROOT / "experiments").iterdir() if path.is_dir()):
        folder = newest_table(study, outputs)
        if folder is None:
            continue
        for name in ("table.md", "table.csv", "figure.png"):
            shutil.copy(folder / name, ROOT / "experiments" / study / name)
        shutil.copy(folder / "table.tex", ROOT / "paper" / "tables" / f"{study}.tex")
        shutil.copy(folder / "figure.png", ROOT / "paper" / "figures" / f"{study}.png")
        print(f"{study}: {folder}")
    readme = ROOT / "README.md"
    readme.write_text(_MARKS.sub(_fill, readme.read_text(encoding="utf-8")), encoding="utf-8")


def _fill(match: re.Match[str]) -> str:
    """The caption and the user queries of a study's table, between its marks."""
    source = ROOT / "experiments" / match[2] / "table.md"
    if not source.exists():
        return match[0]
    caption, *parts = re.split(r"\n\n(?=### )", source.read_text(encoding="utf-8").strip())
    shown = [part for part in parts if part.startswith("### user")] or parts
    return f"{match[1]}{caption}\n\n{shown[0]}\n{match[3]}"


if __name__ == "__main__":
    collect(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "outputs")
