"""`unhiss prepare`: corpora -> a data set to train on. A run that was killed is resumed by the same call."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from unhiss.data import synth
from unhiss.data.clips import Clip
from unhiss.data.completion import complete_set, nothing_usable
from unhiss.data.locks import run_workers
from unhiss.data.output_folder import claim_folder
from unhiss.data.shards import (
    CLIPS_PER_SHARD,
    Preprocessing,
    QualityRater,
    Rejected,
    is_complete,
    rejection,
    write_shards,
)
from unhiss.data.splits import refuse_leaks, split_off
from unhiss.data.storage import file_names, make_folder
from unhiss.data.store import FORMAT, SETTINGS, Store
from unhiss.fleet.mapping import ALL_PROCESSORS, Fleet
from unhiss.remote import MAX_REQUESTS, RemotePath


@dataclass(frozen=True)
class ClipSource:
    """Clips of one --speech or --noise; root: the folder that their names in the manifest are relative to."""

    spec: str
    root: Path
    clips: list[Clip]


@dataclass(frozen=True)
class ShardPlan:
    """clips: (id, clip) with final splits, in an order that does not depend on the file system.

    rejected: clips left out before any was opened. fingerprint: equal plans give equal data sets.
    """

    clips: list[tuple[str, Clip]]
    rejected: list[dict[str, str]]
    fingerprint: str

    def shards(self) -> dict[str, list[tuple[str, Clip]]]:
        """Shard name -> its clips: 64 of one role and split each, so that a shard is one process's work."""
        shards: dict[str, list[tuple[str, Clip]]] = {}
        counts: Counter[tuple[str, str]] = Counter()
        for name, clip in self.clips:
            key = (clip.role, clip.split)
            shards.setdefault(f"{clip.role}-{clip.split}-{counts[key] // CLIPS_PER_SHARD:05d}", []).append((name, clip))
            counts[key] += 1
        return shards


def prepare(
    sources: list[ClipSource], target: Path | RemotePath, preprocessing: Preprocessing, *, valid_share: float = 0.05,
    seed: int = 0, fleet: Fleet = ALL_PROCESSORS, rater: QualityRater | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Store:  # fmt: skip
    """Write a prepared data set into `target` and open it.

    target: a local folder, or s3://…, of which no local copy is kept. rater: measures `preprocessing.min_mos`; it is
    pickled by name. `progress(done, total)` counts clips.
    Raises CorpusError when a group would stand in two splits, DataError when `target` holds another
    data set or no usable clip is left.
    """
    plan = plan_shards(sources, preprocessing, valid_share, seed)
    shards, total = plan.shards(), len(plan.clips)
    with claim_folder(target, plan.fingerprint, "data set") as temp_folder, ThreadPoolExecutor(MAX_REQUESTS) as threads:
        folder = make_folder(target / "shards")
        complete = threads.map(partial(is_complete, folder, existing=file_names(folder)), shards)
        todo = [name for name, done in zip(shards, complete, strict=True) if not done]
        sizes = [len(shards[name]) for name in todo]
        items = [(name, shards[name], folder, preprocessing, rater, temp_folder) for name in todo]
        run_workers(
            write_shards, sizes, items, temp_folder, fleet, lambda done: progress(done, total), total - sum(sizes)
        )
        if todo or not (target / SETTINGS).is_file():
            contents = threads.map(lambda name: (folder / f"{name}.json").read_bytes(), sorted(shards))
            parts = [json.loads(content) for content in contents]
            lines = [line for part in parts for line in part["rows"]]
            rejected = plan.rejected + [row for part in parts for row in part["rejected"]]
            hashes = {name: digest for part in parts for name, digest in part["shards"].items()}
            metadata = {"seed": seed, "sources": [source.spec for source in sources], "shards": hashes}
            complete_set(target, lines, rejected, asdict(preprocessing), metadata)
    return Store(target)


def plan_shards(sources: list[ClipSource], preprocessing: Preprocessing, valid_share: float, seed: int) -> ShardPlan:
    """The plan for all sources. Clips are left out whose file is missing, that another source has named before, or
    whose licence does not allow the use.

    Raises CorpusError if a group would stand in two splits, DataError if no clip is left.
    """
    available, rejected = _available(sources, preprocessing.commercial_only)
    if not available:
        raise nothing_usable(rejected, "id")
    available.sort(key=lambda item: (item[1].role, item[0], item[1].split))
    clips = split_off([clip for _, clip, _ in available], valid_share, seed)
    refuse_leaks(clips)
    digest = hashlib.sha256(json.dumps([FORMAT, asdict(preprocessing), seed]).encode())
    named = []
    for (name, _, size), clip in zip(available, clips, strict=True):
        named.append((name, clip))
        values = [name, size, clip.role, clip.kind, clip.groups, clip.split, clip.licence, clip.commercial_use]
        digest.update(json.dumps([*values, clip.corpus, clip.language, clip.text]).encode())
    rejected.sort(key=lambda item: (item["id"], item["reason"]))
    return ShardPlan(named, rejected, digest.hexdigest())


def _available(
    sources: list[ClipSource], commercial_only: bool
) -> tuple[list[tuple[str, Clip, int]], list[dict[str, str]]]:
    """(id, clip, bytes) of each existing file, once in each split, and the clips left out."""
    available: list[tuple[str, Clip, int]] = []
    rejected: list[dict[str, str]] = []
    taken: set[str] = set()
    seen: set[tuple[str, str, Path | RemotePath]] = set()
    for source in sources:
        for clip in source.clips:
            name = _id(source.root, clip)
            size = 0 if synth.is_synthetic(clip) else _size(clip)
            key = (clip.role, clip.split, clip.url or clip.path.absolute())
            if commercial_only and not clip.commercial_use:
                rejected.append(rejection(name, clip, Rejected("licence", clip.licence)))
            elif size is None:
                rejected.append(rejection(name, clip, Rejected("missing", "no such file")))
            elif key in seen:
                rejected.append(rejection(name, clip, Rejected("repeated", "named by two sources")))
            else:
                seen.add(key)
                available.append((unique_id(name, clip.role, taken), clip, size))
    return available, rejected


def unique_id(name: str, role: str, taken: set[str]) -> str:
    """`name`, with ~2, ~3 … behind it if clips of the role have that name already; adds it to `taken`."""
    unique, count = name, 1
    while f"{role} {unique}" in taken:
        count += 1
        unique = f"{name}~{count}"
    taken.add(f"{role} {unique}")
    return unique


def _size(clip: Clip) -> int | None:
    if clip.url:
        return clip.size
    try:
        return clip.path.stat().st_size if clip.path.is_file() else None
    except OSError:
        return None


def _id(root: Path, clip: Clip) -> str:
    inside = clip.path.is_relative_to(root)
    return f"{clip.corpus}/{(clip.path.relative_to(root) if inside else clip.path).as_posix()}"
