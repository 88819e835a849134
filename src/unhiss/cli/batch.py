"""Denoising one recording after another, or several at a time; a bad one is noted, and the rest goes on."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unhiss.cli.bars import Bars, Board, board, note
from unhiss.cli.screen import only_python, progress
from unhiss.cli.sources import PIPE, Job
from unhiss.errors import UnhissError, system_line

if TYPE_CHECKING:
    from unhiss.infer.denoiser import Denoiser
    from unhiss.infer.files import FileReport
    from unhiss.remote import RemotePath

PRELOAD = ("unhiss.infer.denoiser", "unhiss.cli.batch")  # by the fork server, once for all processes
Show = Callable[[float, float], None]  # of the share that is done, and the seconds of sound in all
_notes: Board = None  # where a process of several notes how far it is


@dataclass(frozen=True)
class Settings:
    """What all recordings share: arguments of `Denoiser`, and of `Denoiser.file`."""

    model: dict[str, Any] = field(default_factory=dict)
    file: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Where:
    """jobs: recordings at a time, 0 for one a core. ray: on Ray (see Fleet). ledger: where a run on Ray notes
    what is done, so that the same command goes on after any end; None for a run that keeps no such notes.
    """

    jobs: int = 1
    ray: str | None = None
    ledger: Path | None = None


def outcomes(
    todo: list[Job], settings: Settings, where: Where, raise_errors: bool
) -> Iterator[tuple[int, FileReport | str]]:
    """The number of each job, with its report or the line that says why it failed; in order, or as they are done.

    raise_errors: let what goes wrong with a recording through, instead.
    """
    _denoiser(**settings.model)  # a wrong option or model ends all, before the first recording
    alone = not where.ray and (where.jobs == 1 or len(todo) == 1)
    notes = board(len(todo), shared=not (alone or where.ray))
    with only_python(), progress(by_itself=False) as bar:
        bars = Bars(bar, [Path(_name(job.source)).name for job in todo], notes)
        done = _here(todo, settings, notes, raise_errors) if alone else _elsewhere(todo, settings, where, notes)
        with bars.watching():
            for number, outcome in done:
                bars.done(number, 0.0 if isinstance(outcome, str) else outcome.seconds)
                yield number, outcome


def _here(
    todo: list[Job], settings: Settings, notes: Board, raise_errors: bool
) -> Iterator[tuple[int, FileReport | str]]:
    for number, job in enumerate(todo):
        show = partial(_noted, notes, number, time.perf_counter())
        show(0.0, 0.0)
        yield number, _one(job, settings, show) if raise_errors else _outcome(job, settings, show)


def _elsewhere(
    todo: list[Job], settings: Settings, where: Where, notes: Board
) -> Iterator[tuple[int, FileReport | str]]:
    """In other processes. One that is killed has its recordings done again, unless those replace themselves."""
    import uuid

    from unhiss.atomic import remove_stale
    from unhiss.cli.resuming import ledger
    from unhiss.fleet.mapping import Fleet, map_items  # not at the top: slow to import
    from unhiss.fleet.processes import WorkerSetup

    _denoiser.cache_clear()
    noted = ledger(where.ledger, todo, settings.model, settings.file) if where.ledger else None
    there = noted.metadata["there"] if noted else [number for number, job in enumerate(todo) if _exists(job)]
    mark = noted.run_id if noted else uuid.uuid4().hex
    new = {number: job for number, job in enumerate(todo) if number not in set(there)}
    items = [(job, settings, number, number in new) for number, job in enumerate(todo)]
    setup = WorkerSetup(function=_begin_process, args=(None if where.ray else notes, mark), preload=PRELOAD)
    again, failures = not settings.file.get("in_place"), 0
    fleet = Fleet(where.jobs or None, where.ray)
    try:
        for number, outcome in map_items(
            _in_a_process, items, fleet, setup, is_failure=_failed, ledger=noted, retry=again
        ):
            failures += _failed(outcome)
            yield number, outcome
    except BaseException:
        failures += 1
        raise
    finally:
        remove_stale(
            (path.parent for job in todo for path in (job.target, job.residual) if isinstance(path, Path)), mark
        )
        if noted and not failures:
            noted.remove()


def _exists(job: Job) -> bool:
    return any(path.exists() for path in (job.target, job.residual) if path)


def _failed(outcome: FileReport | str) -> bool:
    return isinstance(outcome, str)


def _noted(notes: Board, number: int, began: float, share: float, seconds: float) -> None:
    note(notes, number, share, seconds, time.perf_counter() - began)


def _in_a_process(job: Job, settings: Settings, number: int, new: bool) -> FileReport | str:
    """new: there was no output when the run began; one that is there now is of a process that was killed after it."""
    show = partial(_noted, _notes, number, time.perf_counter()) if _notes else lambda share, seconds: None
    show(0.0, 0.0)
    own = Settings(settings.model, settings.file | {"force": True}) if new else settings
    return _outcome(job, own, show)


def _outcome(job: Job, settings: Settings, show: Show) -> FileReport | str:
    """The report of a recording, or the line that says why there is none."""
    try:
        return _one(job, settings, show)
    except UnhissError as error:
        return str(error)
    except OSError as error:
        return system_line(error)
    except Exception as error:  # the others are none the worse for it
        reason = (str(error) or type(error).__name__).splitlines()[0]
        return f"{job.source}: {reason} - an error of unhiss; denoise it alone to see where, and please report it"


def _one(job: Job, settings: Settings, show: Show) -> FileReport:
    """One recording, either end of which may be a pipe or far away: those are copied here, since two passes seek."""
    import shutil
    import tempfile

    from unhiss.errors import AudioError

    denoiser = _denoiser(**settings.model)
    given = settings.file | {"progress": show, "residual": job.residual}
    for path in (job.target, job.residual) if job.folders else ():
        if isinstance(path, Path):
            path.parent.mkdir(parents=True, exist_ok=True)
    here = isinstance(job.source, Path) and job.source != PIPE and not job.source.is_fifo()
    if isinstance(job.source, Path) and here and isinstance(job.target, Path) and job.target != PIPE:
        return denoiser.file(job.source, job.target, **given)
    with tempfile.TemporaryDirectory(prefix="unhiss-") as folder:
        inside = job.source if isinstance(job.source, Path) and here else _spooled(job.source, Path(folder))
        outside, name = _outside(job, Path(folder), settings)
        try:
            report = denoiser.file(inside, outside, **given)
        except AudioError as error:
            raise AudioError(str(error).replace(str(outside), name).replace(str(inside), _name(job.source))) from error
        if not isinstance(job.target, Path):
            job.target.upload(outside)
        elif job.target == PIPE:
            with outside.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer, 1 << 20)
            sys.stdout.buffer.flush()
    return report


def _outside(job: Job, folder: Path, settings: Settings) -> tuple[Path, str]:
    """Where the clean sound is written first, and what a message calls it."""
    from unhiss.errors import AudioError

    if not isinstance(job.target, Path):
        if not settings.file.get("force") and job.target.exists():
            raise AudioError(f"{job.target} exists; --force overwrites it")
        return folder / f"clean{job.target.suffix}", str(job.target)
    return (folder / f"stdout{job.form}", "stdout") if job.target == PIPE else (job.target, str(job.target))


def _spooled(source: Path | RemotePath, folder: Path) -> Path:
    from unhiss.media.source import spool

    if not isinstance(source, Path):
        path = folder / f"noisy{source.suffix}"
        source.download(path)
        return path
    if source == PIPE:
        return spool(sys.stdin.buffer, folder / "stdin")
    with source.open("rb") as pipe:
        return spool(pipe, folder / "stdin")


def _name(source: Path | RemotePath) -> str:
    return "stdin" if source == PIPE else str(source)


@lru_cache(maxsize=1)  # once in each process
def _denoiser(**options: Any) -> Denoiser:
    from unhiss.infer.denoiser import Denoiser

    return Denoiser(**options)


def _begin_process(notes: Board, mark: str) -> None:
    from unhiss.atomic import tag

    global _notes
    _notes = notes
    tag(mark)
