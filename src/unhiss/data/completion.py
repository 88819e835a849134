"""The last step of every prepared set, however its shards were made: manifest, card, and dataset.json."""

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unhiss.data.card import write_card
from unhiss.data.manifest import ManifestRow, manifest_files
from unhiss.data.storage import save_bytes, save_table, save_text
from unhiss.data.store import FORMAT, SETTINGS
from unhiss.errors import DataError
from unhiss.remote import RemotePath

REJECTED = "rejected.csv"
REJECTED_COLUMNS = ("id", "corpus", "reason", "detail")


def complete_set(
    target: Path | RemotePath, lines: list[str], rejected: list[dict[str, str]], preprocessing: dict[str, Any],
    metadata: dict[str, Any],
) -> None:  # fmt: skip
    """Write the files beside the shards, and last of all dataset.json, which marks the set as complete.

    lines: rows as JSON, in manifest order. metadata: seed, sources, and shards, the SHA-256 of each.
    Raises DataError if there is no row.
    """
    rows = [ManifestRow.from_json(line) for line in lines]
    if not rows:
        raise nothing_usable(rejected, "detail")
    for file, content in manifest_files(lines).items():
        save_bytes(target / file, content)
    save_table(target / REJECTED, REJECTED_COLUMNS, rejected)
    settings = summarise(rows, rejected, preprocessing) | metadata
    write_card(target, rows, settings)
    save_text(target / SETTINGS, json.dumps(settings, indent=1, sort_keys=True, ensure_ascii=False))


def nothing_usable(rejected: list[dict[str, str]], explanation: str) -> DataError:
    """The error for a set without clips. explanation: the column of rejected.csv that explains the first reason."""
    first = f", the first for: {rejected[0]['reason']} ({rejected[0][explanation]})" if rejected else ""
    return DataError(f"nothing usable: all {len(rejected)} clips were left out{first}")


def read_rejected(folder: Path | RemotePath) -> list[dict[str, str]]:
    """The clips that were left out of a set."""
    path = folder / REJECTED
    content = path.read_bytes().decode() if path.is_file() else ""
    return list(csv.DictReader(io.StringIO(content, newline="")))


def summarise(
    rows: Sequence[ManifestRow], rejected: list[dict[str, str]], preprocessing: dict[str, Any]
) -> dict[str, Any]:
    """Counts, hours and licences of a set, as dataset.json states them."""
    parts: dict[str, dict[str, Any]] = {}
    licences: dict[str, dict[str, Any]] = {}
    for row in rows:
        for key, tree in ((f"{row.role}/{row.split}", parts), (f"{row.corpus}: {row.licence}", licences)):
            entry = tree.setdefault(key, {"clips": 0, "hours": 0.0})
            entry["clips"] += 1
            entry["hours"] += row.length / preprocessing["sample_rate"] / 3600
        licence = licences[f"{row.corpus}: {row.licence}"]
        # One clip that bars commercial use decides for all that share the entry.
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
