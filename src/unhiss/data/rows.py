"""The rows of a manifest, without a Python object for each: columns of numbers, and the lines themselves on disk.

A set of a hundred thousand clips opens in a fraction of a second, at some 60 bytes a clip. `columns.npz` holds the
columns; it follows from manifest.jsonl, and where it is missing or of another manifest, that is read instead.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, overload

import numpy as np

COLUMNS = "columns.npz"
NUMBERS = {"offset": np.int64, "length": np.int64, "level_dbfs": np.float64, "bandwidth_hz": np.float64,
           "snr_db": np.float64}  # fmt: skip
NAMES = {"role": np.uint8, "split": np.uint8, "kind": np.int32, "shard": np.int32}  # few values, many rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One clip of a prepared set: where its samples lie, and all that mixing and splitting need."""

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
    def from_json(cls, line: str | bytes) -> Row:
        tree = json.loads(line)
        tree["groups"] = tuple(tree["groups"])
        return cls(**{item.name: tree[item.name] for item in fields(cls)})

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)


class Columns:
    """The columns of a manifest: arrays `(N,)` of numbers by name, codes of names, and where each line ends.

    `values(name)` are the numbers of a column, or its names, decoded.
    """

    def __init__(self, arrays: dict[str, np.ndarray], names: dict[str, list[str]]) -> None:
        self.arrays, self.names = arrays, names

    @classmethod
    def of(cls, lines: Iterable[bytes]) -> Columns:
        """Read from the lines, each with its end. Raises ValueError, KeyError or TypeError for one that is no row."""
        found: dict[str, list[Any]] = {name: [] for name in (*NUMBERS, *NAMES)}
        codes: dict[str, dict[str, int]] = {name: {} for name in NAMES}
        ends = [0]
        for line in lines:
            row = Row.from_json(line)
            for name in NUMBERS:
                found[name].append(getattr(row, name))
            for name, known in codes.items():
                found[name].append(known.setdefault(getattr(row, name), len(known)))
            ends.append(ends[-1] + len(line))
        arrays = {name: np.array(found[name], kind) for name, kind in (NUMBERS | NAMES).items()}
        return cls(arrays | {"ends": np.array(ends, np.int64)}, {name: list(known) for name, known in codes.items()})

    def to_bytes(self, check: int) -> bytes:
        """As columns.npz holds them; check: what `checksum` says of the manifest."""
        notes = json.dumps({"check": check, "names": self.names}).encode()
        file = io.BytesIO()
        arrays: dict[str, Any] = self.arrays | {"notes": np.frombuffer(notes, np.uint8)}
        np.savez(file, **arrays)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes, check: int) -> Columns | None:
        """None where it is damaged, or of another manifest."""
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as found:
                arrays = {name: found[name] for name in (*NUMBERS, *NAMES, "ends")}
                notes = json.loads(found["notes"].tobytes())
            return cls(arrays, notes["names"]) if notes["check"] == check else None
        except (ValueError, KeyError, TypeError, OSError, EOFError, zlib.error, zipfile.BadZipFile):
            return None

    def __len__(self) -> int:
        return len(self.arrays["ends"]) - 1


class Rows(Sequence[Row]):
    """Some rows of a manifest, in its order; each is read from its line when it is asked for.

    read(first, last): bytes of the manifest. chosen: which rows, ascending; all if None.
    """

    def __init__(self, columns: Columns, read: Callable[[int, int], bytes], chosen: np.ndarray | None = None) -> None:
        self._columns, self._read, self._chosen = columns, read, chosen

    def __len__(self) -> int:
        return len(self._columns) if self._chosen is None else len(self._chosen)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        number = int(index) % len(self)
        if self._chosen is not None:
            number = int(self._chosen[number])
        first, last = self._columns.arrays["ends"][number : number + 2]
        return Row.from_json(self._read(int(first), int(last)))

    def __iter__(self) -> Iterator[Row]:
        return (self[number] for number in range(len(self)))

    def column(self, name: str) -> np.ndarray:
        """The numbers `(N,)` of a column: offset, length, level_dbfs, bandwidth_hz or snr_db."""
        values = self._columns.arrays[name]
        return values if self._chosen is None else values[self._chosen]

    def names(self, name: str) -> list[str]:
        """Role, split, kind or shard of each row."""
        known = self._columns.names[name]
        return [known[code] for code in self.column(name)]

    def parts(self) -> dict[tuple[str, str], Rows]:
        """Rows by (role, split)."""
        roles, splits = self._columns.names["role"], self._columns.names["split"]
        key = self.column("role").astype(np.int64) * max(1, len(splits)) + self.column("split")
        every = np.arange(len(self), dtype=np.int32) if self._chosen is None else self._chosen
        found = {}
        for code in np.unique(key).tolist():
            role, split = divmod(code, len(splits))
            found[roles[role], splits[split]] = Rows(self._columns, self._read, every[key == code])
        return found


def checksum(blocks: Iterable[bytes]) -> int:
    """Of a manifest, so that columns of another one are known as such: its CRC-32 and length in one number."""
    value = length = 0
    for block in blocks:
        value, length = zlib.crc32(block, value), length + len(block)
    return length << 32 | value
