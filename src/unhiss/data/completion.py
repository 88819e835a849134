"""The last step of every prepared set, however its shards were made: manifest, card, and dataset.json."""

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unhiss.data.card import write_card
from unhiss.data.clips import ROLES
from unhiss.data.manifest import ManifestRow, manifest_files, recording_of
from unhiss.data.storage import save_bytes, save_table, save_text
from unhiss.data.store import FORMAT, SETTINGS
from unhiss.errors import DataError
from unhiss.remote import RemotePath

REJECTED = "rejected.csv"
REJECTED_COLUMNS = ("id", "corpus", "reason", "detail", "role", "kind", "seconds")


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
        "lost": _losses(rows, rejected),
        "cut": _cuts(rows),
    }


def _losses(rows: Sequence[ManifestRow], rejected: list[dict[str, str]]) -> dict[str, dict[str, Any]]:
    """What the clips left out for each reason would have added, by role: hours of recordings, and speakers or kinds.

    kinds: those that the set has no clip of, and that lost one for this reason. Hours count as far as they are known.
    A repeated clip is no loss.
    """
    kept = {role: {row.kind for row in rows if row.role == role} for role in ROLES}
    lost = [item for item in rejected if item["reason"] != "repeated" and item.get("role")]
    losses: dict[str, dict[str, Any]] = {}
    for reason, role in sorted({(item["reason"], item["role"]) for item in lost}):
        items = [item for item in lost if (item["reason"], item["role"]) == (reason, role)]
        losses.setdefault(reason, {})[role] = {
            "hours": round(sum(float(item["seconds"] or 0) for item in items) / 3600, 4),
            "kinds": len({item["kind"] for item in items} - kept[role]),
            "of_kinds": len(kept[role] | {item["kind"] for item in lost if item["role"] == role}),
        }
    return losses


def _cuts(rows: Sequence[ManifestRow]) -> dict[str, int]:
    """How many recordings were cut, and into how many pieces."""
    recordings = [recording for row in rows if (recording := recording_of(row.id))]
    return {"recordings": len(set(recordings)), "pieces": len(recordings)}
