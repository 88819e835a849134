"""Whether a prepared set is as it states: every hash, count, offset and split, read from the files themselves."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from unhiss.data.clips import ROLES, SPLITS, leaks
from unhiss.data.completion import summarise
from unhiss.data.manifest import COLUMNS, MANIFEST, Columns, ManifestRow, checksum_of
from unhiss.data.storage import file_names, local_copy
from unhiss.data.store import Store
from unhiss.remote import RemotePath


def faults(folder: Path | RemotePath) -> Iterator[str]:
    """A line for each fault; none for a set in order. Raises DataError where there is no set.

    Reads every byte once, a shard at a time; of a remote set, from a temporary copy.
    """
    store = Store(folder)
    rows = list(store.rows)
    yield from _check_columns(folder)
    yield from _check_manifest(rows)
    yield from _check_summary(store, rows)
    stated: dict[str, str] = store.settings.get("shards", {})
    unstated = sorted({row.shard for row in rows} - set(stated))
    yield from (f"shards/{name}: rows name it, dataset.json does not" for name in unstated)
    rows_of: dict[str, list[ManifestRow]] = {name: [] for name in stated}
    for row in rows:
        rows_of.setdefault(row.shard, []).append(row)
    existing = {name for name in file_names(folder / "shards") if name.endswith(".npy")}
    yield from (f"shards/{name}: belongs to no row and no hash" for name in sorted(existing - set(rows_of)))
    for name, shard_rows in rows_of.items():
        if name not in existing:
            yield f"shards/{name}: missing"
        else:
            with local_copy(folder / "shards" / name) as path:
                yield from _check_shard(path, name, stated.get(name), shard_rows)


def _check_columns(folder: Path | RemotePath) -> Iterator[str]:
    path, checksum = folder / COLUMNS, checksum_of([(folder / MANIFEST).read_bytes()])
    if path.is_file() and Columns.from_bytes(path.read_bytes(), checksum) is None:
        yield f"{COLUMNS}: damaged, or not of this {MANIFEST}; without it the set only opens more slowly"


def _check_manifest(rows: list[ManifestRow]) -> Iterator[str]:
    for (role, name), count in Counter((row.role, row.id) for row in rows).items():
        if count > 1:
            yield f"{MANIFEST}: {count} rows of {role} are called {name}"
    for row in rows:
        if row.role not in ROLES or row.split not in SPLITS:
            yield f"{MANIFEST}: {row.id} is {row.role}/{row.split}; known: {', '.join(ROLES)} and {', '.join(SPLITS)}"
    for name, splits in sorted(leaks(rows).items()):
        yield f"{MANIFEST}: {name} stands in {' and '.join(sorted(splits))}"


def _check_summary(store: Store, rows: list[ManifestRow]) -> Iterator[str]:
    """Counts and hours of each part and licence."""
    summary = summarise(rows, [], {"sample_rate": store.rate})
    for what in ("splits", "licences"):
        stated = store.settings.get(what, {})
        for key in sorted(stated.keys() | summary[what].keys()):
            if stated.get(key) != summary[what].get(key):
                yield f"dataset.json: {what} {key} is {stated.get(key)}, the manifest has {summary[what].get(key)}"


def _check_shard(path: Path, name: str, stated: str | None, rows: list[ManifestRow]) -> Iterator[str]:
    """Its hash; that it is int16; that its rows follow each other without gaps, from first to last sample."""
    label = f"shards/{name}"
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if stated is not None and digest != stated:
        yield f"{label}: its SHA-256 is {digest[:12]}…, dataset.json says {stated[:12]}…"
    try:
        samples = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        yield f"{label}: not readable ({error})"
        return
    if samples.dtype != np.dtype("<i2") or samples.ndim != 1:
        yield f"{label}: {samples.dtype} of {samples.ndim} dimensions; expected int16 of one"
    end = 0
    for row in rows:
        if row.length <= 0 or row.offset != end:
            yield f"{label}: {row.id} lies at {row.offset} + {row.length}; expected it at {end}"
        end = row.offset + row.length
    if end != samples.size:
        yield f"{label}: {samples.size} samples, and its rows end at {end}"
