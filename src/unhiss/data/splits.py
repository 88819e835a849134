"""Splits without leaks: clips that share a speaker, video, fold or recording stay in one split."""

import hashlib
from dataclasses import replace

from unhiss.data.clips import ROLES, Clip, leaks
from unhiss.errors import CorpusError


def connected_groups(clips: list[Clip]) -> list[list[int]]:
    """Indices of clips that are connected, directly or through others, by any shared group."""
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
    components: dict[int, list[int]] = {}
    for i in range(len(clips)):
        components.setdefault(root(i), []).append(i)
    return list(components.values())


def split_off(clips: list[Clip], share: float, seed: int) -> list[Clip]:
    """`clips` with final splits; clips that are connected by groups stay in one split.

    1. A clip whose corpus has no division of its own (`flexible_split`) follows the clips it is connected to, to the
       split that their corpora put them in.
    2. A role without clips in "valid" gets about `share` of its training clips there. Which connected clips move
       is decided by a hash of their groups and the seed, so that adding a corpus does not reshuffle others.
    Where corpora's own divisions contradict each other, clips are left as they are, for `refuse_leaks` to report.
    """
    split = [clip.split for clip in clips]
    components = connected_groups(clips)
    for component in components:
        fixed = {split[i] for i in component if not clips[i].flexible_split}
        if len(fixed) == 1:
            for i in component:
                split[i] = min(fixed)
    movable = [component for component in components if all(split[i] == "train" for i in component)]
    movable.sort(key=lambda component: _rank(clips, component, seed))
    for role in ROLES:
        _move_to_valid(clips, split, role, share, movable)
    return [replace(clip, split=new) if clip.split != new else clip for clip, new in zip(clips, split, strict=True)]


def _move_to_valid(clips: list[Clip], split: list[str], role: str, share: float, movable: list[list[int]]) -> None:
    """Move components with clips of `role` to "valid" in `split`, up to `share` of the role's training clips."""
    members = [i for i, clip in enumerate(clips) if clip.role == role]
    if share <= 0 or any(split[i] == "valid" for i in members):
        return
    target, moved = share * sum(split[i] == "train" for i in members), 0
    sizes = [(sum(clips[i].role == role for i in component), component) for component in movable]
    sizes = [(size, component) for size, component in sizes if size]
    for size, component in sizes:
        # A component that would overshoot by far (one fold with all clips) stays in training.
        if moved < target and size <= max(1.0, 4 * target):
            moved += size
            for i in component:
                split[i] = "valid"
    if not moved and len(sizes) > 1:  # all are large; a validation part larger than asked for beats none
        for i in min(sizes, key=lambda item: item[0])[1]:
            split[i] = "valid"


def _rank(clips: list[Clip], component: list[int], seed: int) -> str:
    smallest = min((name for i in component for name in clips[i].groups), default=str(clips[component[0]].path))
    return hashlib.sha256(f"{seed} {smallest}".encode()).hexdigest()


def refuse_leaks(clips: list[Clip]) -> None:
    """Raise CorpusError, naming the first offenders, if a group is in two splits."""
    leaking = leaks(clips)
    if not leaking:
        return
    lines = []
    for name, splits in sorted(leaking.items())[:5]:
        example = {clip.split: clip for clip in clips if name in clip.groups}
        sides = (f"{split} ({example[split].corpus} {example[split].path.name})" for split in sorted(splits))
        lines.append(f"{name} in {' and '.join(sides)}")
    more = f"; and {len(leaking) - 5} more" if len(leaking) > 5 else ""
    raise CorpusError(
        f"{len(leaking)} group(s) would stand in two splits: {'; '.join(lines)}{more}; choose other parts of them"
    )
