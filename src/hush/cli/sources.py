"""Which recordings are meant, and where each one goes: files, folders and patterns -> jobs."""

from __future__ import annotations

import glob
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import click

PIPE = Path("-")


@dataclass(frozen=True, slots=True)
class Job:
    """One recording: where from, where to, where what is taken out goes; folders: are made where they are missing."""

    source: Path
    target: Path
    residual: Path | None = None
    folders: bool = False


def plan(
    sources: tuple[Path, ...], output: Path | None, *, in_place: bool = False, residual: Path | None = None,
    extension: str | None = None,
) -> list[Job]:  # fmt: skip
    """The jobs of a command line, in order. Raises UsageError or AudioError where it is not clear.

    One file goes to the file that `output` names. A folder, a pattern or several files go into the folder
    `output`, which is made when needed; of a folder the tree below it is kept. extension: of the outputs
    in a folder, such as "flac"; theirs if None.
    """
    found = [item for source in sources for item in _expanded(source, output)]
    if in_place:
        if output is not None or PIPE in sources:
            raise click.UsageError("--in-place replaces the recordings themselves; leave -o and pipes out")
        return [Job(source, source) for source, _ in found]
    if output is None:
        raise click.UsageError("say where the clean sound goes: -o clean.wav, -o FOLDER, or --in-place")
    _check_pipes(sources, output)
    if [source for source, _ in found] == list(sources[:1]) and (output == PIPE or not output.is_dir()):
        return [Job(found[0][0], _named_file(output), residual)]
    jobs = [
        Job(source, output / below, residual / below if residual else None, folders=True) for source, below in found
    ]
    if extension:
        jobs = [_with_extension(job, f".{extension.lstrip('.').lower()}") for job in jobs]
    _check_folders(jobs, output, residual)
    return jobs


def _expanded(source: Path, output: Path | None) -> list[tuple[Path, Path]]:
    """A source as (file, its place below the output folder) each."""
    if source == PIPE:
        return [(source, Path("stdin.wav"))]
    if source.is_dir():
        return _tree(source, output)
    if not source.exists() and any(sign in str(source) for sign in "*?["):
        found = [Path(name) for name in sorted(glob.glob(str(source), recursive=True))]  # noqa: PTH207
        found = [path for path in found if path.is_file()]
        if not found:
            raise click.UsageError(f"{source} matches no file")
        return [(path, Path(path.name)) for path in found]
    return [(source, Path(source.name))]


def _tree(folder: Path, output: Path | None) -> list[tuple[Path, Path]]:
    """All recordings in a folder and below, by extension; not what is hidden, nor what lies in the output."""
    from hush.dsp.recordings import EXTENSIONS

    inside = output.resolve() if output and output.exists() and not output.samefile(folder) else None
    found = []
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in below.parts)
        own = inside is not None and path.resolve().is_relative_to(inside)
        if path.suffix.lower() in EXTENSIONS and path.is_file() and not hidden and not own:
            found.append((path, below))
    if not found:
        raise click.UsageError(f"{folder} holds no recording that hush reads (.wav, .flac, .mp3, .ogg …)")
    return found


def _named_file(output: Path) -> Path:
    from hush.errors import AudioError

    if output != PIPE and not output.suffix and not output.exists():
        raise AudioError(f"{output}: no such folder; mkdir -p {output} makes it, or name a file: {output}.wav")
    return output


def _check_pipes(sources: tuple[Path, ...], output: Path) -> None:
    if PIPE in sources and sys.stdin.isatty():
        raise click.UsageError("- reads a recording from a pipe: cat noisy.wav | hush denoise - -o clean.wav")
    if output == PIPE and sys.stdout.isatty():
        raise click.UsageError("-o - would write sound to the screen; send it on: ... -o - > clean.wav")


def _check_folders(jobs: list[Job], output: Path, residual: Path | None) -> None:
    for folder in (output, residual):
        if folder is not None and (folder == PIPE or folder.is_file() or (folder.suffix and not folder.is_dir())):
            raise click.UsageError(f"{len(jobs)} recordings need a folder, not {folder}")
    count = Counter(job.target for job in jobs)
    twice = sorted(target.name for target, times in count.items() if times > 1)
    if twice:
        raise click.UsageError(f"several inputs are named {', '.join(twice)}; denoise them into separate folders")


def _with_extension(job: Job, suffix: str) -> Job:
    residual = job.residual.with_suffix(suffix) if job.residual else None
    return replace(job, target=job.target.with_suffix(suffix), residual=residual)
