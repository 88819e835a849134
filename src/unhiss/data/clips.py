"""Clips: one recording of a corpus, with all that decides how it may be used and split."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from unhiss.errors import CorpusError, nearest
from unhiss.remote import RemotePath

if TYPE_CHECKING:
    from unhiss.data.rows import Row

SPLITS = ("train", "valid", "test")
ROLES = ("speech", "noise")
AUDIO = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc", ".au", ".caf", ".w64")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One recording.

    corpus: the reader's name, or the source a manifest states for it (licences are summed up by it).
    role: "speech" or "noise". kind: the speaker, or the kind of noise.
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
    loose: bool = False  # the corpus has no division of its own: the split may follow clips it shares groups with
    noisy: Path | None = None  # the same speech with noise in it, sample for sample, where the corpus has it
    there: RemotePath | None = None  # where it lies, if elsewhere: then `path` is only its name as if it were here
    size: int | None = None  # bytes of what lies elsewhere; None where its folder does not have it


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """A reader and the facts a user needs before using it; one short file each in this folder.

    role: "speech", "noise", or "" where the user says which by --speech or --noise.
    parts[0] is the default (the training part) unless a part is named as the role (MUSAN).
    tables: patterns of the files that the reader opens, with {part} for the part's name.
    """

    name: str
    role: str
    parts: tuple[str, ...]
    licence: str
    citation: str
    source: str
    reader: Callable[[Path, str, str], Iterator[Clip]]
    tables: tuple[str, ...] = ()

    def default_part(self, role: str = "") -> str:
        return role if role in self.parts else self.parts[0]

    def read(self, path: Path, part: str = "", role: str = "") -> Iterator[Clip]:
        """Clips of one part below `path`, in the same order on every machine.

        Each clip's path starts with `path` as given; the file may be missing on disk.
        Raises CorpusError, before the first clip, for an unknown part, a role the corpus cannot serve
        and a missing or empty folder; while reading, for another corpus at the path, or no clip at all.
        """
        path, role = Path(path), role or self.role
        part = part or self.default_part(role)
        if part not in self.parts:
            raise CorpusError(f"{self.name} has no part {part!r}; {nearest(part, list(self.parts))}")
        if role not in ROLES:
            raise CorpusError(f"{self.name} may be speech or noise; say which with --speech or --noise")
        if self.role and role != self.role:
            raise CorpusError(f"{self.name} holds {self.role}, not {role}; give it to --{self.role}")
        check_folder(path)
        return self._read(path, part, role)

    def _read(self, path: Path, part: str, role: str) -> Iterator[Clip]:
        empty = True
        for clip in self.reader(path, part, role):
            empty = False
            yield clip
        if empty:
            raise CorpusError(f"{path} holds no {role} of {self.name}, part {part!r}; found: {listing(path)}")


def check_folder(path: Path) -> None:
    """Raise CorpusError unless `path` is a folder with something in it."""
    if not path.exists():
        raise CorpusError(f"{path} does not exist; give the folder the corpus was unpacked into")
    if not path.is_dir():
        raise CorpusError(f"{path} is a file; give the folder the corpus was unpacked into")
    if listing(path) == "nothing":
        raise CorpusError(f"{path} is empty; give the folder the corpus was unpacked into")


def listing(path: Path, most: int = 5) -> str:
    """The first few names in a folder, for a line that says what was found instead."""
    names = sorted(entry.name for entry in path.iterdir() if not entry.name.startswith("."))
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "") or "nothing"


def root_of(path: Path, corpus: str, *markers: str) -> Path:
    """`path`, or the one folder in it that an archive unpacked into, that holds every marker."""
    for folder in (path, *(entry for entry in sorted(path.iterdir()) if entry.is_dir())):
        if all((folder / marker).exists() for marker in markers):
            return folder
    raise CorpusError(f"{path} is not {corpus}: expected {' and '.join(markers)} in it; found: {listing(path)}")


def recordings(folder: Path) -> Iterator[Path]:
    """Audio files below a folder, by extension, sorted; hidden ones (`._x.wav` of macOS) left out."""
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            # A link back to a folder above would be walked for ever.
            if not (entry.is_symlink() and folder.resolve().is_relative_to(entry.resolve())):
                yield from recordings(entry)
        elif entry.suffix.lower() in AUDIO:
            yield entry


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
    quoting: Literal[0, 3] = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter=delimiter, quoting=quoting)
            columns = reader.fieldnames or []
            missing = [name for name in needed if name not in columns]
            if missing:
                found = ", ".join(columns) or "nothing"
                raise CorpusError(f"{path} has no column {missing[0]!r}; found: {found}")
            for row in reader:
                yield {key: value or "" for key, value in row.items() if key is not None}
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{path} is no table in UTF-8 ({error}); unpack the corpus again") from error


def number(text: str) -> float | None:
    """A figure in a table, or None where it is blank or no number.

    >>> number("2.5"), number("")
    (2.5, None)
    """
    try:
        return float(text)
    except ValueError:
        return None


def leaks(clips: Iterable[Clip | Row]) -> dict[str, set[str]]:
    """Groups that stand in more than one split, each with its splits; empty when none leaks."""
    where: dict[str, set[str]] = {}
    for clip in clips:
        for name in clip.groups:
            where.setdefault(name, set()).add(clip.split)
    return {name: splits for name, splits in where.items() if len(splits) > 1}
