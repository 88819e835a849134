"""The recordings that `unhiss denoise` is given: files, folders with their subfolders, and patterns."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from unhiss.remote import RemotePath

    FoundFile = tuple[Path | RemotePath, PurePosixPath]  # a file, and its path below the folder that is searched

PIPE = Path("-")
CLEAN = ".clean"  # at the end of the name of an output that was given none
NO_ENDING, EARLIER_OUTPUT = "no ending", "earlier output"  # kinds of files left out, beside ".txt" and its like
_ENDING = re.compile(r"\.\w{1,8}")


@dataclass(frozen=True, slots=True)
class Recording:
    """relative: its path below an output folder. folder: where it was found; None if it was named, or by a pattern."""

    source: Path | RemotePath
    relative: PurePosixPath
    folder: Path | RemotePath | None = None


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is denoised, each recording once; and by folder, how many files of which kind are not."""

    recordings: list[Recording]
    left_out: dict[str, Counter[str]] = field(default_factory=dict)


def find_inputs(sources: tuple[Path | RemotePath, ...], outputs: Iterable[Path | RemotePath | None]) -> Inputs:
    """The recordings of all arguments, in order. Raises UsageError for a folder or pattern without any.

    outputs: folders whose contents are no inputs, since an earlier run may have written them.
    """
    inputs = Inputs([])
    for source in sources:
        inputs.recordings.extend(_expand(source, list(outputs), inputs.left_out))
    unique: dict[str, Recording] = {}
    for recording in inputs.recordings:
        unique.setdefault(absolute(recording.source), recording)
    return Inputs(list(unique.values()), inputs.left_out)


def without_earlier_outputs(inputs: Inputs) -> Inputs:
    """Without `x.clean.wav` beside `x.wav`, and `folder.clean/` beside `folder/`, which runs without -o write."""
    originals = {name for recording in inputs.recordings for path in _levels(recording) for name in _stems(path)}
    kept, left_out = [], {source: counts.copy() for source, counts in inputs.left_out.items()}
    for recording in inputs.recordings:
        stems = [stem for path in _levels(recording) for stem in _stems(path)]
        if any(stem.endswith(CLEAN) and stem.removesuffix(CLEAN) in originals for stem in stems):
            left_out.setdefault(str(recording.folder or recording.source), Counter())[EARLIER_OUTPUT] += 1
        else:
            kept.append(recording)
    return Inputs(kept, left_out)


def describe_left_out(left_out: Iterable[Counter[str]]) -> Iterator[str]:
    """A line for the files that are no recordings by their ending, and one for outputs of earlier runs.

    >>> list(describe_left_out([Counter({".txt": 3, NO_ENDING: 1}), Counter({".txt": 1})]))
    ['left out by their ending: 4 .txt, 1 without (name one to denoise it)']
    """
    counts = sum(left_out, Counter())
    outputs = counts.pop(EARLIER_OUTPUT, 0)
    if counts:
        kinds = ", ".join(f"{n:,} {'without' if kind == NO_ENDING else kind}" for kind, n in counts.most_common())
        yield f"left out by their ending: {kinds} (name one to denoise it)"
    if outputs:
        yield f"left out as outputs of an earlier run: {outputs:,} (named {CLEAN} beside their inputs)"


def absolute(path: Path | RemotePath) -> str:
    """A name that is the same for the same path; links are not followed."""
    return os.path.abspath(path) if isinstance(path, Path) else str(path)  # noqa: PTH100


def _levels(recording: Recording) -> tuple[Path, ...]:
    """The path of a recording, and of the folders above it up to the one that was searched."""
    path = Path(absolute(recording.source))
    return (path, *path.parents)[: len(recording.relative.parts) if recording.folder else 1]


def _stems(path: Path) -> tuple[str, str]:
    return str(path), str(path.with_suffix(""))


def _expand(
    source: Path | RemotePath, outputs: list[Path | RemotePath | None], left_out: dict[str, Counter[str]]
) -> list[Recording]:
    """The recordings of one argument; counts in `left_out` what a folder holds besides."""
    if source == PIPE:
        return [Recording(source, PurePosixPath("stdin.wav"))]
    if source.is_dir():
        files = _files_below(source, outputs) if isinstance(source, Path) else source.files()
        return _recordings(source, files, left_out)
    if isinstance(source, Path) and not source.exists() and _has_wildcard(source):
        matches = [Path(name) for name in sorted(glob.glob(str(source), recursive=True))]  # noqa: PTH207
        root = next(folder for folder in source.parents if not _has_wildcard(folder))
        found = [Recording(path, PurePosixPath(path.relative_to(root))) for path in matches if path.is_file()]
        if not found:
            raise click.UsageError(f"{source} matches no file")
        return found
    return [Recording(source, PurePosixPath(source.name))]


def _files_below(folder: Path, outputs: Iterable[Path | RemotePath | None]) -> Iterator[FoundFile]:
    folders = [path for path in outputs if isinstance(path, Path) and path.exists() and not path.samefile(folder)]
    excluded = [path.resolve() for path in folders]
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(path.resolve().is_relative_to(output) for output in excluded):
            yield path, PurePosixPath(path.relative_to(folder))


def _recordings(
    folder: Path | RemotePath, files: Iterable[FoundFile], left_out: dict[str, Counter[str]]
) -> list[Recording]:
    """The files with a readable extension; hidden ones are not looked at, others are counted in `left_out`."""
    from unhiss.media.source import READABLE

    recordings, others = [], Counter[str]()
    for path, relative in files:
        if any(part.startswith(".") for part in relative.parts):
            continue
        ending = path.suffix.lower()
        if ending in READABLE:
            recordings.append(Recording(path, relative, folder))
        else:
            others[ending if _ENDING.fullmatch(ending) else NO_ENDING] += 1
    if not recordings:
        lines = "".join(f"; {line}" for line in describe_left_out([others]))
        raise click.UsageError(f"{folder} holds no recording that unhiss reads (.wav, .flac, .mp3, .ogg …){lines}")
    if others:
        left_out[str(folder)] = others
    return recordings


def _has_wildcard(path: Path) -> bool:
    return any(sign in str(path) for sign in "*?[")
