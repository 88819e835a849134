"""The last step of every prepared set, however its shards came about: manifest, card, and dataset.json."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unhiss.data.card import write_card
from unhiss.data.files import save_bytes, save_text
from unhiss.data.rows import Row
from unhiss.data.store import FORMAT, manifest_files
from unhiss.errors import DataError
from unhiss.remote import RemotePath

REJECTED = ("id", "corpus", "reason", "detail")  # columns of rejected.csv


def complete(
    target: Path | RemotePath,
    lines: list[str],
    rejected: list[dict[str, str]],
    preprocessing: dict[str, Any],
    facts: dict[str, Any],
) -> None:
    """Write what stands beside the shards, and last of all dataset.json, which says: complete.

    lines: rows as JSON, in manifest order. facts: seed, sources, and shards, the SHA-256 of each.
    Raises DataError if there is no row.
    """
    rows = [Row.from_json(line) for line in lines]
    if not rows:
        first = f", the first for: {rejected[0]['reason']} ({rejected[0]['detail']})" if rejected else ""
        raise DataError(f"nothing usable: all {len(rejected)} clips were left out{first}")
    for file, content in manifest_files(lines).items():
        save_bytes(target / file, content)
    table = io.StringIO()
    writer = csv.DictWriter(table, REJECTED, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rejected)
    save_text(target / "rejected.csv", table.getvalue())
    settings = summarise(rows, rejected, preprocessing) | facts
    write_card(target, rows, settings)
    save_text(target / "dataset.json", json.dumps(settings, indent=1, sort_keys=True, ensure_ascii=False))


def rejected_of(folder: Path | RemotePath) -> list[dict[str, str]]:
    """The clips that were left out of a set."""
    path = folder / "rejected.csv"
    if not path.is_file():
        return []
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))


def summarise(rows: Sequence[Row], rejected: list[dict[str, str]], preprocessing: dict[str, Any]) -> dict[str, Any]:
    """Counts, hours and licences of a set, as dataset.json keeps them."""
    parts: dict[str, dict[str, Any]] = {}
    licences: dict[str, dict[str, Any]] = {}
    for row in rows:
        for key, tree in ((f"{row.role}/{row.split}", parts), (f"{row.corpus}: {row.licence}", licences)):
            entry = tree.setdefault(key, {"clips": 0, "hours": 0.0})
            entry["clips"] += 1
            entry["hours"] += row.length / preprocessing["sample_rate"] / 3600
        licence = licences[f"{row.corpus}: {row.licence}"]
        # One clip that may not be used commercially speaks for all that share the line.
        licence["commercial_use"] = licence.get("commercial_use", True) and row.commercial_use
    for entry in [*parts.values(), *licences.values()]:
        entry["hours"] = round(entry["hours"], 4)
    return {
        "format": FORMAT,
        "sample_rate": preprocessing["sample_rate"],
        "preprocessing": preprocessing,
        "splits": parts,
        "licences": licences,
        "rejected": dict(sorted(Counter(item["reason"] for item in rejected).items())),
    }
