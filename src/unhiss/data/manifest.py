"""The manifest of a prepared set, without a Python object for each row: columns of numbers, and lines on disk.

A set of a hundred thousand clips opens in a fraction of a second, at some 60 bytes a clip. `columns.npz` holds the
columns; it is derived from manifest.jsonl, which is read instead where columns.npz is missing or of another manifest.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, overload

import numpy as np

PIECE = re.compile(r"#\d+(~\d+)?$")  # ends the id of a piece; ~2 follows where two merged sets have one id
MANIFEST = "manifest.jsonl"
COLUMNS = "columns.npz"
NUMBERS = {"offset": np.int64, "length": np.int64, "level_dbfs": np.float64, "bandwidth_hz": np.float64,
           "snr_db": np.float64}  # fmt: skip
NAMES = {"role": np.uint8, "split": np.uint8, "kind": np.int32, "shard": np.int32}  # few values, many rows


def piece_id(clip_id: str, number: int) -> str:
    """The id of piece 1, 2 … of a recording that was cut.

    >>> piece_id("folder/anna/chapter.flac", 2)
    'folder/anna/chapter.flac#2'
    """
    return f"{clip_id}#{number}"


def recording_of(row_id: str) -> str | None:
    """The id of the recording that a row is a piece of; None if the row is a whole recording.

    >>> recording_of("folder/anna/chapter.flac#2")
    'folder/anna/chapter.flac'
    """
    return PIECE.sub("", row_id) if PIECE.search(row_id) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestRow:
    """One clip of a prepared set: where its samples are, and all that mixing and splitting need."""

    id: str
    corpus: str
    role: str
    kind: str
    groups: tuple[str, ...]
    split: str
    licence: str
    commercial_use: bool
    language: str
    text: str
    shard: str
    offset: int  # samples into the shard
    length: int  # samples
    level_dbfs: float  # active level if speech, mean level if noise
    bandwidth_hz: float
    snr_db: float  # estimated, of the recording itself

    @classmethod
    def from_json(cls, line: str | bytes) -> ManifestRow:
        tree = json.loads(line)
        tree["groups"] = tuple(tree["groups"])
        return cls(**{item.name: tree[item.name] for item in fields(cls)})

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)


class Columns:
    """Columns of a manifest: arrays `(N,)` of numbers or codes by name, the names that codes stand for, line ends."""

    def __init__(self, arrays: dict[str, np.ndarray], names: dict[str, list[str]]) -> None:
        self.arrays, self.names = arrays, names

    @classmethod
    def from_lines(cls, lines: Iterable[bytes]) -> Columns:
        """Parse lines of a manifest, each with its newline. Raises ValueError, KeyError or TypeError for a bad one."""
        values: dict[str, list[Any]] = {name: [] for name in (*NUMBERS, *NAMES)}
        codes: dict[str, dict[str, int]] = {name: {} for name in NAMES}
        ends = [0]
        for line in lines:
            row = ManifestRow.from_json(line)
            for name in NUMBERS:
                values[name].append(getattr(row, name))
            for name, known in codes.items():
                values[name].append(known.setdefault(getattr(row, name), len(known)))
            ends.append(ends[-1] + len(line))
        arrays = {name: np.array(values[name], kind) for name, kind in (NUMBERS | NAMES).items()}
        return cls(arrays | {"ends": np.array(ends, np.int64)}, {name: list(known) for name, known in codes.items()})

    def to_bytes(self, checksum: int) -> bytes:
        """Content of columns.npz; checksum: `checksum_of` the manifest."""
        notes = json.dumps({"check": checksum, "names": self.names}).encode()
        file = io.BytesIO()
        arrays: dict[str, Any] = self.arrays | {"notes": np.frombuffer(notes, np.uint8)}
        np.savez(file, **arrays)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes, checksum: int) -> Columns | None:
        """None if the content is damaged, or belongs to another manifest."""
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in (*NUMBERS, *NAMES, "ends")}
                notes = json.loads(stored["notes"].tobytes())
            return cls(arrays, notes["names"]) if notes["check"] == checksum else None
        except (ValueError, KeyError, TypeError, OSError, EOFError, zlib.error, zipfile.BadZipFile):
            return None

    def __len__(self) -> int:
        return len(self.arrays["ends"]) - 1


class ManifestRows(Sequence[ManifestRow]):
    """Rows of a manifest, in its order; each is parsed from its line when it is accessed.

    read(first, last): bytes of the manifest. indices: which rows, ascending; all if None.
    """

    def __init__(self, columns: Columns, read: Callable[[int, int], bytes], indices: np.ndarray | None = None) -> None:
        self._columns, self._read, self._indices = columns, read, indices

    def __len__(self) -> int:
        return len(self._columns) if self._indices is None else len(self._indices)

    @overload
    def __getitem__(self, index: int) -> ManifestRow: ...
    @overload
    def __getitem__(self, index: slice) -> list[ManifestRow]: ...
    def __getitem__(self, index: int | slice) -> ManifestRow | list[ManifestRow]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        number = int(index) % len(self)
        if self._indices is not None:
            number = int(self._indices[number])
        first, last = self._columns.arrays["ends"][number : number + 2]
        return ManifestRow.from_json(self._read(int(first), int(last)))

    def column(self, name: str) -> np.ndarray:
        """The numbers `(N,)` of a column: offset, length, level_dbfs, bandwidth_hz or snr_db."""
        values = self._columns.arrays[name]
        return values if self._indices is None else values[self._indices]

    def names(self, name: str) -> list[str]:
        """Role, split, kind or shard of each row."""
        known = self._columns.names[name]
        return [known[code] for code in self.column(name)]

    def parts(self) -> dict[tuple[str, str], ManifestRows]:
        """Rows by (role, split)."""
        roles, splits = self._columns.names["role"], self._columns.names["split"]
        key = self.column("role").astype(np.int64) * max(1, len(splits)) + self.column("split")
        indices = np.arange(len(self), dtype=np.int32) if self._indices is None else self._indices
        parts = {}
        for code in np.unique(key).tolist():
            role, split = divmod(code, len(splits))
            parts[roles[role], splits[split]] = ManifestRows(self._columns, self._read, indices[key == code])
        return parts


def checksum_of(blocks: Iterable[bytes]) -> int:
    """CRC-32 and length of a manifest in one number, by which columns of another manifest are recognised."""
    value = length = 0
    for block in blocks:
        value, length = zlib.crc32(block, value), length + len(block)
    return length << 32 | value


def manifest_files(lines: list[str]) -> dict[str, bytes]:
    """Contents of manifest.jsonl and columns.npz, by name, for rows as JSON."""
    ended = [f"{line}\n".encode() for line in lines]
    manifest = b"".join(ended)
    return {MANIFEST: manifest, COLUMNS: Columns.from_lines(ended).to_bytes(checksum_of([manifest]))}
