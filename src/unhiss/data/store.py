"""The prepared data set: int16 shards that are memory-mapped, one manifest, one dataset.json."""

from __future__ import annotations

import io
import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from unhiss.data.rows import COLUMNS, Columns, Row, Rows, checksum
from unhiss.errors import DataError
from unhiss.remote import RemotePath, parse_path

__all__ = ["FORMAT", "FULL_SCALE", "Row", "Rows", "Store", "manifest_files"]

FORMAT = 2  # of the folder; another number means another layout. 1 was that of before the rename
FULL_SCALE = 32767.0
MANIFEST = "manifest.jsonl"
REMOTE_SHARDS = 8  # that are held in memory, 67 MB each at most, or one clip
AGAIN = "remove it and run the same unhiss prepare again"


class Store:
    """A prepared data set, opened for reading where it lies: a folder here, or s3://… (see `remote`).

    settings: the content of dataset.json. rows: every clip in manifest order. `samples(row)` is its
    int16 `(T,)`, a view into the mapped shard (of a remote one: into a copy in memory).
    Raises DataError if the folder is none or unfinished.
    """

    def __init__(self, folder: str | Path | RemotePath) -> None:
        # For most a Path: what writes beside a set, or asks for more of one, has made it here.
        self.folder: Any = parse_path(folder) if isinstance(folder, str) else folder
        try:
            self.settings: dict[str, Any] = json.loads((self.folder / "dataset.json").read_bytes())
            self.rows = _rows(self.folder)
            found = self.settings["format"]
        except (FileNotFoundError, NotADirectoryError) as error:
            raise DataError(f"{self.folder} {_lack(self.folder)}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{self.folder} is damaged ({error}); remove it and prepare it again") from error
        if found != FORMAT:
            raise DataError(
                f"{self.folder} has format {found}, this unhiss reads {FORMAT}; make it again with unhiss prepare"
            )
        self._shards: dict[str, np.ndarray] = {}

    @property
    def rate(self) -> int:
        """Samples per second of every clip."""
        return int(self.settings["sample_rate"])

    @cached_property
    def parts(self) -> dict[tuple[str, str], Rows]:
        """Rows by (role, split)."""
        return self.rows.parts()

    def part(self, role: str, split: str) -> Rows:
        """Rows of one role and split, never empty. Raises DataError if there are none."""
        rows = self.parts.get((role, split))
        if not rows:
            raise DataError(
                f"{self.folder} holds no {role} in split {split!r}; prepare it with another source or --valid-share"
            )
        return rows

    def samples(self, row: Row) -> np.ndarray:
        if row.shard not in self._shards:
            try:
                self._shards[row.shard] = _shard(self.folder / "shards" / row.shard)
            except (OSError, ValueError, EOFError) as error:
                raise DataError(f"{self.folder}/shards/{row.shard} is missing or damaged; {AGAIN}") from error
            if not isinstance(self.folder, Path) and len(self._shards) > REMOTE_SHARDS:
                self._shards.pop(next(iter(self._shards)))
        samples: np.ndarray = self._shards[row.shard][row.offset : row.offset + row.length]
        if samples.size != row.length:
            raise DataError(f"{self.folder}/shards/{row.shard} is too short for {row.id}; {AGAIN}")
        return samples


def _shard(path: Path | RemotePath) -> np.ndarray:
    samples: np.ndarray
    if isinstance(path, Path):
        samples = np.load(path, mmap_mode="r")
    else:
        samples = np.load(io.BytesIO(path.read_bytes()))
        samples.flags.writeable = False
    return samples


def _remote_rows(folder: RemotePath) -> Rows:
    manifest = (folder / MANIFEST).read_bytes()
    columns = None
    if (folder / COLUMNS).exists():
        columns = Columns.from_bytes((folder / COLUMNS).read_bytes(), checksum([manifest]))
    return Rows(columns or Columns.of(io.BytesIO(manifest)), lambda first, last: manifest[first:last])


def _rows(folder: Path | RemotePath) -> Rows:
    """By columns.npz, if it is of this manifest; without it the manifest is read line by line."""
    if not isinstance(folder, Path):
        return _remote_rows(folder)
    path = folder / MANIFEST
    with path.open("rb") as file:
        check = checksum(iter(lambda: file.read(1 << 20), b""))
        columns = None
        if (folder / COLUMNS).is_file():
            columns = Columns.from_bytes((folder / COLUMNS).read_bytes(), check)
        if columns is None:
            file.seek(0)
            columns = Columns.of(file)  # split at \n alone: texts may hold other separators
    lines = np.memmap(path, np.uint8, "r") if len(columns) else np.zeros(0, np.uint8)
    return Rows(columns, lambda first, last: lines[first:last].tobytes())


def manifest_files(lines: list[str]) -> dict[str, bytes]:
    """manifest.jsonl and columns.npz, by name, of rows as JSON."""
    ended = [f"{line}\n".encode() for line in lines]
    manifest = b"".join(ended)
    return {MANIFEST: manifest, COLUMNS: Columns.of(ended).to_bytes(checksum([manifest]))}


def _lack(folder: Path | RemotePath) -> str:
    """What to say of a folder without dataset.json."""
    if not folder.exists():
        return "does not exist; make it with unhiss prepare"
    if (folder / "plan.json").is_file():
        return "is unfinished; run the same unhiss prepare again"
    return "is no prepared data set; see unhiss prepare"
