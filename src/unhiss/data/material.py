"""The reference's own material from a prepared set: noisy/clean WAV pairs and 128 x 128 frames."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np

from unhiss.data.files import save_bytes, save_text
from unhiss.data.mixing import Mixer, Recipe, mix
from unhiss.data.output import claim
from unhiss.data.store import Store
from unhiss.data.workers import run
from unhiss.dsp import frames
from unhiss.fleet.mapping import Fleet
from unhiss.media.wav import wav_bytes
from unhiss.settings import MixConfig

COLUMNS = ("id", "snr_db", "noise_kind", "noise_source", "speaker", "language", "text", "split")
SIDES = ("clean", "noisy")
SEEDS = {"train": 5, "valid": 6, "test": 7}  # so that no two splits draw the same SNRs and levels
PAIRS_PER_TASK = 100  # some tenths of a second of work, about what it costs to start a process
CHUNK = 256  # frames drawn at a time; each chunk has a seed of its own, so that any process may make it

_opened = lru_cache(maxsize=1)(Store)  # in each process, once


def write_pairs(
    store: Store,
    folder: Path,
    count: int,
    config: MixConfig,
    seed: int,
    progress: Callable[[int], None] = lambda n: None,
    jobs: int | None = None,
    ray: str | None = None,
) -> dict[str, int]:
    """`count` mixtures as clean/ID.wav and noisy/ID.wav with manifest.csv, in the splits' proportion.

    Speech keeps its full length; noise is cut or repeated to it. A clip may recur with other noise, but
    only within its split; clips of "test" are left alone. Killed, the same call carries on.
    Returns the count of each split. Raises DataError if `folder` holds something else.
    """
    counts = _share(store, count)
    with claim(folder, _fingerprint(store, "pairs", counts, config, seed), "set of pairs"):
        for side in SIDES:
            (folder / side).mkdir(exist_ok=True)
        tasks: list[tuple] = []
        lines: list[dict[str, object]] = []
        for split, size in counts.items():
            mixer = Mixer(store, split, config)
            recipes = mixer.draw(np.random.default_rng([seed, SEEDS[split]]), size)
            for first in range(0, size, PAIRS_PER_TASK):
                tasks.append((store.folder, split, folder, len(lines) + first, recipes[first : first + PAIRS_PER_TASK]))
            lines += [_line(mixer, recipe, len(lines) + i) for i, recipe in enumerate(recipes)]
        todo = [task for task in tasks if not _written(folder, task[3], len(task[4]))]
        _run(_write_pairs, todo, folder, Fleet(jobs, ray), progress, count)
        table = io.StringIO()
        writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
        save_text(folder / "manifest.csv", table.getvalue())
    return counts


def write_spectrograms(
    store: Store,
    folder: Path,
    wanted: dict[str, int],
    config: MixConfig,
    seed: int,
    progress: Callable[[int], None] = lambda n: None,
    jobs: int | None = None,
    ray: str | None = None,
) -> dict[str, int]:
    """Scaled frames of mixtures as SPLIT-noisy.npy and SPLIT-clean.npy, float32 `(count, 128, 128)`.

    Scaling and edges are the reference's: each noisy frame by its own maximum, the clean one by the
    noisy one's. wanted: split -> count. Killed, the same call carries on.
    Returns the counts. Raises DataError if `folder` holds something else, or the set has no such split.
    """
    counts = {split: count for split, count in wanted.items() if count}
    for split in counts:
        _demand(store, split)
    with claim(folder, _fingerprint(store, "spectrograms", counts, config, seed), "set of spectrograms"):
        tasks = []
        for split, count in counts.items():
            tasks += [
                (store.folder, split, folder, first, min(CHUNK, count - first), config, seed)
                for first in _reserve(folder, split, count)
            ]
        _run(_write_frames, tasks, folder, Fleet(jobs, ray), progress, sum(counts.values()))
        for split in counts:
            for side in SIDES:
                if (part := _part(folder, split, side)).is_file():
                    part.replace(folder / f"{split}-{side}.npy")
        for mark in folder.glob(".*.done"):
            mark.unlink()
    return counts


def _share(store: Store, count: int) -> dict[str, int]:
    """How many of `count` pairs each split gets, by its clips of speech."""
    _demand(store, "train")
    speech = {split: len(store.part("speech", split)) for split in ("train", "valid") if _complete(store, split)}
    valid = round(count * speech.get("valid", 0) / sum(speech.values()))
    return {split: size for split, size in (("train", count - valid), ("valid", valid)) if size}


def _complete(store: Store, split: str) -> bool:
    return all((role, split) in store.parts for role in ("speech", "noise"))


def _demand(store: Store, split: str) -> None:
    for role in ("speech", "noise"):
        store.part(role, split)


def _fingerprint(store: Store, what: str, counts: dict[str, int], config: MixConfig, seed: int) -> str:
    digest = hashlib.sha256((store.folder / "dataset.json").read_bytes())
    digest.update((store.folder / "manifest.jsonl").read_bytes())
    digest.update(repr((what, counts, asdict(config), seed)).encode())
    return digest.hexdigest()


def _run(
    task: Callable, todo: list[tuple], folder: Path, fleet: Fleet, progress: Callable[[int], None], total: int
) -> None:
    """Run what is left to do of `total` pairs or frames; the fifth value of an item holds or counts its own."""
    sizes = [item[4] if isinstance(item[4], int) else len(item[4]) for item in todo]
    made = total - sum(sizes)
    progress(made)

    def finished(index: int) -> None:
        nonlocal made
        made += sizes[index]
        progress(made)

    run(task, todo, folder, fleet, finished)


def _line(mixer: Mixer, recipe: Recipe, number: int) -> dict[str, object]:
    """A pair's row of the manifest."""
    row, noise = mixer.speech[recipe.speech], mixer.noise[recipe.noises[0]]
    return {
        "id": f"{number:06d}", "snr_db": round(recipe.snr_db, 2), "noise_kind": noise.kind, "split": mixer.split,
        "noise_source": noise.corpus, "speaker": row.kind, "language": row.language, "text": row.text,
    }  # fmt: skip


