"""Which recordings are meant, and where each one goes: files, folders and patterns -> jobs."""

from __future__ import annotations

import glob
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from unhiss.errors import nearest

if TYPE_CHECKING:
    from unhiss.remote import RemotePath

    Found = tuple[Path | RemotePath, PurePosixPath]  # a recording, and its place below the output folder

PIPE = Path("-")


class PathOrUrl(click.ParamType):
    """A path here, `-`, or a URL of a file or folder elsewhere."""

    name = "path"

    def convert(self, value, parameter, context):
        if not isinstance(value, str) or "://" not in value:
            return Path(value)
        from unhiss.remote import parse_path

        return parse_path(value)


class Folder(PathOrUrl):
    """A folder here, or elsewhere by its URL."""

    name = "folder"

    def convert(self, value, parameter, context):
        found = super().convert(value, parameter, context)
        return found if isinstance(found, Path) else type(found)(found.url.rstrip("/"))


class Here(click.Path):
    """A path of this machine. A URL is refused, before a folder of that name is made."""

    def convert(self, value, parameter, context):
        if isinstance(value, str) and "://" in value:
            self.fail(f"{value} is elsewhere; give a path of this machine", parameter, context)
        return super().convert(value, parameter, context)


@dataclass(frozen=True, slots=True)
class Job:
    """One recording: where from, where to, where what is taken out goes.

    folders: are made where they are missing. form: the extension of what stdout gets.
    """

    source: Path | RemotePath
    target: Path | RemotePath
    residual: Path | None = None
    folders: bool = False
    form: str = ".wav"


def plan(
    sources: tuple[Path | RemotePath, ...], output: Path | RemotePath | None, *, in_place: bool = False,
    residual: Path | None = None, extension: str | None = None,
) -> list[Job]:  # fmt: skip
    """The jobs of a command line, in order. Raises UsageError or AudioError where it is not clear.

    One file goes to the file that `output` names. A folder, a pattern or several files go into the folder
    `output`, which is made when needed; the tree below a folder, or below the plain part of a pattern, is
    kept. extension: of the outputs in a folder and of stdout, such as "flac"; theirs, or "wav", if None.
    """
    found = [item for source in sources for item in _expanded(source, output, residual)]
    suffix = _suffix(extension)
    if in_place:
        if remote := [str(source) for source, _ in found if not isinstance(source, Path)]:
            raise click.UsageError(f"--in-place replaces files of this machine, not {remote[0]}; use -o")
        if output is not None or residual is not None or suffix or PIPE in sources:
            raise click.UsageError(
                "--in-place replaces the recordings themselves; leave -o, --residual, --format and pipes out"
            )
        return [Job(source, source) for source, _ in found]
    if output is None:
        raise click.UsageError("say where the clean sound goes: -o clean.wav, -o FOLDER, or --in-place")
    _check_pipes(sources, output)
    if [source for source, _ in found] == list(sources[:1]) and (output == PIPE or not output.is_dir()):
        return [_alone(found[0][0], output, residual, suffix)]
    jobs = [
        Job(source, output / below, residual / below if residual else None, folders=True) for source, below in found
    ]
    if suffix:
        jobs = [_with_suffix(job, suffix) for job in jobs]
    _check_folders(jobs, output, residual)
    return jobs


def _expanded(source: Path | RemotePath, *outputs: Path | RemotePath | None) -> list[Found]:
    if source == PIPE:
        return [(source, PurePosixPath("stdin.wav"))]
    if not isinstance(source, Path):
        return _elsewhere(source) if source.is_dir() else [(source, PurePosixPath(source.name))]
    if source.is_dir():
        return _tree(source, [output for output in outputs if isinstance(output, Path)])
    if not source.exists() and _is_pattern(source):
        found = [Path(name) for name in sorted(glob.glob(str(source), recursive=True))]  # noqa: PTH207
        found = [path for path in found if path.is_file()]
        if not found:
            raise click.UsageError(f"{source} matches no file")
        root = _plain(source)
        return [(path, PurePosixPath(path.relative_to(root))) for path in found]
    return [(source, PurePosixPath(source.name))]


