"""Delimited text files become frames of strings, or one error that says what to correct.

Readers of published data sets share this module. It knows folders, files, columns and numbers;
it does not know any data set, and it never guesses types: "NA" stays text, an empty cell stays
an empty string, and a number is parsed only where the caller asks for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv

from musicrag.types import InputError, nearest

_BLOCK_BYTES = 1 << 24  # the longest row, such as a lyric, must fit


def require_files(folder: Path, names: Sequence[str]) -> None:
    """Check that a data folder and the files in it exist, without opening them.

    Raises:
        InputError: the folder or some of the files do not exist; lists every missing file.
    """
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise InputError(
            f"The data folder {folder} {what}. Set data.dir to the folder that holds "
            f"{', '.join(names)}."
        )
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        present = sorted(path.name for path in folder.iterdir())
        hints = "".join(nearest(name, present) for name in missing)
        raise InputError(
            f"{folder} lacks {', '.join(missing)}.{hints} Set data.dir to the folder that holds "
            f"{', '.join(names)}, or fetch the missing files."
        )


def read_table(
    path: Path,
    columns: Sequence[str],
    *,
    separator: str = ",",
    encodings: Sequence[str] = ("utf8",),
    has_header: bool = True,
) -> pd.DataFrame:
    """Read a delimited file as strings.

    Args:
        path: the file.
        columns: must be there, further ones are kept; without a header, all columns in order.
        separator: one character. Quotes mean something only in comma-separated files.
        encodings: the first that decodes the whole file; ``utf8`` skips a byte order mark.
        has_header: whether the first row names the columns.

    Raises:
        InputError: no such file, no rows, a column gone, a ragged row, or undecodable bytes.
    """
    for encoding in encodings:
        reading = csv.ReadOptions(
            use_threads=False,  # with threads, errors do not tell the row
            column_names=None if has_header else list(columns),
            encoding=encoding,
            block_size=_BLOCK_BYTES,
        )
        try:
            frame = _read_strings(path, reading, separator)
            break
        except UnicodeDecodeError:
            continue
        except (FileNotFoundError, pa.ArrowInvalid) as error:
            if "UTF8" in str(error):
                continue
            raise InputError(_explain(path, error)) from error
    else:
        raise InputError(f"{path} is not {' or '.join(encodings)} text. Save it as UTF-8.")
    _check_columns(frame, path, columns)
    return frame


def _explain(path: Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"There is no file {path}. Check data.dir."
    if "Empty CSV" in str(error):
        return f"{path} is empty. Fetch it again, or remove it."
    return (
        f"{path} cannot be parsed: {error}. Row 1 is the first line of the file. Correct that row "
        "(quote fields that hold the separator); the file may be cut off."
    )


def _read_strings(path: Path, reading: csv.ReadOptions, separator: str) -> pd.DataFrame:
    parsing = csv.ParseOptions(
        delimiter=separator,
        quote_char='"' if separator == "," else False,
        newlines_in_values=separator == ",",
    )
    with csv.open_csv(path, reading, parsing) as head:
        names = head.schema.names
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"{path} has two columns {', '.join(repeated)}. Rename or remove one.")
    converting = csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
    )
    frame: pd.DataFrame = csv.read_csv(path, reading, parsing, converting).to_pandas()
    return frame


def _check_columns(frame: pd.DataFrame, path: Path, columns: Sequence[str]) -> None:
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        hints = "".join(nearest(name, frame.columns) for name in missing)
        raise InputError(
            f"{path} lacks the column {', '.join(missing)}; it has {', '.join(frame.columns)}."
            f"{hints} Restore the header row of the published file."
        )
    if frame.empty:
        raise InputError(f"{path} has a header but no rows. Fetch it again, or remove it.")
    if "\n" in str(frame.iloc[-1, -1]) and path.read_bytes().count(b'"') % 2:
        raise InputError(
            f"{path}: a quote that is never closed swallows the end of the file, from row "
            f"{len(frame)} below the header on. Close it, or double it if it belongs to the text."
        )


def to_numbers(frame: pd.DataFrame, column: str, path: Path) -> pd.Series[float]:
    """Parse one column of strings as finite floats.

    Raises:
        InputError: some value is no finite number; names the file, column, row and value.
    """
    numbers = pd.to_numeric(frame[column], errors="coerce").astype("float64")
    wrong = ~np.isfinite(numbers.to_numpy())
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"{path}: column {column!r}, data row {row + 1} holds {frame[column].iloc[row]!r}; a "
            f"finite number is expected ({int(wrong.sum())} such rows). Correct or remove them."
        )
    return numbers


def undirected(source: pd.Series[str], target: pd.Series[str]) -> pd.DataFrame:
    """One row per unordered pair of different ids, columns ``source_id, target_id``, sorted."""
    ends = pd.DataFrame({"source_id": source, "target_id": target})
    swapped = (ends["source_id"] > ends["target_id"]).to_numpy()
    ends.loc[swapped, ["source_id", "target_id"]] = ends.loc[
        swapped, ["target_id", "source_id"]
    ].to_numpy()
    ends = ends[ends["source_id"] != ends["target_id"]]
    return ends.drop_duplicates().sort_values(["source_id", "target_id"], ignore_index=True)


def friendships(source: pd.Series[str], target: pd.Series[str]) -> pd.DataFrame:
    """Rows of ``links``: User KNOWS User, one for each pair of friends, whichever way given."""
    ends = undirected(source, target)
    return pd.DataFrame(
        {
            "source_type": "User",
            "source_id": ends["source_id"],
            "relation": "KNOWS",
            "target_type": "User",
            "target_id": ends["target_id"],
        }
    )
