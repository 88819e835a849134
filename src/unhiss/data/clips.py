"""Clips and corpora. A clip is one recording with all that decides its use and its split; a corpus reads clips."""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from unhiss.data.manifest import ManifestRow
from unhiss.errors import CorpusError, WrongCorpus, nearest
from unhiss.media.source import READABLE
from unhiss.remote import RemotePath

SPLITS = ("train", "valid", "test")
ROLES = ("speech", "noise")
# Cut from Freesound: the same dog may bark in all of them.
FREESOUND_CORPORA = ("urbansound8k", "esc50", "esc10", "freesoundesc50", "freesound")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One recording of a corpus.

    kind: the speaker, or the kind of noise. groups: names of everything that must stay within one split (speaker,
    video, fold, source recording); two clips that share a group never go to different splits, whatever corpora they
    come from. split: one of SPLITS, from the corpus's own division where it has one, else "train".
    corpus, role, licence: `Corpus.read` fills in those that the reader leaves empty.
    """

    path: Path
    kind: str
    groups: tuple[str, ...]
    corpus: str = ""  # name of the reader, or the source that a manifest states; licences are summed up by it
    role: str = ""  # "speech" or "noise"
    split: str = "train"
    licence: str = ""
    commercial_use: bool = False
    language: str = ""
    text: str = ""
    seconds: float | None = None  # as the corpus states it; None where it does not
    flexible_split: bool = False  # the corpus has no division of its own: the split may follow clips of the same group
    noisy: Path | None = None  # the same speech with noise in it, sample for sample, where the corpus has it
    url: RemotePath | None = None  # location of a remote recording; `path` is then its name as if it were local
    size: int | None = None  # bytes of a remote recording; None where its folder does not have it


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """A reader, and what a user needs to know before using the corpus.

    role: "speech", "noise", or "" where the user chooses by --speech or --noise.
    parts[0] is the default (the training part) unless a part is named as the role (MUSAN).
    reader(path, part, role) yields the clips. tables: patterns of the files that it opens, with {part} for the part.
    """

    name: str
    role: str = ""
    parts: tuple[str, ...] = SPLITS
    licence: str = "unknown"
    reader: Callable[[Path, str, str], Iterator[Clip]]
    tables: tuple[str, ...] = ()

    def default_part(self, role: str = "") -> str:
        return role if role in self.parts else self.parts[0]

    def read(self, path: Path, part: str = "", role: str = "") -> list[Clip]:
        """Clips of one part below `path`, in the same order on every machine.

        Each clip's path starts with `path` as given; the file itself may be missing.
        Raises CorpusError for an unknown part, a role that the corpus cannot serve, a missing or empty folder, another
        corpus at the path, or no clip at all.
        """
        path, role = Path(path), role or self.role
        part = part or self.default_part(role)
        if part not in self.parts:
            raise WrongCorpus(f"{self.name} has no part {part!r}; {nearest(part, list(self.parts))}")
        if role not in ROLES:
            raise WrongCorpus(f"{self.name} may be speech or noise; say which with --speech or --noise")
        if self.role and role != self.role:
            raise WrongCorpus(f"{self.name} holds {self.role}, not {role}; give it to --{self.role}")
        if not path.is_dir() or listing(path) == "nothing":
            problem = "is empty" if path.is_dir() else "is a file" if path.exists() else "does not exist"
            raise CorpusError(f"{path} {problem}; give the folder the corpus was unpacked into")
        clips = [
            replace(clip, role=role, corpus=clip.corpus or self.name, licence=clip.licence or self.licence)
            for clip in self.reader(path, part, role)
        ]
        if not clips:
            raise CorpusError(f"{path} holds no {role} of {self.name}, part {part!r}; found: {listing(path)}")
        return clips


def listing(path: Path, limit: int = 5) -> str:
    """The first names in a folder, for error messages."""
    names = sorted(entry.name for entry in path.iterdir() if not entry.name.startswith("."))
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "") or "nothing"


def root_of(path: Path, corpus: str, *markers: str) -> Path:
    """`path`, or the one folder in it that an archive was unpacked into, that contains every marker."""
    for folder in (path, *(entry for entry in sorted(path.iterdir()) if entry.is_dir())):
        if all((folder / marker).exists() for marker in markers):
            return folder
    raise CorpusError(f"{path} is not {corpus}: expected {' and '.join(markers)} in it; found: {listing(path)}")


def recordings(folder: Path) -> Iterator[Path]:
    """Audio files below a folder, by extension, sorted; hidden ones (`._x.wav` of macOS) are left out."""
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            # A link back to a folder above would recurse for ever.
            if not (entry.is_symlink() and folder.resolve().is_relative_to(entry.resolve())):
                yield from recordings(entry)
        elif entry.suffix.lower() in READABLE:
            yield entry


def group(corpus: str, what: str, name: str) -> str:
    """The canonical name of a group, the same from every reader that meets the same recording.

    >>> group("UrbanSound8K", "recording", "100032")
    'urbansound8k/recording/100032'
    """
    return f"{re.sub(r'[^a-z0-9]', '', corpus.lower())}/{what}/{name}"


def recording_groups(corpus: str, recording: str) -> tuple[str, ...]:
    """Groups of a source recording: the corpus's own, and Freesound's where the corpus is cut from there.

    UrbanSound8K (`fsID`), ESC-50 and ESC-10 (`src_file`) name a recording by its Freesound number; 26 recordings of
    ESC-10 are in UrbanSound8K too.

    >>> recording_groups("UrbanSound8K", "100032")
    ('urbansound8k/recording/100032', 'freesound/recording/100032')
    >>> recording_groups("MUSAN", "noise-free-sound-0000")
    ('musan/recording/noise-free-sound-0000',)
    """
    name = group(corpus, "recording", recording)
    from_freesound = name.split("/")[0] in FREESOUND_CORPORA
    return tuple(dict.fromkeys((name, group("Freesound", "recording", recording)))) if from_freesound else (name,)


def table(path: Path, needed: Sequence[str], delimiter: str = "\t") -> Iterator[dict[str, str]]:
    """Rows of a CSV or TSV with a header, by column name. Raises CorpusError where a needed column is missing.

    Tab-separated tables are read without quoting: Common Voice sentences contain unmatched quotes.
    """
    if not path.is_file():
        raise CorpusError(f"{path} is missing; is this the right folder?")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            quoted = delimiter != "\t"
            reader = csv.DictReader(file, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)
            columns = reader.fieldnames or []
            if missing := [name for name in needed if name not in columns]:
                raise CorpusError(f"{path} has no column {missing[0]!r}; found: {', '.join(columns) or 'nothing'}")
            for row in reader:
                yield {key: value or "" for key, value in row.items() if key is not None}
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{path} is no table in UTF-8 ({error}); unpack the corpus again") from error


def number(text: str) -> float | None:
    """A number in a table, or None where the cell is blank or no number.

    >>> number("2.5"), number("")
    (2.5, None)
    """
    try:
        return float(text)
    except ValueError:
        return None


def is_yes(text: str) -> bool:
    """Whether a cell of a table is yes, true or 1."""
    return text.strip().lower() in ("yes", "true", "1")


def leaks(clips: Iterable[Clip | ManifestRow]) -> dict[str, set[str]]:
    """Groups that are in more than one split, each with its splits; empty when none leaks."""
    splits_of: dict[str, set[str]] = {}
    for clip in clips:
        for name in clip.groups:
            splits_of.setdefault(name, set()).add(clip.split)
    return {name: splits for name, splits in splits_of.items() if len(splits) > 1}
