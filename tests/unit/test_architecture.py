"""The import rules of docs/architecture.md, and modules that can be read in one sitting."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "src" / "musicrag").rglob("*.py"))
MAX_LINES = 400


def test_packages_import_only_from_their_left(tmp_path: Path) -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--cache-dir", str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_module_is_too_long() -> None:
    too_long = {path.name: len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert {name: n for name, n in too_long.items() if n > MAX_LINES} == {}


@pytest.mark.parametrize("name", ["utils", "helpers", "common", "base"])
def test_no_package_for_odds_and_ends(name: str) -> None:
    assert [path for path in MODULES if name in (path.stem, path.parent.name)] == []


def test_entry_point_fits_on_one_screen() -> None:
    assert len((ROOT / "train.py").read_text("utf-8").splitlines()) <= 20
