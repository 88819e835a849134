"""Many processes for one job; none of them outlives the process that started it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from hush.data.output import PLAN, share
from hush.errors import DataError


def cores() -> int:
    """The processors this process may run on."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def run(
    task: Callable[..., Any],
    items: Sequence[tuple],
    folder: Path,
    jobs: int | None = None,
    finished: Callable[[int], None] = lambda index: None,
) -> None:
    """Call `task(*item)` for every item in up to `jobs` processes (None: all cores), in no fixed order.

    folder: the claimed folder the tasks write to. `finished(index)` is called here after each item.
    The first exception of a task ends all. One job needs no further process and starts none.
    """
    count = min(jobs or cores(), len(items))
    if count <= 1:
        for index, item in enumerate(items):
            task(*item)
            finished(index)
        return
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(count, mp_context=_context(), initializer=_begin, initargs=(folder / PLAN,))
    try:
        running = {pool.submit(task, *item): index for index, item in enumerate(items)}
        for done in as_completed(running):
            done.result()
            finished(running[done])
    except BaseException as error:
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
        if isinstance(error, BrokenProcessPool):
            raise DataError(
                "a process was killed, perhaps for want of memory; the same command carries on, -j 1 needs least"
            ) from error
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _context() -> multiprocessing.context.BaseContext:
    """How processes start: never as a copy of this one, whose threads (onnxruntime's) would be half-alive in it.

    A fork server imports the tasks once, for every pool of this command; it needs a fork that is safe there.
    """
    if not sys.platform.startswith("linux"):
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["hush.data.shards", "hush.data.material"])
    return context


def _begin(note: Path) -> None:
    """In each process: be seen by the next run, leave Ctrl-C to the parent, and end when it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    share(note)
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if not parent.is_alive():  # killed while this process started: the next run may be at work already
        os._exit(1)

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
