"""Recordings that several noise corpora cut from Freesound, and folds that keep them whole.

UrbanSound8K (`fsID`), ESC-50 and ESC-10 (`src_file`) name a recording by its Freesound number, so the
same dog may bark in all of them: 26 recordings of ESC-10 stand in UrbanSound8K too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from unhiss.data.clips import group

CORPORA = ("urbansound8k", "esc50", "esc10")


def recording_groups(corpus: str, recording: str) -> tuple[str, ...]:
    """Groups of a source recording: the corpus's own, and Freesound's where it comes from there.

    >>> recording_groups("UrbanSound8K", "100032")
    ('urbansound8k/recording/100032', 'freesound/recording/100032')
    >>> recording_groups("MUSAN", "noise-free-sound-0000")
    ('musan/recording/noise-free-sound-0000',)
    """
    own = group(corpus, "recording", recording)
    if own.split("/")[0] not in CORPORA:
        return (own,)
    return own, group("Freesound", "recording", recording)


def home_folds(rows: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Each recording's one fold, from (recording, fold) of every clip: where most of its clips lie.

    UrbanSound8K tears five recordings: 16 clips of recording 180937 lie in fold 9, 79 in fold 1. Such
    strays count as of the home fold (the lower one in a tie), so that no recording is in two folds.

    >>> home_folds([("a", 2), ("a", 1), ("a", 2), ("b", 7), ("b", 2)])
    {'a': 2, 'b': 2}
    """
    counts: dict[str, Counter[int]] = {}
    for recording, fold in rows:
        counts.setdefault(recording, Counter())[fold] += 1
    return {name: min(folds, key=lambda fold: (-folds[fold], fold)) for name, folds in counts.items()}
