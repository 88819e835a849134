"""Clips: one recording of a corpus, with all that decides how it may be used and split."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hush.errors import CorpusError

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One recording on disk.

    corpus: the reader's name. role: "speech" or "noise". kind: the speaker, or the kind of noise.
    groups: names of all that must stay within one split (speaker, video, fold, source recording);
    two clips that share any group may not be torn apart, whatever corpus each came from.
    split: one of SPLITS, by the corpus's own division where it has one, else "train".
    """

    path: Path
    corpus: str
    role: str
    kind: str
    groups: tuple[str, ...]
    split: str
    licence: str
    commercial_use: bool
    language: str = ""
    text: str = ""
    seconds: float | None = None  # as the corpus states it; None where it does not


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """A reader and the facts a user needs before using it; one short file each in this folder.

    read(path, part) yields the clips of one part; parts[0] is the default (the training part).
    """

    name: str
    role: str
    parts: tuple[str, ...]
    licence: str
    citation: str
    source: str
    read: Callable[[Path, str], Iterator[Clip]]


def group(corpus: str, what: str, name: str) -> str:
    """The one spelling of a group, the same from every reader that meets the same recording.

    >>> group("UrbanSound8K", "recording", "100032")
    'urbansound8k/recording/100032'
    """
    return f"{re.sub(r'[^a-z0-9]', '', corpus.lower())}/{what}/{name}"


def table(path: Path, needed: Sequence[str], delimiter: str = "\t") -> Iterator[dict[str, str]]:
    """Rows of a CSV or TSV with a header, by column name; refuses one that lacks a needed column.

    Tab-separated tables are read without quoting: Common Voice sentences hold lone quotes.
    """
    if not path.is_file():
        raise CorpusError(f"{path} is missing; is this the right folder?")
    quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter=delimiter, quoting=quoting)
        columns = reader.fieldnames or []
        missing = [name for name in needed if name not in columns]
        if missing:
            raise CorpusError(f"{path} has no column {missing[0]!r}; found: {', '.join(columns) or 'nothing'}")
        for row in reader:
            yield {key: value or "" for key, value in row.items() if key is not None}


def leaks(clips: Iterable[Clip]) -> dict[str, set[str]]:
    """Groups that stand in more than one split, each with its splits; empty when none leaks."""
    where: dict[str, set[str]] = {}
    for clip in clips:
        for name in clip.groups:
            where.setdefault(name, set()).add(clip.split)
    return {name: splits for name, splits in where.items() if len(splits) > 1}
