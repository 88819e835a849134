"""Locks between processes: one run at a time writes a folder, and none while workers of an earlier run are alive.

filelock works on Windows too. Its shared lock keeps an SQLite database beside each lock, which network file systems do
not lock reliably; so each worker holds an exclusive lock on a file of its own, and the next run waits for all of them.
Lock files have temporary names (see `atomic`), so a killed run leaves nothing that a later one does not remove.
"""

import multiprocessing
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from unhiss.fleet.ledger import Ledger
from unhiss.fleet.mapping import Fleet, map_items
from unhiss.fleet.processes import WorkerSetup

RUN_LOCK = ".unhiss-run.lock.part"
WORKER_LOCK = ".unhiss-worker-{}.lock.part"
SCRATCH = "unhiss-scratch-"
SCRATCH_TIMEOUT_S = 10.0  # another process may hold a new lock for a moment, to see whether its owner is alive
PRELOAD = ("unhiss.data.shards", "unhiss.data.mixture_files")

Progress = Callable[[int], None]  # called with the number of clips, pairs or frames that are finished


@contextmanager
def exclusive_lock(path: Path, timeout_s: float = 0.0) -> Iterator[bool]:
    """Hold the lock file `path` until the block ends; False if another holder keeps it beyond `timeout_s`."""
    lock = FileLock(path, timeout=timeout_s)
    with suppress(Timeout):
        lock.acquire()
    try:
        yield lock.is_locked
    finally:
        if lock.is_locked:
            # filelock 4 notices a removed lock file while it waits. Windows refuses; filelock removes it there.
            with suppress(OSError):
                path.unlink()
            lock.release()


def hold_worker_lock(folder: Path) -> FileLock:
    """Mark this process as one that writes to `folder`, until it ends. The caller keeps the lock."""
    lock = FileLock(_worker_lock(folder))
    lock.acquire()
    return lock


def _worker_lock(folder: Path) -> Path:
    return folder / WORKER_LOCK.format(uuid.uuid4().hex)


def workers_ended(folder: Path, timeout_s: float) -> bool:
    """Whether all processes that hold a worker lock in `folder` end within `timeout_s`; removes their lock files."""
    deadline = time.monotonic() + timeout_s
    for path in folder.glob(WORKER_LOCK.format("*")):
        with exclusive_lock(path, max(0.0, deadline - time.monotonic())) as ended:
            if not ended:
                return False
    return True


def run_workers(
    task: Callable[..., Any], sizes: Sequence[int], items: Sequence[tuple[Any, ...]], folder: Path, fleet: Fleet,
    progress: Progress = lambda done: None, done: int = 0, ledger: Ledger | None = None,
) -> None:  # fmt: skip
    """Call `task(*item)` for every item on `fleet`, in no fixed order, by workers that hold a lock in `folder`.

    folder: the local folder that `claim_folder` gives. progress: is called at the start with `done`, and after each
    item with the sum so far. sizes: of each item, in what progress counts. ledger: of the items that an earlier run has
    finished; they are reported, and not done again.
    """
    progress(done)
    if fleet.ray:  # its processes outlive the run
        results = map_items(_run_locked, [(folder, task, item) for item in items], fleet, ledger=ledger)
    else:
        setup = WorkerSetup(state=_lock_of_worker, args=(folder,), preload=PRELOAD)
        results = map_items(_run_while_locked, [(task, item) for item in items], fleet, setup, ledger=ledger)
    for index, _ in results:
        done += sizes[index]
        progress(done)


def _lock_of_worker(folder: Path) -> FileLock | None:
    """The lock that a worker holds; with one job there is none, and the run has its own."""
    return hold_worker_lock(folder) if multiprocessing.parent_process() else None


def _run_while_locked(lock: FileLock | None, task: Callable[..., Any], item: tuple[Any, ...]) -> None:
    """A task in a worker, which holds `lock` until it ends."""
    task(*item)


def _run_locked(folder: Path, task: Callable[..., Any], item: tuple[Any, ...]) -> None:
    """A task on Ray. Another machine that writes a remote set does not have the folder, and needs no lock in it."""
    with exclusive_lock(_worker_lock(folder)) if folder.is_dir() else nullcontext():
        task(*item)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder, removed when the block ends. Those that killed runs left are removed first."""
    parent = Path(tempfile.gettempdir())
    for path in parent.glob(f"{SCRATCH}*.lock"):
        with suppress(OSError), exclusive_lock(path) as abandoned:  # OSError: of another user
            if abandoned:
                shutil.rmtree(path.with_suffix(""), ignore_errors=True)
    folder = parent / f"{SCRATCH}{uuid.uuid4().hex}"
    with exclusive_lock(folder.with_suffix(".lock"), SCRATCH_TIMEOUT_S):
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
