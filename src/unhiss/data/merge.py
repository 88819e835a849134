"""Several prepared sets as one: their shards side by side under new names, not a sample touched."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from unhiss.data.clips import leaks
from unhiss.data.complete import complete, rejected_of
from unhiss.data.files import made, names, placed
from unhiss.data.output import claim
from unhiss.data.plan import free_name
from unhiss.data.rows import Row
from unhiss.data.store import Store
from unhiss.errors import DataError
from unhiss.remote import RemotePath


def merge(folders: Sequence[Path | RemotePath], target: Path | RemotePath) -> Store:
    """One set of all clips of several, which stay as they are. Killed, the same call carries on.

    Shards are hard links where one file system holds both, else copies. Clips of one name get ~2, ~3 … behind it.
    Raises DataError where rates differ, a group would stand in two splits, or two sets hold the same shard.
    """
    stores = [Store(folder) for folder in folders]
    _refuse(stores)
    fingerprint = hashlib.sha256(b"".join((store.folder / "dataset.json").read_bytes() for store in stores)).hexdigest()
    with claim(target, f"merged {fingerprint}", "data set") as room:
        made(target / "shards")
        if not (target / "dataset.json").is_file():
            _fill(stores, target, room)
    return Store(target)


def _fill(stores: list[Store], target: Path | RemotePath, room: Path) -> None:
    there = names(target / "shards")
    counts: Counter[str] = Counter()
    taken: set[str] = set()
    hashes: dict[str, str] = {}
    rows: dict[str, list[str]] = {}
    for store in stores:
        called: dict[str, str] = {}
        for row in store.rows:
            if row.shard not in called:
                part = f"{row.role}-{row.split}"
                name = called[row.shard] = f"{part}-{counts[part]:05d}.npy"
                counts[part] += 1
                hashes[name] = store.settings["shards"][row.shard]
                if name not in there:
                    _take(store.folder / "shards" / row.shard, target / "shards" / name, room)
            own = free_name(f"{row.role} {row.id}", taken).partition(" ")[2]
            rows.setdefault(called[row.shard], []).append(replace(row, id=own, shard=called[row.shard]).to_json())
    lines = [line for name in sorted(rows) for line in rows[name]]
    facts = {"seed": stores[0].settings.get("seed"), "shards": hashes,
             "sources": [spec for store in stores for spec in store.settings.get("sources", [])]}  # fmt: skip
    complete(target, lines, [one for store in stores for one in rejected_of(store.folder)], _cleaning(stores), facts)


def _take(source: Path | RemotePath, target: Path | RemotePath, room: Path) -> None:
    """The file itself under another name, or a copy."""
    if isinstance(source, Path) and isinstance(target, Path):
        with suppress(OSError):
            os.link(source, target)
            return
    with placed(target, room) as draft:
        if isinstance(source, Path):
            shutil.copyfile(source, draft)
        else:
            source.fetch(draft)


def _refuse(stores: list[Store]) -> None:
    first = stores[0]
    for store in stores[1:]:
        if store.rate != first.rate:
            raise DataError(
                f"{store.folder} is at {store.rate} Hz and {first.folder} at {first.rate} Hz; prepare both at one rate"
            )
    seen: dict[str, Path | RemotePath] = {}
    for store in stores:
        for name, digest in store.settings["shards"].items():
            if digest in seen:
                raise DataError(f"{store.folder} and {seen[digest]} hold the same samples ({name}); leave one out")
        seen |= dict.fromkeys(store.settings["shards"].values(), store.folder)
    torn = leaks(_all(stores))
    if torn:
        name, splits = min(torn.items())
        raise DataError(
            f"{len(torn)} group(s) would stand in two splits, such as {name} in {' and '.join(sorted(splits))}; "
            "prepare the sources together, so that unhiss keeps them in one"
        )


def _all(stores: list[Store]) -> Iterator[Row]:
    for store in stores:
        yield from store.rows


def _cleaning(stores: list[Store]) -> dict[str, Any]:
    """Settings that all share; "differs" where they do not."""
    every = [store.settings.get("preprocessing", {"sample_rate": store.rate}) for store in stores]
    keys = dict.fromkeys(key for one in every for key in one)
    return {
        key: every[0].get(key) if all(one.get(key) == every[0].get(key) for one in every) else "differs" for key in keys
    }
