"""Map a function over many items in several processes; no worker outlives the process that started it."""

import multiprocessing
import multiprocessing.util
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from unhiss.errors import UnhissError

SHUTDOWN_TIMEOUT_S = 15.0  # for workers to clean up after SIGTERM, before they are killed
EXIT_TERMINATED = 128 + signal.SIGTERM
MAX_TEMP_FOLDER = 60  # bytes; multiprocessing appends up to 40


class WorkerCrashed(UnhissError):
    """A worker process was killed from outside, and the work it was doing is lost."""


@dataclass(frozen=True, kw_only=True)
class WorkerSetup:
    """What each process makes before its first item: `state(*args)`, the first argument of its tasks.

    state: None for tasks without one. preload: modules that the fork server imports once for all workers.
    """

    state: Callable[..., Any] | None = None
    args: tuple[Any, ...] = ()
    preload: Sequence[str] = ()

    def first_arguments(self) -> tuple[Any, ...]:
        """A new state alone, or nothing: what precedes the item in the arguments of each task of this process."""
        return (self.state(*self.args),) if self.state else ()


NO_SETUP = WorkerSetup()


class _Worker:
    """State of a worker process: only so can the initializer of a pool hand something to its tasks."""

    busy = False  # a task is running
    terminated = False  # SIGTERM has arrived
    first_arguments: tuple[Any, ...] = ()  # of each task, which WorkerSetup made


def cpu_count() -> int:
    """The number of processors this process may run on."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def map_processes(
    task: Callable[..., Any], items: Sequence[tuple[Any, ...]], jobs: int | None = None, setup: WorkerSetup = NO_SETUP,
    isolated: bool = False,
) -> Iterator[tuple[int, Any]]:  # fmt: skip
    """(index, task(*item)) of every item as each finishes, in up to `jobs` processes (None: one a processor).

    With a state it is task(state, *item). The first exception of a task ends the run. With one job the task runs in
    this process and no worker starts, unless `isolated`: for items that may crash their process. Raises WorkerCrashed
    when a worker was killed.
    """
    count = min(cpu_count() if jobs is None else jobs, len(items))
    if count <= 1 and not (isolated and items):
        first_arguments = setup.first_arguments() if items else ()
        for index, item in enumerate(items):
            yield index, task(*first_arguments, *item)
        return
    before = set(multiprocessing.active_children())
    pool = _pool(count, setup)
    try:
        futures = {pool.submit(_run_task, task, item): index for index, item in enumerate(items)}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BaseException as error:
        _terminate(set(multiprocessing.active_children()) - before)
        if isinstance(error, BrokenProcessPool):
            raise WorkerCrashed("a process was killed, perhaps for want of memory; -j 1 needs least") from error
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def start_workers(count: int, setup: WorkerSetup = NO_SETUP) -> Callable[[Callable[..., Any], tuple[Any, ...]], Any]:
    """A function of a task and an item that gives the result of one of `count` processes; threads may call it at once.

    With a state it is that of task(state, *item). The processes end when the function is forgotten. It raises
    WorkerCrashed when one was killed.
    """
    pool = _pool(count, setup)

    def run(task: Callable[..., Any], item: tuple[Any, ...]) -> Any:
        try:
            return pool.submit(_run_task, task, item).result()
        except BrokenProcessPool as error:
            raise WorkerCrashed("a process was killed, perhaps for want of memory") from error

    return run


def _pool(count: int, setup: WorkerSetup) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(count, _context(setup.preload), _start_worker, (setup,))


def _run_task(task: Callable[..., Any], item: tuple[Any, ...]) -> Any:
    """In a worker: `task(*item)`, or `task(state, *item)`. After SIGTERM the worker ends and takes no further item.

    Raising SystemExit is not enough: callbacks of C, finalisers and tasks may swallow it, and the pool would go on.
    """
    try:
        _Worker.busy = True
        result = task(*_Worker.first_arguments, *item)
    except SystemExit:
        os._exit(EXIT_TERMINATED)
    finally:
        _Worker.busy = False
    if _Worker.terminated:
        os._exit(EXIT_TERMINATED)
    return result


def _on_sigterm(number: int, _: object) -> None:
    """In a worker: let a running task end through its `finally` blocks, which remove temporary files."""
    signal.signal(number, signal.SIG_IGN)  # a second signal would interrupt the clean-up
    _Worker.terminated = True
    if not _Worker.busy:  # an exception would end up in the pool, which goes on
        os._exit(EXIT_TERMINATED)
    sys.exit(EXIT_TERMINATED)


def _terminate(children: set[Any]) -> None:
    """Send SIGTERM until all have ended, since a starting process may miss it; after the timeout, kill."""
    deadline = time.monotonic() + SHUTDOWN_TIMEOUT_S
    while alive := [child for child in children if child.is_alive()]:
        for child in alive:
            child.terminate() if time.monotonic() < deadline else child.kill()
        alive[0].join(0.1)


def _context(preload: Sequence[str]) -> multiprocessing.context.BaseContext:
    """How workers start: never as a fork of this process, whose threads (onnxruntime's) a fork would break.

    A fork server imports `preload` once, for every pool of this command; it needs an operating system with safe forks.
    """
    if not sys.platform.startswith("linux"):
        return multiprocessing.get_context("spawn")
    _choose_socket_folder()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["unhiss.fleet.forkserver", *preload])
    return context


def _choose_socket_folder() -> None:
    """Put the sockets of multiprocessing into /tmp where TMPDIR is too long: a socket's path has at most 107 bytes."""
    saved = tempfile.tempdir
    if len(os.fsencode(tempfile.gettempdir())) > MAX_TEMP_FOLDER:
        tempfile.tempdir = "/tmp"
    try:
        multiprocessing.util.get_temp_dir()  # chosen once for this process and its workers
    finally:
        tempfile.tempdir = saved


def _start_worker(setup: WorkerSetup) -> None:
    """In a worker: leave Ctrl-C to the parent, make the state, and end when the parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _on_sigterm)
    _Worker.first_arguments = setup.first_arguments()
    end_with_parent()


def end_with_parent() -> None:
    """In a worker: end this process when its parent ends."""
    parent = multiprocessing.parent_process()
    assert parent
    if not parent.is_alive():  # killed while this process started: the next run may be at work already
        os._exit(1)

    def wait_for_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait_for_parent, daemon=True).start()
