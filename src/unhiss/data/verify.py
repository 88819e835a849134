"""Whether a prepared set is what it says: every hash, count, offset and split, read from the files themselves."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from unhiss.data.clips import ROLES, SPLITS, leaks
from unhiss.data.complete import summarise
from unhiss.data.files import names, near
from unhiss.data.rows import COLUMNS, Columns, Row, checksum
from unhiss.data.store import MANIFEST, Store
from unhiss.remote import RemotePath


def faults(folder: Path | RemotePath) -> Iterator[str]:
    """A line for each fault; none for a set that is whole. Raises DataError where there is no set to look at.

    Reads every byte once, a shard at a time; of a set elsewhere, in a copy that is removed.
    """
    store = Store(folder)
    rows = list(store.rows)
    yield from _columns(folder)
    yield from _manifest(rows)
    yield from _summary(store, rows)
    stated: dict[str, str] = store.settings.get("shards", {})
    yield from (f"shards/{name}: rows name it, dataset.json does not" for name in _strangers(rows, stated))
    of: dict[str, list[Row]] = {name: [] for name in stated}
    for row in rows:
        of.setdefault(row.shard, []).append(row)
    there = {name for name in names(folder / "shards") if name.endswith(".npy")}
    yield from (f"shards/{name}: belongs to no row and no hash" for name in sorted(there - set(of)))
    for name, inside in of.items():
        if name not in there:
            yield f"shards/{name}: missing"
        else:
            with near(folder / "shards" / name) as path:
                yield from _shard(path, name, stated.get(name), inside)


def _strangers(rows: list[Row], stated: dict[str, str]) -> list[str]:
    return sorted({row.shard for row in rows} - set(stated))


def _columns(folder: Path | RemotePath) -> Iterator[str]:
    if not (folder / COLUMNS).is_file():
        return  # sets of earlier versions: the manifest is read instead
    manifest = (folder / MANIFEST).read_bytes()
    if Columns.from_bytes((folder / COLUMNS).read_bytes(), checksum([manifest])) is None:
        yield f"{COLUMNS}: damaged, or not of this {MANIFEST}; without it the set only opens more slowly"


def _manifest(rows: list[Row]) -> Iterator[str]:
    for (role, name), count in Counter((row.role, row.id) for row in rows).items():
        if count > 1:
            yield f"{MANIFEST}: {count} rows of {role} are called {name}"
    for row in rows:
        if row.role not in ROLES or row.split not in SPLITS:
            yield f"{MANIFEST}: {row.id} is {row.role}/{row.split}; known: {', '.join(ROLES)} and {', '.join(SPLITS)}"
    for name, splits in sorted(leaks(rows).items()):
        yield f"{MANIFEST}: {name} stands in {' and '.join(sorted(splits))}"


def _summary(store: Store, rows: list[Row]) -> Iterator[str]:
    """Counts and hours of each part and licence."""
    found = summarise(rows, [], {"sample_rate": store.rate})
    for what in ("splits", "licences"):
        stated = store.settings.get(what, {})
        for key in sorted(stated.keys() | found[what].keys()):
            one, other = stated.get(key), found[what].get(key)
            if one != other:
                yield f"dataset.json: {what} {key} is {one}, the manifest has {other}"


def _shard(path: Path, name: str, stated: str | None, rows: list[Row]) -> Iterator[str]:
    """Its hash; that it is int16; that its rows lie end to end, from its first sample to its last."""
    where = f"shards/{name}"
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if stated is not None and digest != stated:
        yield f"{where}: its SHA-256 is {digest[:12]}…, dataset.json says {stated[:12]}…"
    try:
        samples = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        yield f"{where}: not readable ({error})"
        return
    if samples.dtype != np.dtype("<i2") or samples.ndim != 1:
        yield f"{where}: {samples.dtype} of {samples.ndim} dimensions; expected int16 of one"
    following = 0
    for row in rows:
        if row.length <= 0 or row.offset != following:
            yield f"{where}: {row.id} lies at {row.offset} + {row.length}; expected it at {following}"
        following = row.offset + row.length
    if following != samples.size:
        yield f"{where}: {samples.size} samples, and its rows end at {following}"
