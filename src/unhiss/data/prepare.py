"""`unhiss prepare`: corpora -> a data set to train on. A run that was killed is resumed by the same call."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from unhiss.data.completion import complete_set
from unhiss.data.locks import run_workers
from unhiss.data.output_folder import claim_folder
from unhiss.data.shard_plan import ClipSource, plan_shards
from unhiss.data.shards import Preprocessing, QualityRater, is_complete, write_shards
from unhiss.data.storage import file_names, make_folder
from unhiss.data.store import SETTINGS, Store
from unhiss.fleet.mapping import Fleet
from unhiss.remote import MAX_REQUESTS, RemotePath


def prepare(
    sources: list[ClipSource],
    target: Path | RemotePath,
    preprocessing: Preprocessing,
    *,
    valid_share: float = 0.05,
    seed: int = 0,
    jobs: int | None = None,
    ray: str | None = None,
    rater: QualityRater | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Store:
    """Write a prepared data set into `target` and open it.

    target: a local folder, or s3://…, of which no local copy is kept. jobs, ray: see Fleet. rater: measures
    `preprocessing.min_mos`; it is pickled by name. `progress(done, total)` counts clips.
    Raises CorpusError when a group would stand in two splits, DataError when `target` holds another
    data set or no usable clip is left.
    """
    plan = plan_shards(sources, preprocessing, valid_share, seed)
    shards, total = plan.shards(), len(plan.clips)
    with claim_folder(target, plan.fingerprint, "data set") as temp_folder, ThreadPoolExecutor(MAX_REQUESTS) as threads:
        folder = make_folder(target / "shards")
        complete = threads.map(partial(is_complete, folder, existing=file_names(folder)), shards)
        todo = [name for name, done in zip(shards, complete, strict=True) if not done]
        done = total - sum(len(shards[name]) for name in todo)
        progress(done, total)

        def on_finished(index: int) -> None:
            nonlocal done
            done += len(shards[todo[index]])
            progress(done, total)

        items = [(name, shards[name], folder, preprocessing, rater, temp_folder) for name in todo]
        run_workers(write_shards, items, temp_folder, Fleet(jobs, ray), on_finished)
        if todo or not (target / SETTINGS).is_file():
            contents = threads.map(lambda name: (folder / f"{name}.json").read_bytes(), sorted(shards))
            metadata = {"seed": seed, "sources": [source.spec for source in sources]}
            _complete(target, contents, plan.rejected, preprocessing, metadata)
    return Store(target)


def _complete(
    target: Path | RemotePath, contents: Iterable[bytes], rejected: list[dict[str, str]], preprocessing: Preprocessing,
    metadata: dict[str, Any],
) -> None:  # fmt: skip
    """Complete the set with the rows of all shards. contents: of each shard's .json, by name."""
    lines: list[str] = []
    hashes: dict[str, str] = {}
    for content in contents:
        part = json.loads(content)
        lines += part["rows"]
        rejected = [*rejected, *part["rejected"]]
        hashes |= part["shards"]
    complete_set(target, lines, rejected, asdict(preprocessing), metadata | {"shards": hashes})
