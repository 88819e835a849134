"""`hush prepare`: corpora -> a data set to train on. Killed at any moment, the same call carries on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hush.data.complete import complete
from hush.data.output import claim
from hush.data.plan import Plan, Source, make_plan
from hush.data.shards import Cleaning, Rater, build, whole
from hush.data.store import Store
from hush.data.workers import run
from hush.fleet.mapping import Fleet


def prepare(
    sources: list[Source],
    target: Path,
    cleaning: Cleaning,
    *,
    valid_share: float = 0.05,
    seed: int = 0,
    jobs: int | None = None,
    ray: str | None = None,
    rater: Rater | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Store:
    """Write a prepared data set into `target` and open it.

    jobs, ray: see Fleet. rater: what `cleaning.min_mos` is measured with; it travels to other processes by its name.
    Raises CorpusError when a group would stand in two splits, DataError when `target` holds another
    data set or nothing usable is left. `progress(done, total)` counts clips.
    """
    plan = make_plan(sources, cleaning, valid_share, seed)
    shards, total = plan.shards(), len(plan.clips)
    with claim(target, plan.fingerprint, "data set"):
        folder = target / "shards"
        folder.mkdir(exist_ok=True)
        todo = [name for name in shards if not whole(folder, name)]
        done = total - sum(len(shards[name]) for name in todo)
        progress(done, total)

        def finished(index: int) -> None:
            nonlocal done
            done += len(shards[todo[index]])
            progress(done, total)

        run(build, [(name, shards[name], folder, cleaning, rater) for name in todo], target, Fleet(jobs, ray), finished)
        if todo or not (target / "dataset.json").is_file():
            _finish(
                target, list(shards), plan, cleaning, {"seed": seed, "sources": [source.spec for source in sources]}
            )
    return Store(target)


def _finish(target: Path, names: list[str], plan: Plan, cleaning: Cleaning, facts: dict[str, Any]) -> None:
    """Gather the shards' rows, and complete the set."""
    lines: list[str] = []
    rejected = list(plan.rejected)
    hashes: dict[str, str] = {}
    for name in sorted(names):
        part = json.loads((target / "shards" / f"{name}.json").read_text(encoding="utf-8"))
        lines += part["rows"]
        rejected += part["rejected"]
        hashes |= part["shards"]
    complete(target, lines, rejected, asdict(cleaning), facts | {"shards": hashes})
