"""Splits without leaks: nothing that shares a speaker, video, fold or recording is torn apart."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from hush.data.clips import Clip, leaks
from hush.errors import CorpusError


def families(clips: list[Clip]) -> list[list[int]]:
    """Indices of clips that hang together, directly or through others, by any shared group."""
    parent = list(range(len(clips)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[str, int] = {}
    for i, clip in enumerate(clips):
        for name in clip.groups:
            parent[root(i)] = root(first.setdefault(name, i))
    found: dict[int, list[int]] = {}
    for i in range(len(clips)):
        found.setdefault(root(i), []).append(i)
    return list(found.values())


def carve(clips: list[Clip], share: float, seed: int) -> list[Clip]:
    """`clips` with about `share` of each role's training clips moved to "valid", family by family.

    A role that already has clips in "valid" is left as it is. Which family moves is decided by a hash
    of its groups and the seed, so that adding a corpus does not reshuffle the others.
    """
    split = {i: clip.split for i, clip in enumerate(clips)}
    for role in ("speech", "noise"):
        members = [i for i, clip in enumerate(clips) if clip.role == role]
        if not members or any(split[i] == "valid" for i in members):
            continue
        training = [i for i in members if split[i] == "train"]
        wanted, moved = share * len(training), 0
        local = [clips[i] for i in training]
        hung = [[training[k] for k in family] for family in families(local)]
        hung.sort(key=lambda family: _rank(clips, family, seed))
        for family in hung:
            # A family that would overshoot by far (one fold holding all) stays in training.
            if moved < wanted and len(family) <= max(1.0, 4 * wanted):
                moved += len(family)
                split.update(dict.fromkeys(family, "valid"))
    return [replace(clip, split=split[i]) if clip.split != split[i] else clip for i, clip in enumerate(clips)]


def _rank(clips: list[Clip], family: list[int], seed: int) -> str:
    smallest = min(name for i in family for name in clips[i].groups)
    return hashlib.sha256(f"{seed} {smallest}".encode()).hexdigest()


def refuse_leaks(clips: list[Clip]) -> None:
    """Raise CorpusError naming the offenders if a group stands in two splits."""
    found = leaks(clips)
    if found:
        shown = [f"{name} in {' and '.join(sorted(splits))}" for name, splits in sorted(found.items())[:5]]
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        raise CorpusError(f"{len(found)} group(s) stand in two splits: {'; '.join(shown)}{more}; choose other parts")
