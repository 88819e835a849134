"""Denoises recordings one after another or in parallel; a failure is reported, and the others are still denoised."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from unhiss.cli.file_progress import FileProgress, ProgressArray, progress_array, progress_callback
from unhiss.cli.inputs import PIPE
from unhiss.cli.tasks import DenoiseTask
from unhiss.cli.terminal import silence_c_libraries
from unhiss.errors import AudioError, UnhissError, describe_os_error

if TYPE_CHECKING:
    from unhiss.fleet.ledger import Ledger
    from unhiss.infer.denoiser import Denoiser
    from unhiss.infer.files import FileOptions, FileReport, Progress
    from unhiss.remote import RemotePath

    Outcomes = Iterator[tuple[int, FileReport | str]]  # index of the task, report or error message

PRELOAD = ("unhiss.infer.denoiser", "unhiss.cli.batch")  # imported once by the fork server for all processes


@dataclass(frozen=True)
class BatchOptions:
    """What all recordings share. model: arguments of Denoiser.

    jobs: recordings in parallel, 0 for one per core. ray: on Ray (see Fleet). ledger: the file in which a run on Ray
    records what is done, so that the same command continues after an interruption; None for no such file.
    """

    model: dict[str, Any]
    file: FileOptions
    jobs: int = 1
    ray: str | None = None
    ledger: Path | None = None


def denoise_all(tasks: list[DenoiseTask], options: BatchOptions, raise_errors: bool) -> Outcomes:
    """(index, report or error message) of each task; in order with one job, otherwise as they are finished.

    raise_errors: raise the error of a recording instead. Raises ConfigError or ModelError for a wrong option or model
    before the first recording.
    """
    _denoiser(**options.model)
    in_process = not options.ray and (options.jobs == 1 or len(tasks) == 1)
    array = progress_array(len(tasks), shared=not (in_process or options.ray))
    with silence_c_libraries():
        progress = FileProgress([Path(task.source_name).name for task in tasks], array)
        outcomes = _run_on_workers(tasks, options, array)
        if in_process:
            denoise = _denoise if raise_errors else _try_denoise
            outcomes = (
                (index, denoise(task, options, progress_callback(array, index))) for index, task in enumerate(tasks)
            )
        with progress.refreshing():
            for index, outcome in outcomes:
                progress.finish(index, 0.0 if isinstance(outcome, str) else outcome.seconds)
                yield index, outcome


def _run_on_workers(tasks: list[DenoiseTask], options: BatchOptions, array: ProgressArray) -> Outcomes:
    """In other processes. Work of a worker that is killed is repeated, unless recordings are replaced in place."""
    import uuid

    from unhiss.atomic import remove_stale
    from unhiss.fleet.mapping import Fleet, map_items  # slow to import
    from unhiss.fleet.processes import WorkerSetup

    _denoiser.cache_clear()
    had_output = [index for index, task in enumerate(tasks) if any(path.exists() for path in task.outputs)]
    run_id, ledger = uuid.uuid4().hex, None
    if options.ledger:
        ledger = _open_ledger(options.ledger, tasks, options, had_output)
        run_id, had_output = ledger.run_id, ledger.metadata["had_output"]
    # An output that did not exist when the run started is from a worker that was killed: it may be overwritten.
    overwrite = replace(options, file=replace(options.file, force=True))
    protected = set(had_output)
    items = [(index, task, options if index in protected else overwrite) for index, task in enumerate(tasks)]
    setup = WorkerSetup(state=_init_worker, args=(None if options.ray else array, run_id), preload=PRELOAD)
    fleet = Fleet(options.jobs or None, options.ray)
    failures = 0
    try:
        for index, outcome in map_items(
            _run_task, items, fleet, setup, is_failure=_is_failure, ledger=ledger, retry=not options.file.in_place
        ):
            failures += _is_failure(outcome)
            yield index, outcome
    finally:
        remove_stale((path.parent for task in tasks for path in task.outputs if isinstance(path, Path)), run_id)
    if ledger and not failures:
        ledger.remove()


def _open_ledger(path: Path, tasks: list[DenoiseTask], options: BatchOptions, had_output: list[int]) -> Ledger:
    """The ledger at `path`, new or of an interrupted run, whose `had_output` it then holds.

    Raises UnhissError if it belongs to other recordings, options or another model.
    """
    import hashlib

    from unhiss.fleet.ledger import Ledger
    from unhiss.infer.files import FileReport
    from unhiss.weights import find

    digest = hashlib.sha256(find(options.model["model"]).read_bytes())
    digest.update(repr((options.model, options.file, tasks)).encode())
    for source in (task.source for task in tasks if isinstance(task.source, Path) and task.source.is_file()):
        digest.update(repr((source.stat().st_size, source.stat().st_mtime_ns)).encode())  # a replaced one is not done
    return Ledger(
        path, digest.hexdigest(), {"had_output": had_output}, pack=asdict,
        unpack=lambda packed: FileReport(**packed | {"warnings": tuple(packed["warnings"])}),
    )  # fmt: skip


def _is_failure(outcome: FileReport | str) -> bool:
    return isinstance(outcome, str)


def _init_worker(array: ProgressArray | None, run_id: str) -> ProgressArray | None:
    from unhiss.atomic import tag

    tag(run_id)
    return array


def _run_task(array: ProgressArray | None, index: int, task: DenoiseTask, options: BatchOptions) -> FileReport | str:
    return _try_denoise(task, options, progress_callback(array, index))


def _try_denoise(task: DenoiseTask, options: BatchOptions, progress: Progress) -> FileReport | str:
    """The report of a recording, or the error message."""
    try:
        return _denoise(task, options, progress)
    except UnhissError as error:
        return str(error)
    except OSError as error:
        return describe_os_error(error)
    except Exception as error:  # a bug must not stop the other recordings
        reason = (str(error) or type(error).__name__).splitlines()[0]
        return f"{task.source}: {reason} - an error of unhiss; denoise it alone to see where, and please report it"


def _denoise(task: DenoiseTask, options: BatchOptions, progress: Progress) -> FileReport:
    """Denoise one recording. Pipes and remote files go through temporary local files, since reading seeks."""
    import shutil
    import tempfile

    from unhiss.infer.files import FileJob

    denoiser, file_options = _denoiser(**options.model), replace(options.file, residual=task.residual)
    for path in task.outputs if task.make_folders else ():
        if isinstance(path, Path):
            path.parent.mkdir(parents=True, exist_ok=True)
    if _is_local_file(task.source) and _is_local_file(task.target):
        return denoiser.process(FileJob(task.source, task.target, file_options), progress)
    with tempfile.TemporaryDirectory(prefix="unhiss-") as folder:
        source = task.source if _is_local_file(task.source) else _copy_source(task.source, Path(folder))
        target, target_name = _local_target(task, Path(folder), options.file.force)
        try:
            report = denoiser.process(FileJob(source, target, file_options), progress)
        except UnhissError as error:
            message = str(error).replace(str(target), target_name).replace(str(source), task.source_name)
            error.args = (message,)
            raise
        if not isinstance(task.target, Path):
            task.target.upload(target)
        elif task.target == PIPE:
            with target.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer, 1 << 20)
            sys.stdout.buffer.flush()
    return report


def _is_local_file(path: Path | RemotePath) -> TypeGuard[Path]:
    """Not remote, and not a pipe."""
    return isinstance(path, Path) and path != PIPE and not path.is_fifo()


def _local_target(task: DenoiseTask, folder: Path, force: bool) -> tuple[Path, str]:
    """The local file to write, and its name in messages."""
    if not isinstance(task.target, Path):
        if not force and task.target.exists():
            raise AudioError(f"{task.target} exists; --force overwrites it")
        return folder / f"clean{task.target.suffix}", str(task.target)
    if task.target == PIPE:
        return folder / f"stdout{task.pipe_suffix}", "stdout"
    return task.target, str(task.target)


def _copy_source(source: Path | RemotePath, folder: Path) -> Path:
    from unhiss.media.file_objects import spool

    if not isinstance(source, Path):
        path = folder / f"noisy{source.suffix}"
        source.download(path)
        return path
    if source == PIPE:
        return spool(sys.stdin.buffer, folder / "stdin")
    with source.open("rb") as pipe:
        return spool(pipe, folder / "stdin")


@lru_cache(maxsize=1)  # once per process
def _denoiser(**options: Any) -> Denoiser:
    from unhiss.infer.denoiser import Denoiser

    return Denoiser(**options)
