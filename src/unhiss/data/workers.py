"""The processes that build a data set: each is seen by the next run for as long as it lives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from unhiss.data.output import PLAN, share, shared
from unhiss.fleet.mapping import Fleet, Start, mapped


def run(
    task: Callable[..., Any],
    items: Sequence[tuple],
    folder: Path,
    fleet: Fleet,
    finished: Callable[[int], None] = lambda index: None,
) -> None:
    """Call `task(*item)` for every item on `fleet`, in no fixed order.

    folder: what the run holds on this machine (see `claim`). `finished(index)` is called here after each item.
    """
    if fleet.ray:  # whose processes outlive the run
        task, items, start = _noticed, [(folder, task, item) for item in items], Start()
    else:
        preload = ("unhiss.data.shards", "unhiss.data.material")
        start = Start(begin=share, given=(folder / PLAN,), preload=preload)
    for index, _ in mapped(task, items, fleet, start):
        finished(index)


def _noticed(folder: Path, task: Callable[..., Any], item: tuple) -> None:
    """A task on Ray that the next run sees while it is at work, unless on another machine on a set elsewhere."""
    with shared(folder / PLAN) if (folder / PLAN).is_file() else nullcontext():
        task(*item)
