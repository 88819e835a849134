"""One function over many items in several processes; none of them outlives the process that started it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from unhiss.errors import UnhissError

PATIENCE_S = 15.0  # for processes to clean up when all is to end
TOLD = 128 + signal.SIGTERM  # exit code of a process that was told to end

_busy = _told = False  # in each further process: a task is at work; the process was told to end


class Killed(UnhissError):
    """A process was killed from outside, and what it worked on is lost."""


def cores() -> int:
    """The processors this process may run on."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def results(
    task: Callable[..., Any],
    items: Sequence[tuple],
    jobs: int | None = None,
    begin: Callable[..., None] | None = None,
    given: tuple = (),
    preload: Sequence[str] = (),
    apart: bool = False,
) -> Iterator[tuple[int, Any]]:
    """(index, task(*item)) of every item as each is done, in up to `jobs` processes (None: all cores).

    `begin(*given)` is called at the start of each further process. preload: modules that a fork server imports
    once for all. The first exception of a task ends all. One job needs no further process and starts none,
    unless `apart`: an item that may kill its process. Raises Killed when a process was killed.
    """
    count = min(cores() if jobs is None else jobs, len(items))
    if count <= 1 and not (apart and items):
        for index, item in enumerate(items):
            yield index, task(*item)
        return
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(count, _context(preload), initializer=_begin, initargs=(begin, given))
    try:
        running = {pool.submit(_work, task, item): index for index, item in enumerate(items)}
        for done in as_completed(running):
            yield running[done], done.result()
    except BaseException as error:
        _end(set(multiprocessing.active_children()) - before)
        if isinstance(error, BrokenProcessPool):
            raise Killed("a process was killed, perhaps for want of memory; -j 1 needs least") from error
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _work(task: Callable[..., Any], item: tuple) -> Any:
    """In each further process: no task begins once it was told to end; the pool would go on with the next.

    A SystemExit is not enough: whatever swallows exceptions (callbacks of C, finalisers, a task) takes it too.
    """
    global _busy
    try:
        _busy = True
        done = task(*item)
        _busy = False
    except SystemExit:
        os._exit(TOLD)
    finally:
        _busy = False
    if _told:
        os._exit(TOLD)
    return done


def _leave(number: int, _: object) -> None:
    """SIGTERM in a further process: a task ends through the exits that remove what is half-written."""
    global _told
    signal.signal(number, signal.SIG_IGN)  # asked once more, it would not finish cleaning up
    _told = True
    if not _busy:  # an exception would end up in the pool, which goes on
        os._exit(TOLD)
    sys.exit(TOLD)


def _end(children: set[Any]) -> None:
    """Ask until all have ended: a process that is just starting does not hear yet. The deaf are killed."""
    last = time.monotonic() + PATIENCE_S
    while alive := [child for child in children if child.is_alive()]:
        for child in alive:
            child.terminate() if time.monotonic() < last else child.kill()
        alive[0].join(0.1)


def _context(preload: Sequence[str]) -> multiprocessing.context.BaseContext:
    """How processes start: never as a copy of this one, whose threads (onnxruntime's) would be half-alive in it.

    A fork server imports the tasks once, for every pool of this command; it needs a fork that is safe there.
    """
    if not sys.platform.startswith("linux"):
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["unhiss.fleet.server", *preload])
    return context


def _begin(begin: Callable[..., None] | None, given: tuple) -> None:
    """In each further process: leave Ctrl-C to the parent, and end when told to or when the parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    if begin:
        begin(*given)
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if not parent.is_alive():  # killed while this process started: the next run may be at work already
        os._exit(1)

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
