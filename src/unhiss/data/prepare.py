"""`unhiss prepare`: corpora -> a data set to train on. A run that was killed is resumed by the same call."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

from unhiss.data.completion import complete_set
from unhiss.data.locks import run_workers
from unhiss.data.output_folder import claim_folder
from unhiss.data.shard_plan import ClipSource, plan_shards
from unhiss.data.shards import Preprocessing, QualityRater, is_complete, write_shards
from unhiss.data.storage import file_names, make_folder
from unhiss.data.store import SETTINGS, Store
from unhiss.fleet.mapping import ALL_PROCESSORS, Fleet
from unhiss.remote import MAX_REQUESTS, RemotePath


def prepare(
    sources: list[ClipSource], target: Path | RemotePath, preprocessing: Preprocessing, *, valid_share: float = 0.05,
    seed: int = 0, fleet: Fleet = ALL_PROCESSORS, rater: QualityRater | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Store:  # fmt: skip
    """Write a prepared data set into `target` and open it.

    target: a local folder, or s3://…, of which no local copy is kept. rater: measures `preprocessing.min_mos`; it is
    pickled by name. `progress(done, total)` counts clips.
    Raises CorpusError when a group would stand in two splits, DataError when `target` holds another
    data set or no usable clip is left.
    """
    plan = plan_shards(sources, preprocessing, valid_share, seed)
    shards, total = plan.shards(), len(plan.clips)
    with claim_folder(target, plan.fingerprint, "data set") as temp_folder, ThreadPoolExecutor(MAX_REQUESTS) as threads:
        folder = make_folder(target / "shards")
        complete = threads.map(partial(is_complete, folder, existing=file_names(folder)), shards)
        todo = [name for name, done in zip(shards, complete, strict=True) if not done]
        sizes = [len(shards[name]) for name in todo]
        items = [(name, shards[name], folder, preprocessing, rater, temp_folder) for name in todo]
        run_workers(
            write_shards, sizes, items, temp_folder, fleet, lambda done: progress(done, total), total - sum(sizes)
        )
        if todo or not (target / SETTINGS).is_file():
            contents = threads.map(lambda name: (folder / f"{name}.json").read_bytes(), sorted(shards))
            parts = [json.loads(content) for content in contents]
            lines = [line for part in parts for line in part["rows"]]
            rejected = plan.rejected + [row for part in parts for row in part["rejected"]]
            hashes = {name: digest for part in parts for name, digest in part["shards"].items()}
            metadata = {"seed": seed, "sources": [source.spec for source in sources], "shards": hashes}
            complete_set(target, lines, rejected, asdict(preprocessing), metadata)
    return Store(target)
