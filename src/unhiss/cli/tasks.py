"""Plans `unhiss denoise`: from files, folders and patterns to the recordings and their outputs."""

from __future__ import annotations

import glob
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from unhiss.errors import nearest

if TYPE_CHECKING:
    from unhiss.remote import RemotePath

    SourceFile = tuple[Path | RemotePath, PurePosixPath]  # a recording, and its path below the output folder

PIPE = Path("-")


@dataclass(frozen=True, slots=True)
class DenoiseTask:
    """One recording and its outputs; residual: the file for what is removed.

    make_folders: create missing output folders. pipe_suffix: the format of a recording written to stdout.
    """

    source: Path | RemotePath
    target: Path | RemotePath
    residual: Path | None = None
    make_folders: bool = False
    pipe_suffix: str = ".wav"

    @property
    def outputs(self) -> tuple[Path | RemotePath, ...]:
        return (self.target, self.residual) if self.residual else (self.target,)


def plan_tasks(
    sources: tuple[Path | RemotePath, ...], output: Path | RemotePath | None, *, in_place: bool = False,
    residual: Path | None = None, extension: str | None = None,
) -> list[DenoiseTask]:  # fmt: skip
    """The tasks of a command line, in order. Raises UsageError or AudioError if it is ambiguous or impossible.

    One file is written to the file `output`. A folder, a pattern or several files are written to the folder
    `output`, which is created if needed, with the directory tree below the folder, or below the part of the pattern
    without wildcards. extension: of the outputs in a folder and on stdout, such as "flac"; None keeps the input's,
    or "wav" on stdout.
    """
    files = [file for source in sources for file in _expand(source, output, residual)]
    suffix = _output_suffix(extension)
    if in_place:
        if remote := [str(source) for source, _ in files if not isinstance(source, Path)]:
            raise click.UsageError(f"--in-place replaces files of this machine, not {remote[0]}; use -o")
        if output is not None or residual is not None or suffix or PIPE in sources:
            raise click.UsageError(
                "--in-place replaces the recordings themselves; leave -o, --residual, --format and pipes out"
            )
        return [DenoiseTask(source, source) for source, _ in files]
    if output is None:
        raise click.UsageError("no output: give -o clean.wav, -o FOLDER, or --in-place")
    if PIPE in sources and sys.stdin.isatty():
        raise click.UsageError("- reads a recording from a pipe: cat noisy.wav | unhiss denoise - -o clean.wav")
    if output == PIPE and sys.stdout.isatty():
        raise click.UsageError("-o - would write audio to the terminal; redirect it: ... -o - > clean.wav")
    if [source for source, _ in files] == list(sources[:1]) and (output == PIPE or not output.is_dir()):
        return [_single_task(files[0][0], output, residual, suffix)]
    if suffix:
        files = [(source, relative.with_suffix(suffix)) for source, relative in files]
    tasks = [
        DenoiseTask(source, output / relative, residual / relative if residual else None, make_folders=True)
        for source, relative in files
    ]
    _check_folders(tasks, output, residual)
    return tasks


def _expand(source: Path | RemotePath, *outputs: Path | RemotePath | None) -> list[SourceFile]:
    """The recordings of one argument; a folder is searched, without the outputs inside it."""
    if source == PIPE:
        return [(source, PurePosixPath("stdin.wav"))]
    if source.is_dir():
        return _recordings(source, _files_below(source, outputs) if isinstance(source, Path) else source.files())
    if isinstance(source, Path) and not source.exists() and _has_wildcard(source):
        matches = [Path(name) for name in sorted(glob.glob(str(source), recursive=True))]  # noqa: PTH207
        root = next(folder for folder in source.parents if not _has_wildcard(folder))
        files: list[SourceFile] = [(path, PurePosixPath(path.relative_to(root))) for path in matches if path.is_file()]
        if not files:
            raise click.UsageError(f"{source} matches no file")
        return files
    return [(source, PurePosixPath(source.name))]


def _files_below(folder: Path, outputs: Iterable[Path | RemotePath | None]) -> Iterator[SourceFile]:
    folders = [path for path in outputs if isinstance(path, Path) and path.exists() and not path.samefile(folder)]
    excluded = [path.resolve() for path in folders]
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(path.resolve().is_relative_to(output) for output in excluded):
            yield path, PurePosixPath(path.relative_to(folder))


def _recordings(folder: Path | RemotePath, files: Iterable[SourceFile]) -> list[SourceFile]:
    """The files with a readable extension that are not hidden."""
    from unhiss.media.source import READABLE

    recordings = [
        (path, relative)
        for path, relative in files
        if path.suffix.lower() in READABLE and not any(part.startswith(".") for part in relative.parts)
    ]
    if not recordings:
        raise click.UsageError(f"{folder} holds no recording that unhiss reads (.wav, .flac, .mp3, .ogg …)")
    return recordings


def _has_wildcard(path: Path) -> bool:
    return any(sign in str(path) for sign in "*?[")


def _output_suffix(extension: str | None) -> str:
    if not extension:
        return ""
    from unhiss.media.writer import WRITABLE

    suffix = f".{extension.lstrip('.').lower()}"
    if suffix not in WRITABLE:
        known = nearest(suffix[1:], [name[1:] for name in WRITABLE])
        raise click.UsageError(f"--format {extension}: unhiss writes no such files; {known}")
    return suffix


def _single_task(
    source: Path | RemotePath, output: Path | RemotePath, residual: Path | None, suffix: str
) -> DenoiseTask:
    """The task of one recording that is written to one file, or to stdout."""
    from unhiss.errors import AudioError

    if output == PIPE:
        return DenoiseTask(source, output, residual, pipe_suffix=suffix or ".wav")
    if not output.suffix and not output.exists():
        raise AudioError(f"{output}: no such folder; mkdir -p {output} makes it, or name a file: {output}.wav")
    if suffix and output.suffix.lower() != suffix:
        raise click.UsageError(f"-o {output} is no {suffix} file, and --format asks for one; leave one of them out")
    return DenoiseTask(source, output, residual)


def _check_folders(tasks: list[DenoiseTask], output: Path | RemotePath, residual: Path | None) -> None:
    for folder in (output, residual):
        if folder is not None and (folder == PIPE or folder.is_file() or (folder.suffix and not folder.is_dir())):
            several = f"{len(tasks)} recordings need" if len(tasks) > 1 else "a folder's recordings need"
            raise click.UsageError(f"{several} a folder, not {folder}")
    counts = Counter(task.target for task in tasks)
    if duplicates := sorted(target.name for target, count in counts.items() if count > 1):
        raise click.UsageError(f"several inputs are named {', '.join(duplicates)}; denoise them into separate folders")