def _paths(folder: Path, number: int) -> tuple[Path, Path]:
    """The clean and the noisy side of a pair."""
    return folder / "clean" / f"{number:06d}.wav", folder / "noisy" / f"{number:06d}.wav"


def _written(folder: Path, first: int, count: int) -> bool:
    return all(path.is_file() for number in range(first, first + count) for path in _paths(folder, number))


def _write_pairs(store_folder: Path, split: str, folder: Path, first: int, recipes: list[Recipe]) -> None:
    store = _opened(store_folder)
    for number, recipe in enumerate(recipes, first):
        noisy, clean = mix(recipe, store, split)
        loudest = float(np.abs(noisy).max(initial=0.0))
        scale = np.float32(min(1.0, 0.99 / max(loudest, 1e-9)))  # one factor for both, so that nothing clips
        for path, audio in zip(_paths(folder, number), (clean, noisy), strict=True):
            if not path.is_file():
                save_bytes(path, wav_bytes(audio * scale, store.rate))


def _part(folder: Path, split: str, side: str) -> Path:
    return folder / f".{split}-{side}.npy.draft"


def _mark(folder: Path, split: str, first: int) -> Path:
    """An empty file that says: this chunk of both arrays is written."""
    return folder / f".{split}-{first:09d}.done"


def _reserve(folder: Path, split: str, count: int) -> list[int]:
    """Make the arrays' files, unless a killed run left them; returns the chunks still to be written."""
    chunks = list(range(0, count, CHUNK))
    if all((folder / f"{split}-{side}.npy").is_file() for side in SIDES):
        return []
    left = [first for first in chunks if not _mark(folder, split, first).is_file()]
    if left == chunks:
        for side in SIDES:
            _part(folder, split, side).unlink(missing_ok=True)
            shape = (count, frames.BINS, frames.BINS)
            np.lib.format.open_memmap(_part(folder, split, side), mode="w+", dtype=np.float32, shape=shape)
    return left


def _write_frames(
    store_folder: Path, split: str, folder: Path, first: int, count: int, config: MixConfig, seed: int
) -> None:
    store = _opened(store_folder)
    recipes = Mixer(store, split, config).draw(np.random.default_rng([seed, SEEDS[split], first]), count, frames.SIZE)
    pairs = [mix(recipe, store, split) for recipe in recipes]
    noisy, _, reference = frames.frame(np.stack([pair[0] for pair in pairs]))
    clean = frames.scale(np.abs(frames.frame(np.stack([pair[1] for pair in pairs]))[1]), reference)
    for side, values in (("noisy", noisy), ("clean", clean)):
        array = np.load(_part(folder, split, side), mmap_mode="r+")
        array[first : first + count] = values
    _mark(folder, split, first).touch()
