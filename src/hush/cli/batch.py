"""Denoising one recording after another, or several at a time; a bad one is noted, and the rest goes on."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hush.cli.screen import only_python, progress
from hush.cli.sources import PIPE, Job
from hush.errors import HushError

if TYPE_CHECKING:
    from hush.infer.denoiser import Denoiser
    from hush.infer.files import FileReport

PRELOAD = ("hush.infer.denoiser", "hush.cli.batch")  # by the fork server, once for all processes
Show = Callable[[float, float], None]  # of the share that is done, and the seconds of sound in all


@dataclass(frozen=True)
class Settings:
    """What all recordings share: arguments of `Denoiser`, and of `Denoiser.file`."""

    model: dict[str, Any] = field(default_factory=dict)
    file: dict[str, Any] = field(default_factory=dict)


def outcomes(
    todo: list[Job], settings: Settings, jobs: int, raise_errors: bool
) -> Iterator[tuple[Job, FileReport | str]]:
    """Each job with its report, or with the line that says why it failed; in order, or as they are done.

    raise_errors: let what goes wrong with a recording through, instead.
    """
    _denoiser(**settings.model)  # a wrong option or model ends all, before the first recording
    alone = jobs == 1 or len(todo) == 1
    with only_python(), progress() as bar:
        whole = bar.add_task(f"{len(todo)} recordings", total=len(todo), visible=len(todo) > 1)
        if not alone:
            from hush.fleet.processes import results  # which takes longer to load than some recordings to clean

            _denoiser.cache_clear()
            items = [(job, settings) for job in todo]
            done = results(_outcome, items, jobs or None, _leave_cleanly, preload=PRELOAD)
        else:
            done = ((number, _shown(job, settings, bar, raise_errors)) for number, job in enumerate(todo))
        seconds, began = 0.0, time.perf_counter()
        for number, outcome in done:
            seconds += 0.0 if isinstance(outcome, str) else outcome.seconds
            speed = seconds / (time.perf_counter() - began)
            bar.update(whole, advance=1, description=f"{len(todo)} recordings, {speed:.0f} x real time")
            yield todo[number], outcome


def _shown(job: Job, settings: Settings, bar: Any, raise_errors: bool) -> FileReport | str:
    """One recording with a progress bar of its own."""
    task, began = bar.add_task(job.source.name, total=1.0), time.perf_counter()

    def show(share: float, seconds: float) -> None:
        speed = share * seconds / (time.perf_counter() - began)
        bar.update(task, completed=share, description=f"{job.source.name}, {speed:.0f} x real time")

    try:
        return _one(job, settings, show) if raise_errors else _outcome(job, settings, show)
    finally:
        bar.remove_task(task)


def _outcome(job: Job, settings: Settings, show: Show = lambda share, seconds: None) -> FileReport | str:
    """The report of a recording, or the line that says why there is none."""
    try:
        return _one(job, settings, show)
    except (HushError, OSError) as error:
        return str(error)


def _one(job: Job, settings: Settings, show: Show) -> FileReport:
    """One recording, either end of which may be a pipe; pipes are spooled to disk, since two passes seek."""
    import shutil
    import tempfile

    from hush.dsp.audio import spool
    from hush.errors import AudioError

    denoiser = _denoiser(**settings.model)
    given = settings.file | {"progress": show, "residual": job.residual}
    if PIPE not in (job.source, job.target):
        for path in (job.target, job.residual) if job.folders else ():
            if path:
                path.parent.mkdir(parents=True, exist_ok=True)
        return denoiser.file(job.source, job.target, **given)
    with tempfile.TemporaryDirectory(prefix="hush-") as folder:
        inside = spool(sys.stdin.buffer, Path(folder) / "stdin") if job.source == PIPE else job.source
        outside = Path(folder) / "stdout.wav" if job.target == PIPE else job.target
        try:
            report = denoiser.file(inside, outside, **given)
        except AudioError as error:
            raise AudioError(str(error).replace(str(inside), "stdin" if job.source == PIPE else str(inside))) from error
        if job.target == PIPE:
            with outside.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer, 1 << 20)
            sys.stdout.buffer.flush()
    return report


@lru_cache(maxsize=1)  # once in each process
def _denoiser(**options: Any) -> Denoiser:
    from hush.infer.denoiser import Denoiser

    return Denoiser(**options)


def _leave_cleanly() -> None:
    """In each process: end through the exits that remove what is half-written."""

    def leave(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_IGN)  # asked once more, it would not finish cleaning up
        sys.exit(143)

    signal.signal(signal.SIGTERM, leave)
