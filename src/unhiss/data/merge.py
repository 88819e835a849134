"""Merge several prepared sets into one: their shards get new names, and no sample changes."""

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from unhiss.data.clips import leaks
from unhiss.data.completion import complete_set, read_rejected
from unhiss.data.output_folder import claim_folder
from unhiss.data.prepare import unique_id
from unhiss.data.storage import file_names, make_folder, output_file
from unhiss.data.store import SETTINGS, Store
from unhiss.errors import DataError
from unhiss.remote import RemotePath


def merge_sets(folders: Sequence[Path | RemotePath], target: Path | RemotePath) -> Store:
    """One set of all clips of several, which stay as they are. A run that was killed is resumed by the same call.

    Shards are hard links where one file system has both, else copies. Clips of one name get ~2, ~3 … behind it.
    Raises DataError where rates differ, a group would stand in two splits, or two sets hold the same shard.
    """
    stores = [Store(folder) for folder in folders]
    _check_mergeable(stores)
    fingerprint = hashlib.sha256(b"".join((store.folder / SETTINGS).read_bytes() for store in stores)).hexdigest()
    with claim_folder(target, f"merged {fingerprint}", "data set") as temp_folder:
        make_folder(target / "shards")
        if not (target / SETTINGS).is_file():
            _write(stores, target, temp_folder)
    return Store(target)


def _write(stores: list[Store], target: Path | RemotePath, temp_folder: Path) -> None:
    existing = file_names(target / "shards")
    counts: Counter[str] = Counter()
    taken: set[str] = set()
    hashes: dict[str, str] = {}
    lines: dict[str, list[str]] = {}
    for store in stores:
        new_names: dict[str, str] = {}
        for row in store.rows:
            if row.shard not in new_names:
                part = f"{row.role}-{row.split}"
                name = new_names[row.shard] = f"{part}-{counts[part]:05d}.npy"
                counts[part] += 1
                hashes[name] = store.settings["shards"][row.shard]
                if name not in existing:
                    _link_or_copy(store.folder / "shards" / row.shard, target / "shards" / name, temp_folder)
            name = new_names[row.shard]
            new_row = replace(row, id=unique_id(row.id, row.role, taken), shard=name)
            lines.setdefault(name, []).append(new_row.to_json())
    metadata = {"seed": stores[0].settings.get("seed"), "shards": hashes,
                "sources": [spec for store in stores for spec in store.settings.get("sources", [])]}  # fmt: skip
    rejected = [row for store in stores for row in read_rejected(store.folder)]
    complete_set(
        target, [line for name in sorted(lines) for line in lines[name]], rejected, _preprocessing(stores), metadata
    )


def _link_or_copy(source: Path | RemotePath, target: Path | RemotePath, temp_folder: Path) -> None:
    if isinstance(source, Path) and isinstance(target, Path):
        with suppress(OSError):
            os.link(source, target)
            return
    with output_file(target, temp_folder) as temporary:
        if isinstance(source, Path):
            shutil.copyfile(source, temporary)
        else:
            source.download(temporary)


def _check_mergeable(stores: list[Store]) -> None:
    first = stores[0]
    folder_of: dict[str, Path | RemotePath] = {}
    for store in stores:
        if store.rate != first.rate:
            raise DataError(
                f"{store.folder} is at {store.rate} Hz and {first.folder} at {first.rate} Hz; prepare both at one rate"
            )
    for store in stores:
        for name, digest in store.settings["shards"].items():
            if digest in folder_of:
                raise DataError(f"{store.folder} and {folder_of[digest]} hold the same samples ({name}); leave one out")
        folder_of |= dict.fromkeys(store.settings["shards"].values(), store.folder)
    leaking = leaks(row for store in stores for row in store.rows)
    if leaking:
        name, splits = min(leaking.items())
        raise DataError(
            f"{len(leaking)} group(s) would stand in two splits, such as {name} in {' and '.join(sorted(splits))}; "
            "prepare the sources together, so that unhiss keeps them in one"
        )


def _preprocessing(stores: list[Store]) -> dict[str, Any]:
    """Settings that all sets share; "differs" where they do not."""
    settings = [store.settings.get("preprocessing", {"sample_rate": store.rate}) for store in stores]
    first = settings[0]
    return {
        key: first.get(key) if all(one.get(key) == first.get(key) for one in settings) else "differs"
        for key in dict.fromkeys(key for one in settings for key in one)
    }
