"""`hush prepare`: corpora -> a data set to train on. Killed at any moment, the same call carries on."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hush.data.clips import Clip
from hush.data.shards import CLIPS_PER_SHARD, Cleaning, Rater, build, save
from hush.data.splits import carve, refuse_leaks
from hush.data.store import Row, Store
from hush.errors import DataError

FORMAT = 1


@dataclass(frozen=True)
class Source:
    """Clips of one --speech or --noise, each with an id that names it in the manifest."""

    spec: str
    root: Path
    clips: list[Clip]


def _id(root: Path, clip: Clip) -> str:
    inside = clip.path.is_relative_to(root)
    return f"{clip.corpus}/{(clip.path.relative_to(root) if inside else clip.path).as_posix()}"


def _plan(sources: list[Source], cleaning: Cleaning, valid_share: float, seed: int) -> list[tuple[str, Clip]]:
    """All clips with their ids and final splits, in an order that no file system decides."""
    pairs = [(_id(source.root, clip), clip) for source in sources for clip in source.clips]
    pairs.sort(key=lambda pair: (pair[1].role, pair[0], pair[1].split))
    clips = carve([clip for _, clip in pairs], valid_share, seed)
    refuse_leaks(clips)
    return [(name, clip) for (name, _), clip in zip(pairs, clips, strict=True)]


def _fingerprint(plan: list[tuple[str, Clip]], cleaning: Cleaning, seed: int) -> str:
    digest = hashlib.sha256(json.dumps([FORMAT, asdict(cleaning), seed]).encode())
    for name, clip in plan:
        digest.update(f"{name}\0{clip.split}\0{clip.groups}\0".encode())
    return digest.hexdigest()


def _shards(plan: list[tuple[str, Clip]]) -> dict[str, list[tuple[str, Clip]]]:
    """Shard name -> its clips: 64 of one role and split each, so that a shard is one process's work."""
    shards: dict[str, list[tuple[str, Clip]]] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for name, clip in plan:
        key = (clip.role, clip.split)
        shards.setdefault(f"{clip.role}-{clip.split}-{counts[key] // CLIPS_PER_SHARD:05d}", []).append((name, clip))
        counts[key] += 1
    return shards


def prepare(
    sources: list[Source],
    target: Path,
    cleaning: Cleaning,
    *,
    valid_share: float = 0.05,
    seed: int = 0,
    jobs: int | None = None,
    rater: Rater | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Store:
    """Write a prepared data set into `target` and open it.

    Raises CorpusError when a group would stand in two splits, DataError when `target` holds another
    data set or nothing usable is left. `progress(done, total)` counts clips.
    """
    plan = _plan(sources, cleaning, valid_share, seed)
    _claim(target, _fingerprint(plan, cleaning, seed))
    shards = _shards(plan)
    folder = target / "shards"
    folder.mkdir(exist_ok=True)
    for leftover in folder.glob(".*.part"):
        leftover.unlink()
    todo = {name: clips for name, clips in shards.items() if not (folder / f"{name}.json").is_file()}
    done = len(plan) - sum(map(len, todo.values()))
    progress(done, len(plan))
    context = multiprocessing.get_context("spawn")  # fork would copy the threads of onnxruntime half-alive
    workers = max(1, min(jobs or os.cpu_count() or 1, len(todo)))
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        running = {pool.submit(build, name, clips, folder, cleaning, rater): len(clips) for name, clips in todo.items()}
        try:
            for finished in as_completed(running):
                finished.result()
                done += running[finished]
                progress(done, len(plan))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    _finish(target, list(shards), cleaning, seed, [source.spec for source in sources])
    return Store(target)


def _claim(target: Path, fingerprint: str) -> None:
    """Make `target` ours, or find that it already is; anything else there is refused."""
    note = target / "plan.json"
    if note.is_file():
        if json.loads(note.read_text())["fingerprint"] != fingerprint:
            raise DataError(f"{target} holds a data set of other sources or settings; choose another -o or remove it")
        return
    if target.is_dir() and any(target.iterdir()):
        raise DataError(f"{target} is not empty and no prepared data set; choose another -o")
    target.mkdir(parents=True, exist_ok=True)
    save(note, lambda file: file.write(json.dumps({"fingerprint": fingerprint}).encode()))


def _finish(target: Path, names: list[str], cleaning: Cleaning, seed: int, specs: list[str]) -> None:
    """Merge the shards' rows into the manifest, then write dataset.json, which says: complete."""
    lines: list[str] = []
    rejected: list[dict[str, str]] = []
    hashes = {}
    for name in sorted(names):
        part = json.loads((target / "shards" / f"{name}.json").read_text(encoding="utf-8"))
        lines += part["rows"]
        rejected += part["rejected"]
        with (target / "shards" / f"{name}.npy").open("rb") as file:
            hashes[f"{name}.npy"] = hashlib.file_digest(file, "sha256").hexdigest()
    rows = [Row.from_json(line) for line in lines]
    if not rows:
        first = f", the first for: {rejected[0]['reason']} ({rejected[0]['detail']})" if rejected else ""
        raise DataError(f"nothing usable: all {len(rejected)} clips were left out{first}")
    save(target / "manifest.jsonl", lambda file: file.write("".join(f"{line}\n" for line in lines).encode()))
    table = io.StringIO()
    writer = csv.DictWriter(table, ["id", "corpus", "reason", "detail"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rejected)
    save(target / "rejected.csv", lambda file: file.write(table.getvalue().encode()))
    settings = summarise(rows, rejected, cleaning) | {"seed": seed, "sources": specs, "shards": hashes}
    text = json.dumps(settings, indent=1, sort_keys=True, ensure_ascii=False)
    save(target / "dataset.json", lambda file: file.write(text.encode()))


def summarise(rows: list[Row], rejected: list[dict[str, str]], cleaning: Cleaning) -> dict[str, Any]:
    """Counts, hours and licences of a set, as dataset.json keeps them."""
    parts: dict[str, dict[str, Any]] = {}
    licences: dict[str, dict[str, Any]] = {}
    for row in rows:
        for key, tree in ((f"{row.role}/{row.split}", parts), (f"{row.corpus}: {row.licence}", licences)):
            entry = tree.setdefault(key, {"clips": 0, "hours": 0.0})
            entry["clips"] += 1
            entry["hours"] += row.length / cleaning.sample_rate / 3600
        licences[f"{row.corpus}: {row.licence}"]["commercial_use"] = row.commercial_use
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