def _is_pattern(path: Path | str) -> bool:
    return any(sign in str(path) for sign in "*?[")


def _plain(pattern: Path) -> Path:
    """The folder that all matches lie in or below: the parts before the first sign."""
    return next(folder for folder in pattern.parents if not _is_pattern(folder))


def _tree(folder: Path, outputs: list[Path]) -> list[Found]:
    """All recordings in a folder and below, by extension; not what is hidden, nor what lies in an output."""
    from unhiss.media.source import READABLE

    inside = [output.resolve() for output in outputs if output.exists() and not output.samefile(folder)]
    found: list[Found] = []
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in below.parts)
        own = any(path.resolve().is_relative_to(output) for output in inside)
        if path.suffix.lower() in READABLE and path.is_file() and not hidden and not own:
            found.append((path, PurePosixPath(below)))
    if not found:
        raise click.UsageError(f"{folder} holds no recording that unhiss reads (.wav, .flac, .mp3, .ogg …)")
    return found


def _elsewhere(folder: RemotePath) -> list[Found]:
    """As `_tree`, of a folder that is no folder here."""
    from unhiss.media.source import READABLE

    found: list[Found] = [
        (path, below)
        for path, below in folder.files()
        if path.suffix.lower() in READABLE and not any(part.startswith(".") for part in below.parts)
    ]
    if not found:
        raise click.UsageError(f"{folder} holds no recording that unhiss reads (.wav, .flac, .mp3, .ogg …)")
    return found


def _suffix(extension: str | None) -> str:
    if not extension:
        return ""
    from unhiss.media.writer import WRITABLE

    suffix = f".{extension.lstrip('.').lower()}"
    if suffix not in WRITABLE:
        known = nearest(suffix[1:], [name[1:] for name in WRITABLE])
        raise click.UsageError(f"--format {extension}: unhiss writes no such files; {known}")
    return suffix


def _alone(source: Path | RemotePath, output: Path | RemotePath, residual: Path | None, suffix: str) -> Job:
    """The job of one recording that goes to one file, or to stdout."""
    from unhiss.errors import AudioError

    if output == PIPE:
        return Job(source, output, residual, form=suffix or ".wav")
    if not output.suffix and not output.exists():
        raise AudioError(f"{output}: no such folder; mkdir -p {output} makes it, or name a file: {output}.wav")
    if suffix and output.suffix.lower() != suffix:
        raise click.UsageError(f"-o {output} is no {suffix} file, and --format asks for one; leave one of them out")
    return Job(source, output, residual)


def _check_pipes(sources: tuple[Path | RemotePath, ...], output: Path | RemotePath) -> None:
    if PIPE in sources and sys.stdin.isatty():
        raise click.UsageError("- reads a recording from a pipe: cat noisy.wav | unhiss denoise - -o clean.wav")
    if output == PIPE and sys.stdout.isatty():
        raise click.UsageError("-o - would write sound to the screen; send it on: ... -o - > clean.wav")


def _check_folders(jobs: list[Job], output: Path | RemotePath, residual: Path | None) -> None:
    for folder in (output, residual):
        if folder is not None and (folder == PIPE or folder.is_file() or (folder.suffix and not folder.is_dir())):
            several = f"{len(jobs)} recordings need" if len(jobs) > 1 else "a folder's recordings need"
            raise click.UsageError(f"{several} a folder, not {folder}")
    count = Counter(job.target for job in jobs)
    twice = sorted(target.name for target, times in count.items() if times > 1)
    if twice:
        raise click.UsageError(f"several inputs are named {', '.join(twice)}; denoise them into separate folders")


def _with_suffix(job: Job, suffix: str) -> Job:
    residual = job.residual.with_suffix(suffix) if job.residual else None
    return replace(job, target=job.target.with_suffix(suffix), residual=residual)
