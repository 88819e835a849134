"""Splits without leaks: nothing that shares a speaker, video, fold or recording is torn apart."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from unhiss.data.clips import Clip, leaks
from unhiss.errors import CorpusError


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
    """`clips` with final splits, family by family, so that none is torn apart.

    1. A clip whose corpus has no division of its own (`loose`) follows its family to the split that the
       others' corpora put it in.
    2. A role without clips in "valid" gets about `share` of its training clips there. Which families move
       is decided by a hash of their groups and the seed, so that adding a corpus does not reshuffle others.
    Families that corpora's own divisions tear are left torn, for `refuse_leaks` to name.
    """
    split = [clip.split for clip in clips]
    hung = families(clips)
    for family in hung:
        own = {split[i] for i in family if not clips[i].loose}
        if len(own) == 1:
            for i in family:
                split[i] = min(own)
    movable = [family for family in hung if all(split[i] == "train" for i in family)]
    movable.sort(key=lambda family: _rank(clips, family, seed))
    for role in ("speech", "noise"):
        _validate(clips, split, role, share, movable)
    return [replace(clip, split=new) if clip.split != new else clip for clip, new in zip(clips, split, strict=True)]


def _validate(clips: list[Clip], split: list[str], role: str, share: float, movable: list[list[int]]) -> None:
    """Move families with clips of `role` to "valid" in `split`, up to `share` of the role's training clips."""
    members = [i for i, clip in enumerate(clips) if clip.role == role]
    if share <= 0 or any(split[i] == "valid" for i in members):
        return
    wanted, moved = share * sum(split[i] == "train" for i in members), 0
    sizes = [(sum(clips[i].role == role for i in family), family) for family in movable]
    sizes = [(size, family) for size, family in sizes if size]
    for size, family in sizes:
        # A family that would overshoot by far (one fold holding all) stays in training.
        if moved < wanted and size <= max(1.0, 4 * wanted):
            moved += size
            for i in family:
                split[i] = "valid"
    if not moved and len(sizes) > 1:  # all are large; a validation part larger than asked beats none
        for i in min(sizes, key=lambda item: item[0])[1]:
            split[i] = "valid"


def _rank(clips: list[Clip], family: list[int], seed: int) -> str:
    smallest = min((name for i in family for name in clips[i].groups), default=str(clips[family[0]].path))
    return hashlib.sha256(f"{seed} {smallest}".encode()).hexdigest()


def refuse_leaks(clips: list[Clip]) -> None:
    """Raise CorpusError naming the offenders if a group stands in two splits."""
    found = leaks(clips)
    if not found:
        return
    shown = []
    for name, splits in sorted(found.items())[:5]:
        example = {clip.split: clip for clip in clips if name in clip.groups}
        places = (f"{split} ({example[split].corpus} {example[split].path.name})" for split in sorted(splits))
        shown.append(f"{name} in {' and '.join(places)}")
    more = f"; and {len(found) - 5} more" if len(found) > 5 else ""
    raise CorpusError(
        f"{len(found)} group(s) would stand in two splits: {'; '.join(shown)}{more}; choose other parts of them"
    )
