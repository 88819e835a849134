"""Rows that are done, kept in the folder of the report: a run that was killed and repeated does what is missing."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from unhiss.score.pairs import Pair
from unhiss.score.scorer import Row

NAME = "cache.jsonl"
FORMAT = 1  # to be raised when a metric is computed in another way
PACKAGES = ("numpy", "soxr", "onnxruntime", "pesq", "pystoi", "speechmos")


class Cache:
    """A line of JSON a row, added to the end as it is done. Failures are not kept: they are tried again.

    A key stands for the bytes of the recordings, the identity of the system and all that is measured with. So
    nothing is ever out of date; a line that was cut off by a crash, or is not wanted, is left where it is.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._rows: dict[str, dict[str, Any]] = {}
        text = self._path.read_text(encoding="utf-8", errors="replace") if self._path.is_file() else ""
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                self._rows[entry.pop("key")] = entry
            except (ValueError, KeyError, AttributeError):
                continue
        self._ends = not text or text.endswith("\n")

    def get(self, key: str, pair: Pair, system: str) -> Row | None:
        """The row that was kept under this key, for this pair and system."""
        entry = self._rows.get(key)
        if entry is None:
            return None
        scores = {name: float(value) for name, value in entry["scores"].items()}
        return Row(
            system=system, pair=pair, scores=scores, undefined=tuple(entry["undefined"]), extra=entry["extra"],
            cost_us=float(entry["cost_us"]),
        )  # fmt: skip

    def add(self, key: str, row: Row) -> None:
        """Keep a row, unless it failed."""
        if row.failure:
            return
        scores = {name: _exact(value) for name, value in row.scores.items()}
        facts = {"undefined": row.undefined, "extra": row.extra, "cost_us": _exact(row.cost_us)}
        entry = {"key": key, "system": row.system, "id": row.pair.id, "scores": scores, **facts}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(("" if self._ends else "\n") + json.dumps(entry, ensure_ascii=False) + "\n")
        self._ends = True


def key(digest: str, system: str, measured: Sequence[str]) -> str:
    """One key for the recordings (their digest), the system (its identity) and what is measured, and with what."""
    return hashlib.sha256(json.dumps([FORMAT, digest, system, *measured]).encode()).hexdigest()


def versions(*further: str) -> dict[str, str | None]:
    """Of the packages that scores depend on; None for one that is not installed."""
    found: dict[str, str | None] = {}
    for name in (*PACKAGES, *further):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _exact(value: float) -> float | str:
    """JSON has no NaN and no infinity; their names will do."""
    return value if math.isfinite(value) else str(value)
