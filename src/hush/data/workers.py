"""The processes that build a data set: each is seen by the next run for as long as it lives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hush.data.output import PLAN, share
from hush.fleet.processes import results


def run(
    task: Callable[..., Any],
    items: Sequence[tuple],
    folder: Path,
    jobs: int | None = None,
    finished: Callable[[int], None] = lambda index: None,
) -> None:
    """Call `task(*item)` for every item in up to `jobs` processes (None: all cores), in no fixed order.

    folder: the claimed folder the tasks write to. `finished(index)` is called here after each item.
    """
    preload = ("hush.data.shards", "hush.data.material")
    for index, _ in results(task, items, jobs, share, (folder / PLAN,), preload):
        finished(index)
