"""`hush prepare`: corpora -> a data set to train on. Killed at any moment, the same call carries on."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hush.data.card import write_card
from hush.data.output import claim, save_text
from hush.data.plan import Plan, Source, make_plan
from hush.data.shards import Cleaning, Rater, build
from hush.data.store import FORMAT, Row, Store
from hush.data.workers import run
from hush.errors import DataError
from hush.fleet.mapping import Fleet


def prepare(
    sources: list[Source],
    target: Path,
    cleaning: Cleaning,
    *,
    valid_share: float = 0.05,
    seed: int = 0,
    jobs: int | None = None,
    ray: str | None = None,
    rater: Rater | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Store:
    """Write a prepared data set into `target` and open it.

    jobs, ray: see Fleet. rater: what `cleaning.min_mos` is measured with; it travels to other processes by its name.
    Raises CorpusError when a group would stand in two splits, DataError when `target` holds another
    data set or nothing usable is left. `progress(done, total)` counts clips.
    """
    plan = make_plan(sources, cleaning, valid_share, seed)
    shards, total = plan.shards(), len(plan.clips)
    with claim(target, plan.fingerprint, "data set"):
        folder = target / "shards"
        folder.mkdir(exist_ok=True)
        todo = [name for name in shards if not all((folder / f"{name}{end}").is_file() for end in (".json", ".npy"))]
        done = total - sum(len(shards[name]) for name in todo)
        progress(done, total)

        def finished(index: int) -> None:
            nonlocal done
            done += len(shards[todo[index]])
            progress(done, total)

        run(build, [(name, shards[name], folder, cleaning, rater) for name in todo], target, Fleet(jobs, ray), finished)
        if todo or not (target / "dataset.json").is_file():
            _finish(
                target, list(shards), plan, cleaning, {"seed": seed, "sources": [source.spec for source in sources]}
            )
    return Store(target)


def _finish(target: Path, names: list[str], plan: Plan, cleaning: Cleaning, facts: dict[str, Any]) -> None:
    """Merge the shards' rows into the manifest, then write dataset.json, which says: complete."""
    lines: list[str] = []
    rejected = list(plan.rejected)
    hashes = {}
    for name in sorted(names):
        part = json.loads((target / "shards" / f"{name}.json").read_text(encoding="utf-8"))
        lines += part["rows"]
        rejected += part["rejected"]
        hashes[f"{name}.npy"] = part["sha256"]
    rows = [Row.from_json(line) for line in lines]
    if not rows:
        first = f", the first for: {rejected[0]['reason']} ({rejected[0]['detail']})" if rejected else ""
        raise DataError(f"nothing usable: all {len(rejected)} clips were left out{first}")
    save_text(target / "manifest.jsonl", "".join(f"{line}\n" for line in lines))
    table = io.StringIO()
    writer = csv.DictWriter(table, ["id", "corpus", "reason", "detail"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rejected)
    save_text(target / "rejected.csv", table.getvalue())
    settings = summarise(rows, rejected, cleaning) | facts | {"shards": hashes}
    write_card(target, rows, settings)
    save_text(target / "dataset.json", json.dumps(settings, indent=1, sort_keys=True, ensure_ascii=False))


def summarise(rows: list[Row], rejected: list[dict[str, str]], cleaning: Cleaning) -> dict[str, Any]:
    """Counts, hours and licences of a set, as dataset.json keeps them."""
    parts: dict[str, dict[str, Any]] = {}
    licences: dict[str, dict[str, Any]] = {}
    for row in rows:
        for key, tree in ((f"{row.role}/{row.split}", parts), (f"{row.corpus}: {row.licence}", licences)):
            entry = tree.setdefault(key, {"clips": 0, "hours": 0.0})
            entry["clips"] += 1
            entry["hours"] += row.length / cleaning.sample_rate / 3600
        licence = licences[f"{row.corpus}: {row.licence}"]
        # One clip that may not be used commercially speaks for all that share the line.
        licence["commercial_use"] = licence.get("commercial_use", True) and row.commercial_use
    for entry in [*parts.values(), *licences.values()]:
        entry["hours"] = round(entry["hours"], 4)
    return {
        "format": FORMAT,
        "sample_rate": cleaning.sample_rate,
        "cleaning": asdict(cleaning),
        "parts": parts,
        "licences": licences,
        "rejected": dict(sorted(Counter(item["reason"] for item in rejected).items())),
    }
