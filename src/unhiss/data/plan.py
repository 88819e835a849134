"""What `unhiss prepare` is about to do: every clip with its name and split, and the shards they go to."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from unhiss.data import synth
from unhiss.data.clips import Clip
from unhiss.data.shards import CLIPS_PER_SHARD, Preprocessing, rejection
from unhiss.data.splits import carve, refuse_leaks
from unhiss.data.store import FORMAT
from unhiss.errors import DataError
from unhiss.remote import RemotePath


@dataclass(frozen=True)
class Source:
    """Clips of one --speech or --noise; root: the folder their names in the manifest start from."""

    spec: str
    root: Path
    clips: list[Clip]


@dataclass(frozen=True)
class Plan:
    """clips: (id, clip) with final splits, in an order that no file system decides.

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


def make_plan(sources: list[Source], preprocessing: Preprocessing, valid_share: float, seed: int) -> Plan:
    """The plan of all sources. Clips whose file is missing, that were named before, or whose
    licence is not free enough are left out.

    Raises CorpusError if a group would stand in two splits, DataError if no file is there at all.
    """
    named, rejected = _there(sources, preprocessing.commercial_only)
    if not named:
        first = f", the first for: {rejected[0]['reason']} ({rejected[0]['id']})" if rejected else ""
        raise DataError(f"nothing usable: all {len(rejected)} clips were left out{first}")
    named.sort(key=lambda item: (item[1].role, item[0], item[1].split))
    clips = carve([clip for _, clip, _ in named], valid_share, seed)
    refuse_leaks(clips)
    digest = hashlib.sha256(json.dumps([FORMAT, asdict(preprocessing), seed]).encode())
    for (name, _, size), clip in zip(named, clips, strict=True):
        facts = [name, size, clip.role, clip.kind, clip.groups, clip.split, clip.licence, clip.commercial_use]
        digest.update(json.dumps([*facts, clip.corpus, clip.language, clip.text]).encode())
    rejected.sort(key=lambda item: (item["id"], item["reason"]))
    return Plan([(name, clip) for (name, _, _), clip in zip(named, clips, strict=True)], rejected, digest.hexdigest())


def _there(sources: list[Source], commercial_only: bool) -> tuple[list[tuple[str, Clip, int]], list[dict[str, str]]]:
    """(id, clip, bytes) of each file that exists, once a split, and the clips left out."""
    found: list[tuple[str, Clip, int]] = []
    rejected: list[dict[str, str]] = []
    taken: set[str] = set()
    seen: set[tuple[str, str, Path | RemotePath]] = set()
    for source in sources:
        for clip in source.clips:
            name = _id(source.root, clip)
            size = 0 if synth.is_made(clip) else _size(clip)
            key = (clip.role, clip.split, clip.there or clip.path.absolute())
            if commercial_only and not clip.commercial_use:
                rejected.append(rejection(name, clip, "licence", clip.licence))
            elif size is None:
                rejected.append(rejection(name, clip, "missing", "no such file"))
            elif key in seen:
                rejected.append(rejection(name, clip, "repeated", "named by two sources"))
            else:
                seen.add(key)
                name = free_name(f"{clip.role} {name}", taken).partition(" ")[2]
                found.append((name, clip, size))
    return found, rejected


def free_name(name: str, taken: set[str]) -> str:
    """`name`, or with ~2, ~3 … if two folders hold files of the same name."""
    free, count = name, 1
    while free in taken:
        count += 1
        free = f"{name}~{count}"
    taken.add(free)
    return free


def _size(clip: Clip) -> int | None:
    if clip.there:
        return clip.size
    path = clip.path
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


def _id(root: Path, clip: Clip) -> str:
    inside = clip.path.is_relative_to(root)
    return f"{clip.corpus}/{(clip.path.relative_to(root) if inside else clip.path).as_posix()}"
