"""The prepared data set: int16 shards that are memory-mapped, one manifest, one dataset.json."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hush.errors import DataError

FORMAT = 1  # of the folder; another number means another layout
FULL_SCALE = 32767.0
AGAIN = "remove it and run the same hush prepare again"


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
    def from_json(cls, line: str) -> Row:
        tree = json.loads(line)
        tree["groups"] = tuple(tree["groups"])
        return cls(**{item.name: tree[item.name] for item in fields(cls)})

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)


class Store:
    """A prepared data set, opened for reading.

    settings: the content of dataset.json. rows: every clip in manifest order. `samples(row)` is its
    int16 `(T,)`, a view into the mapped shard. Raises DataError if the folder is none or unfinished.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            self.settings: dict[str, Any] = json.loads((self.folder / "dataset.json").read_text(encoding="utf-8"))
            lines = (self.folder / "manifest.jsonl").read_text(encoding="utf-8").split("\n")
            self.rows = [Row.from_json(line) for line in lines if line]
            found = self.settings["format"]
        except (FileNotFoundError, NotADirectoryError) as error:
            raise DataError(f"{self.folder} {_lack(self.folder)}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{self.folder} is damaged ({error}); remove it and prepare it again") from error
        if found != FORMAT:
            raise DataError(f"{self.folder} has format {found}, this hush reads {FORMAT}; prepare it again")
        self._shards: dict[str, np.ndarray] = {}

    @property
    def rate(self) -> int:
        """Samples per second of every clip."""
        return int(self.settings["sample_rate"])

    @cached_property
    def parts(self) -> dict[tuple[str, str], list[Row]]:
        """Rows by (role, split)."""
        found: dict[tuple[str, str], list[Row]] = {}
        for row in self.rows:
            found.setdefault((row.role, row.split), []).append(row)
        return found

    def part(self, role: str, split: str) -> list[Row]:
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
                self._shards[row.shard] = np.load(self.folder / "shards" / row.shard, mmap_mode="r")
            except (OSError, ValueError, EOFError) as error:
                raise DataError(f"{self.folder}/shards/{row.shard} is missing or damaged; {AGAIN}") from error
        samples: np.ndarray = self._shards[row.shard][row.offset : row.offset + row.length]
        if samples.size != row.length:
            raise DataError(f"{self.folder}/shards/{row.shard} is too short for {row.id}; {AGAIN}")
        return samples


def _lack(folder: Path) -> str:
    """What to say of a folder without dataset.json."""
    if not folder.exists():
        return "does not exist; make it with hush prepare"
    if (folder / "plan.json").is_file():
        return "is unfinished; run the same hush prepare again"
    return "is no prepared data set; see hush prepare"
