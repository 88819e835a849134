"""The names of the outputs of `unhiss denoise`: those of the inputs, and distinct where these would be the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path, PurePosixPath

import click

from unhiss.cli.inputs import CLEAN, PIPE, Recording, absolute
from unhiss.errors import nearest


def output_ending(extension: str | None) -> str:
    """The ending that --format asks for; "" without it. Raises UsageError for a format that unhiss does not write."""
    if not extension:
        return ""
    from unhiss.media.writer import WRITABLE

    ending = f".{extension.lstrip('.').lower()}"
    if ending not in WRITABLE:
        known = nearest(ending[1:], [name[1:] for name in WRITABLE])
        raise click.UsageError(f"--format {extension}: unhiss writes no such files; {known}")
    return ending


def writable_ending(recording: Recording) -> str:
    """The ending of the input, or .wav if unhiss writes no files of this ending."""
    from unhiss.media.writer import WRITABLE

    ending = recording.source.suffix
    return ending if ending.lower() in WRITABLE else ".wav"


def output_names(recordings: list[Recording], ending: Callable[[Recording], str]) -> list[PurePosixPath]:
    """The path of each output below the output folder.

    Of outputs with one name, each is put into the folders in which the inputs differ: a/x.wav and b/x.wav. If they
    still have one name, their inputs have different endings, which the names then keep: x.wav.flac and x.mp3.flac.
    """
    names = _with_folders(recordings, [item.relative.with_suffix(ending(item)) for item in recordings])
    counts = Counter(names)
    return [
        name.with_name(f"{name.stem}{item.source.suffix}{name.suffix}")
        if counts[name] > 1 and item.source.suffix.lower() != name.suffix.lower()
        else name
        for item, name in zip(recordings, names, strict=True)
    ]


def default_target(recording: Recording, name: PurePosixPath) -> Path:
    """Where an output goes without -o: x.clean.wav beside x.wav; for a folder, the same tree in folder.clean/."""
    source, folder = recording.source, recording.folder
    if not isinstance(source, Path) or source == PIPE or source.is_fifo():
        shown = "stdin" if source == PIPE else source
        raise click.UsageError(f"no output beside {shown}: give -o clean.wav, -o FOLDER/, or -o - for stdout")
    if isinstance(folder, Path):
        return default_folder(folder) / recording.relative.parent / name.name
    return source.with_name(f"{name.stem}{CLEAN}{name.suffix}")


def default_folder(folder: Path) -> Path:
    """The folder beside a folder, for its outputs."""
    named = folder if folder.name not in ("", "..") else folder.resolve()
    if not named.name:
        raise click.UsageError(f"no output beside {folder}: give -o FOLDER/")
    return named.with_name(named.name + CLEAN)


def _with_folders(recordings: list[Recording], names: list[PurePosixPath]) -> list[PurePosixPath]:
    folders = [PurePosixPath(Path(absolute(item.source)).as_posix()).parent.parts for item in recordings]
    groups: dict[PurePosixPath, set[tuple[str, ...]]] = {}
    for name, folder in zip(names, folders, strict=True):
        groups.setdefault(name, set()).add(folder)
    common = {
        name: len(list(takewhile(lambda parts: len(set(parts)) == 1, zip(*members, strict=False))))
        for name, members in groups.items()
    }
    return [
        PurePosixPath(*folder[common[name] :], name.name) if len(groups[name]) > 1 else name
        for name, folder in zip(names, folders, strict=True)
    ]
