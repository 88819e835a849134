"""Plans `unhiss denoise`: from files, folders and patterns to the recordings and their outputs."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unhiss.cli.inputs import PIPE, Recording, find_inputs, without_earlier_outputs
from unhiss.cli.outputs import default_folder, default_target, output_ending, output_names, writable_ending

if TYPE_CHECKING:
    from unhiss.remote import RemotePath


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

    @property
    def source_name(self) -> str:
        """The source in messages."""
        return "stdin" if self.source == PIPE else str(self.source)


@dataclass(frozen=True, slots=True)
class Plan:
    """The tasks of a command line, in order; and by folder, how many files of which kind are left out."""

    tasks: list[DenoiseTask]
    left_out: dict[str, Counter[str]] = field(default_factory=dict)


def plan_tasks(
    sources: tuple[Path | RemotePath, ...], output: Path | RemotePath | None, *, into_folder: bool = False,
    in_place: bool = False, residual: Path | None = None, extension: str | None = None,
) -> Plan:  # fmt: skip
    """The plan of a command line. Raises UsageError if it is ambiguous or impossible.

    One file is written to the file `output`. A folder, a pattern or several files are written to the folder
    `output`, which is created if needed, with the directory tree below the folder, or below the part of the pattern
    without wildcards. Without `output`, each is written beside its input. into_folder: `output` is a folder, even if
    it does not exist yet. extension: of the outputs in a folder and on stdout, such as "flac"; None keeps the
    input's, or "wav" on stdout.
    """
    _check_pipes(sources, output)
    ending = output_ending(extension)
    beside = [] if output or in_place else [default_folder(path) for path in _local_folders(sources)]
    inputs = find_inputs(sources, (output, residual, *beside))
    recordings = inputs.recordings
    if in_place:
        return Plan(_tasks_in_place(recordings, output, residual, ending), inputs.left_out)
    single = len(recordings) == 1 and recordings[0].source in sources  # not found in a folder, or by a pattern
    if output is None:
        inputs = without_earlier_outputs(inputs)
        return Plan(_tasks_beside(inputs.recordings, residual, ending, single), inputs.left_out)
    if single and (output == PIPE or not (into_folder or output.is_dir())):
        return Plan([_single_task(recordings[0].source, output, residual, ending)])
    names = output_names(recordings, lambda recording: ending or recording.source.suffix)
    tasks = [
        DenoiseTask(recording.source, output / name, residual / name if residual else None, make_folders=True)
        for recording, name in zip(recordings, names, strict=True)
    ]
    _check_folders(tasks, output, residual, into_folder)
    return Plan(tasks, inputs.left_out)


def _local_folders(sources: tuple[Path | RemotePath, ...]) -> list[Path]:
    return [path for path in sources if isinstance(path, Path) and path.is_dir()]


def _check_pipes(sources: tuple[Path | RemotePath, ...], output: Path | RemotePath | None) -> None:
    if PIPE in sources and sys.stdin.isatty():
        raise click.UsageError("- reads a recording from a pipe: cat noisy.wav | unhiss denoise - -o clean.wav")
    if output == PIPE and sys.stdout.isatty():
        raise click.UsageError("-o - would write audio to the terminal; redirect it: ... -o - > clean.wav")


def _tasks_in_place(
    recordings: list[Recording], output: Path | RemotePath | None, residual: Path | None, ending: str
) -> list[DenoiseTask]:
    sources = [recording.source for recording in recordings]
    if remote := [str(source) for source in sources if not isinstance(source, Path)]:
        raise click.UsageError(f"--in-place replaces files of this machine, not {remote[0]}; use -o")
    if output is not None or residual is not None or ending or PIPE in sources:
        raise click.UsageError(
            "--in-place replaces the recordings themselves; leave -o, --residual, --format and pipes out"
        )
    files: dict[Path, Path] = {}
    for source in sources:
        if isinstance(source, Path):  # as all are here
            files.setdefault(source.resolve(), source)  # of several links to a file one: no file is denoised twice
    return [DenoiseTask(source, source) for source in files.values()]


def _tasks_beside(recordings: list[Recording], residual: Path | None, ending: str, single: bool) -> list[DenoiseTask]:
    """Each output is beside its input; residual: a file for a single recording, a folder for several."""
    names = output_names(recordings, lambda recording: ending or writable_ending(recording))
    tasks = []
    for recording, name in zip(recordings, names, strict=True):
        removed = residual if single or residual is None else residual / name
        tasks.append(DenoiseTask(recording.source, default_target(recording, name), removed, make_folders=not single))
    if not single:
        _check_folders(tasks, None, residual)
    return tasks


def _single_task(
    source: Path | RemotePath, output: Path | RemotePath, residual: Path | None, ending: str
) -> DenoiseTask:
    """The task of one recording that is written to one file, or to stdout."""
    from unhiss.media.writer import WRITABLE

    for path in (output, *([residual] if residual else ())):
        if path.suffix and path.suffix.lower() not in WRITABLE and not path.exists():
            raise click.UsageError(f"{path}: unhiss writes no {path.suffix} files; try .wav or .flac")
    if output == PIPE:
        return DenoiseTask(source, output, residual, pipe_suffix=ending or ".wav")
    if not output.suffix and not output.exists():
        raise click.UsageError(f"-o {output}: no such folder; -o {output}/ makes it, or name a file: {output}.wav")
    if ending and output.suffix.lower() != ending:
        raise click.UsageError(f"-o {output} is no {ending} file, and --format asks for one; leave one of them out")
    return DenoiseTask(source, output, residual)


def _check_folders(
    tasks: list[DenoiseTask], output: Path | RemotePath | None, residual: Path | None, into_folder: bool = False
) -> None:
    """Raise UsageError unless the folders can be ones, and all outputs have names of their own."""
    for folder, is_named_so in ((output, into_folder), (residual, False)):
        if folder is None:
            continue
        several = f"{len(tasks)} recordings need" if len(tasks) > 1 else "a folder's recordings need"
        if folder == PIPE or folder.is_file():
            raise click.UsageError(f"{several} a folder, not {folder}")
        if folder.suffix and not is_named_so and not folder.is_dir():
            raise click.UsageError(f"{several} a folder, not {folder}; for a folder of this name: {folder}/")
    counts = Counter(task.target for task in tasks)
    if duplicates := sorted(target.name for target, count in counts.items() if count > 1):
        raise click.UsageError(f"several outputs would be {', '.join(duplicates)}; denoise them into separate folders")
