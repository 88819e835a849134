"""One function over many items, here or on a cluster: what a death took is done again, what failed is tried again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from unhiss.fleet.ledger import Ledger
from unhiss.fleet.processes import Killed, results

DEATHS = 3  # in a row, with nothing done between them: then the work is what kills
TRIES = 2  # of an item that fails
PAUSE_S = 0.2  # between them: a busy disk or server may be back

Failed = Callable[[Any], bool]


def never(result: Any) -> bool:
    """No result is a failure; what fails raises."""
    return False


@dataclass(frozen=True)
class Fleet:
    """Where work is done: in `jobs` processes of this machine (None: one a core), or on Ray.

    ray: "local" starts Ray on this machine for one run; else the address of a cluster: auto, HOST:PORT, ray://….
    """

    jobs: int | None = None
    ray: str | None = None


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a process does before its first item: begin(*given), after the fork server imported `preload`."""

    begin: Callable[..., None] | None = None
    given: tuple = ()
    preload: Sequence[str] = ()


def mapped(
    task: Callable[..., Any],
    items: Sequence[tuple],
    fleet: Fleet,
    start: Start = Start(),
    *,
    failed: Failed = never,
    ledger: Ledger | None = None,
    again: bool = True,
) -> Iterator[tuple[int, Any]]:
    """(index, task(*item)) of every item, once, as each is done; `in_order` sorts them.

    An item that raises, or whose result has `failed`, is tried again; then the exception ends all, and the result
    stands. ledger: what it knows comes first and is not done again; what is done and has not failed is noted in it.
    again: an item may be done twice, so that one whose process was killed is; without it, or when processes die again
    and again, Killed is raised. task and failed travel to other processes by their names.
    """
    known = ledger.done if ledger else {}
    yield from sorted(known.items())
    left = [index for index in range(len(items)) if index not in known]
    for index, result in _survived(task, items, left, fleet, start, failed, again):
        if ledger and not failed(result):
            ledger.add(index, result)
        yield index, result


def _survived(
    task: Callable[..., Any], items: Sequence[tuple], left: list[int], fleet: Fleet, start: Start, failed: Failed,
    again: bool,
) -> Iterator[tuple[int, Any]]:  # fmt: skip
    deaths = 0
    while left:
        work = [(task, failed, items[index]) for index in left]
        through = set()
        try:
            for number, result in _results(work, fleet, start, apart=deaths > 0, again=again):
                through.add(left[number])
                yield left[number], result
            return
        except Killed:
            deaths = 1 if through else deaths + 1
            if not again or deaths == DEATHS:
                raise
        left = [index for index in left if index not in through]


def _results(work: list[tuple], fleet: Fleet, start: Start, apart: bool, again: bool) -> Iterator[tuple[int, Any]]:
    if fleet.ray:
        from unhiss.fleet import cluster

        return cluster.results(tried, work, fleet.ray, fleet.jobs, start.begin, start.given, again)
    return results(tried, work, fleet.jobs, start.begin, start.given, start.preload, apart)


def tried(task: Callable[..., Any], failed: Failed, item: tuple) -> Any:
    """In the process that works: `task(*item)`, once more if it fails."""
    for _ in range(TRIES - 1):
        try:
            result = task(*item)
        except Exception:
            pass
        else:
            if not failed(result):
                return result
        time.sleep(PAUSE_S)
    return task(*item)


def in_order(done: Iterator[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
    """The same, by index from 0 on: each as soon as all before it are there."""
    held: dict[int, Any] = {}
    following = 0
    for index, result in done:
        held[index] = result
        while following in held:
            yield following, held.pop(following)
            following += 1
