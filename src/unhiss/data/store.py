"""A prepared data set: int16 shards that are memory-mapped, one manifest, one dataset.json."""

import io
import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from unhiss.data.manifest import COLUMNS, MANIFEST, Columns, ManifestRow, ManifestRows, checksum_of
from unhiss.errors import DataError
from unhiss.remote import RemotePath, parse_path

FORMAT = 2  # of the folder; another number means another layout. Format 1 was written under the former name
SETTINGS = "dataset.json"
MAX_REMOTE_SHARDS = 8  # kept in memory, 67 MB each at most, or one longer clip
REPAIR = "remove it and run the same unhiss prepare again"


class Store:
    """A prepared data set, opened for reading in a local folder or at s3://… (see `remote`).

    settings: the content of dataset.json. rows: every clip in manifest order. `samples(row)`: its int16 `(T,)`, a
    view into the mapped shard (of a remote one: into a copy in memory).
    Raises DataError if the folder is no prepared set, an unfinished or a damaged one.
    """

    def __init__(self, folder: str | Path | RemotePath) -> None:
        # Typed Any, since most callers need a Path: they write beside a set that they made in a local folder.
        self.folder: Any = parse_path(folder) if isinstance(folder, str) else folder
        try:
            self.settings: dict[str, Any] = json.loads((self.folder / SETTINGS).read_bytes())
            self.rows = _rows(self.folder)
            format = self.settings["format"]
        except (FileNotFoundError, NotADirectoryError) as error:
            raise DataError(f"{self.folder} {_why_no_set(self.folder)}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{self.folder} is damaged ({error}); remove it and prepare it again") from error
        if format != FORMAT:
            raise DataError(
                f"{self.folder} has format {format}, this unhiss reads {FORMAT}; make it again with unhiss prepare"
            )
        self._shards: dict[str, np.ndarray] = {}

    @property
    def rate(self) -> int:
        """Samples per second of every clip."""
        return int(self.settings["sample_rate"])

    @cached_property
    def parts(self) -> dict[tuple[str, str], ManifestRows]:
        """Rows by (role, split)."""
        return self.rows.parts()

    def part(self, role: str, split: str) -> ManifestRows:
        """Rows of one role and split, never empty. Raises DataError if there are none."""
        rows = self.parts.get((role, split))
        if not rows:
            raise DataError(
                f"{self.folder} holds no {role} in split {split!r}; prepare it with another source or --valid-share"
            )
        return rows

    def samples(self, row: ManifestRow) -> np.ndarray:
        if row.shard not in self._shards:
            try:
                self._shards[row.shard] = _load_shard(self.folder / "shards" / row.shard)
            except (OSError, ValueError, EOFError) as error:
                raise DataError(f"{self.folder}/shards/{row.shard} is missing or damaged; {REPAIR}") from error
            if not isinstance(self.folder, Path) and len(self._shards) > MAX_REMOTE_SHARDS:
                self._shards.pop(next(iter(self._shards)))
        samples: np.ndarray = self._shards[row.shard][row.offset : row.offset + row.length]
        if samples.size != row.length:
            raise DataError(f"{self.folder}/shards/{row.shard} is too short for {row.id}; {REPAIR}")
        return samples


def _load_shard(path: Path | RemotePath) -> np.ndarray:
    samples: np.ndarray
    if isinstance(path, Path):
        samples = np.load(path, mmap_mode="r")
    else:
        samples = np.load(io.BytesIO(path.read_bytes()))
        samples.flags.writeable = False
    return samples


def _rows(folder: Path | RemotePath) -> ManifestRows:
    """By columns.npz, if it is of this manifest; without it the manifest is parsed line by line."""
    path = folder / MANIFEST
    if not isinstance(path, Path):
        content = path.read_bytes()
        columns = _columns(folder, checksum_of([content])) or Columns.from_lines(io.BytesIO(content))
        return ManifestRows(columns, lambda first, last: content[first:last])
    with path.open("rb") as file:
        stored = _columns(folder, checksum_of(iter(lambda: file.read(1 << 20), b"")))
        file.seek(0)
        columns = stored or Columns.from_lines(file)  # splits at \n alone: texts may contain other separators
    lines = np.memmap(path, np.uint8, "r") if len(columns) else np.zeros(0, np.uint8)
    return ManifestRows(columns, lambda first, last: lines[first:last].tobytes())


def _columns(folder: Path | RemotePath, checksum: int) -> Columns | None:
    path = folder / COLUMNS
    return Columns.from_bytes(path.read_bytes(), checksum) if path.is_file() else None


def _why_no_set(folder: Path | RemotePath) -> str:
    """What an error says of a folder without dataset.json."""
    if not folder.exists():
        return "does not exist; make it with unhiss prepare"
    if (folder / "plan.json").is_file():
        return "is unfinished; run the same unhiss prepare again"
    return "is no prepared data set; see unhiss prepare"
