"""Map a function over many items, here or on a cluster: lost work is done again, failed items are retried."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from unhiss.fleet.ledger import Ledger
from unhiss.fleet.processes import NO_SETUP, WorkerCrashed, WorkerSetup, map_processes

MAX_CRASHES = 3  # in a row, with no item finished between them: then the work itself crashes workers
RETRY_PAUSE_S = 0.2  # before the second attempt; a busy disk or server may have recovered by then

IsFailure = Callable[[Any], bool]


def never_fails(result: Any) -> bool:
    """For tasks that raise instead of returning a failure."""
    return False


@dataclass(frozen=True)
class Fleet:
    """Where work is done: in `jobs` processes of this machine (None: one a processor), or on Ray.

    ray: "local" starts Ray on this machine for one run; else the address of a cluster: auto, HOST:PORT, ray://….
    """

    jobs: int | None = None
    ray: str | None = None


ALL_PROCESSORS = Fleet()


def map_items(
    task: Callable[..., Any], items: Sequence[tuple[Any, ...]], fleet: Fleet, setup: WorkerSetup = NO_SETUP, *,
    is_failure: IsFailure = never_fails, ledger: Ledger | None = None, retry: bool = True,
) -> Iterator[tuple[int, Any]]:  # fmt: skip
    """(index, task(*item)) of every item, once, as each finishes; `in_order` sorts them.

    setup: with a state, which each process makes, it is task(state, *item).
    An item that raises, or whose result `is_failure`, is tried once more; then the exception ends the run, and the
    failed result is yielded. ledger: its results are yielded first and not computed again; new ones are added to it,
    except failures. retry: work lost to a crashed worker is done again, so an item may be computed twice; without
    it, or when workers crash repeatedly, WorkerCrashed is raised. task and is_failure are pickled by name.
    """
    done = ledger.done if ledger else {}
    yield from sorted((index, result) for index, result in done.items() if isinstance(index, int))
    remaining = [index for index in range(len(items)) if index not in done]
    crashes = 0
    while remaining:
        work = [(task, is_failure, items[index]) for index in remaining]
        finished = set()
        try:
            for number, result in _map_once(work, fleet, setup, isolated=crashes > 0, retry=retry):
                finished.add(remaining[number])
                if ledger and not is_failure(result):
                    ledger.add(remaining[number], result)
                yield remaining[number], result
        except WorkerCrashed:
            crashes = 1 if finished else crashes + 1
            if not retry or crashes == MAX_CRASHES:
                raise
        remaining = [index for index in remaining if index not in finished]


def _map_once(
    work: list[tuple[Any, ...]], fleet: Fleet, setup: WorkerSetup, isolated: bool, retry: bool
) -> Iterator[tuple[int, Any]]:
    task = attempt_with_state if setup.state else attempt
    if fleet.ray:
        from unhiss.fleet import cluster

        return cluster.map_on_ray(task, work, fleet.ray, fleet.jobs, setup, retry)
    return map_processes(task, work, fleet.jobs, setup, isolated)


def attempt(task: Callable[..., Any], is_failure: IsFailure, item: tuple[Any, ...]) -> Any:
    """In a worker: `task(*item)`, once more if it fails."""
    with suppress(Exception):
        result = task(*item)
        if not is_failure(result):
            return result
    time.sleep(RETRY_PAUSE_S)
    return task(*item)


def attempt_with_state(state: Any, task: Callable[..., Any], is_failure: IsFailure, item: tuple[Any, ...]) -> Any:
    """In a worker: `task(state, *item)`, once more if it fails."""
    return attempt(task, is_failure, (state, *item))


def in_order(results: Iterator[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
    """The same results sorted by index from 0 on: each is yielded as soon as all before it have arrived."""
    waiting: dict[int, Any] = {}
    following = 0
    for index, result in results:
        waiting[index] = result
        while following in waiting:
            yield following, waiting.pop(following)
            following += 1
