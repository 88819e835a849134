"""`unhiss prepare`: corpora -> a data set to train on. Killed at any moment, the same call carries on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from unhiss.data.complete import complete
from unhiss.data.files import made, names
from unhiss.data.output import claim
from unhiss.data.plan import Plan, Source, make_plan
from unhiss.data.shards import Preprocessing, Rater, build, whole
from unhiss.data.store import Store
from unhiss.data.workers import run
from unhiss.fleet.mapping import Fleet
from unhiss.remote import AT_ONCE, RemotePath


def prepare(
    sources: list[Source],
    target: Path | RemotePath,
    preprocessing: Preprocessing,
    *,
    valid_share: float = 0.05,
    seed: int = 0,
    jobs: int | None = None,
    ray: str | None = None,
    rater: Rater | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Store:
    """Write a prepared data set into `target` and open it.

    target: a folder here, or s3://…, where nothing of it stays here. jobs, ray: see Fleet. rater: what
    `preprocessing.min_mos` is measured with; it travels to other processes by its name.
    Raises CorpusError when a group would stand in two splits, DataError when `target` holds another
    data set or nothing usable is left. `progress(done, total)` counts clips.
    """
    plan = make_plan(sources, preprocessing, valid_share, seed)
    shards, total = plan.shards(), len(plan.clips)
    with claim(target, plan.fingerprint, "data set") as held, ThreadPoolExecutor(AT_ONCE) as readers:
        folder = made(target / "shards")
        ready = readers.map(partial(whole, folder, there=names(folder)), shards)
        todo = [name for name, there in zip(shards, ready, strict=True) if not there]
        done = total - sum(len(shards[name]) for name in todo)
        progress(done, total)

        def finished(index: int) -> None:
            nonlocal done
            done += len(shards[todo[index]])
            progress(done, total)

        items = [(name, shards[name], folder, preprocessing, rater, held) for name in todo]
        run(build, items, held, Fleet(jobs, ray), finished)
        if todo or not (target / "dataset.json").is_file():
            notes = readers.map(lambda name: (folder / f"{name}.json").read_bytes(), sorted(shards))
            _finish(target, notes, plan, preprocessing, {"seed": seed, "sources": [source.spec for source in sources]})
    return Store(target)


def _finish(
    target: Path | RemotePath, notes: Iterable[bytes], plan: Plan, preprocessing: Preprocessing, facts: dict[str, Any]
) -> None:
    """Gather the shards' rows, and complete the set. notes: what `build` wrote of each shard, by name."""
    lines: list[str] = []
    rejected = list(plan.rejected)
    hashes: dict[str, str] = {}
    for note in notes:
        part = json.loads(note)
        lines += part["rows"]
        rejected += part["rejected"]
        hashes |= part["shards"]
    complete(target, lines, rejected, asdict(preprocessing), facts | {"shards": hashes})
