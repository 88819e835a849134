"""Corpora that come in folds: every source recording is kept within one fold."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from unhiss.data.clips import group, recording_groups, table
from unhiss.errors import CorpusError


def home_folds(rows: Iterable[tuple[str, int]]) -> dict[str, int]:
    """The fold of each recording, from (recording, fold) of every clip: the one with most of its clips.

    UrbanSound8K puts five recordings into two folds: 16 clips of recording 180937 are in fold 9, 79 in fold 1. The
    16 count as fold 1 (in a tie the lower fold), so that no recording is in two folds.

    >>> home_folds([("a", 2), ("a", 1), ("a", 2), ("b", 7), ("b", 2)])
    {'a': 2, 'b': 2}
    """
    counts: dict[str, Counter[int]] = {}
    for recording, fold in rows:
        counts.setdefault(recording, Counter())[fold] += 1
    return {name: min(folds, key=lambda fold: (-folds[fold], fold)) for name, folds in counts.items()}


def fold_parts(count: int) -> tuple[str, ...]:
    """The parts of a corpus with so many folds; the last fold is for testing, the one before for validation."""
    return ("train", "valid", "test", "all", *(f"fold{fold}" for fold in range(1, count + 1)))


def read_folds(
    file: Path, corpus: str, columns: Sequence[str], recording: str, count: int, part: str
) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
    """Each row of a table that belongs to `part`, with `groups` and `split` of its clip, by fold and file name.

    columns: those that the reader uses, the file name first. recording: the column with the source recording.
    Raises CorpusError for a fold beyond 1 to `count`.
    """
    rows = list(table(file, columns, ","))
    for row in rows:
        if row["fold"] not in map(str, range(1, count + 1)):
            raise CorpusError(f"{file} has the fold {row['fold']!r}; expected 1 to {count}")
    home = home_folds((row[recording], int(row["fold"])) for row in rows)
    for row in sorted(rows, key=lambda row: (int(row["fold"]), row[columns[0]])):
        fold = home[row[recording]]
        split = {count - 1: "valid", count: "test"}.get(fold, "train")
        if part in ("all", f"fold{fold}", split):
            groups = (*recording_groups(corpus, row[recording]), group(corpus, "fold", str(fold)))
            yield row, {"groups": groups, "split": split}
