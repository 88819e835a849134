"""Training files from a prepared set, as U-Net and R-CED take them: noisy/clean WAV pairs and 128 x 128 frames."""

import hashlib
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np

from unhiss.data.clips import ROLES
from unhiss.data.locks import Progress, run_workers
from unhiss.data.manifest import MANIFEST
from unhiss.data.mixing import Mixer, Recipe, mix
from unhiss.data.output_folder import claim_folder
from unhiss.data.storage import save_bytes, save_table
from unhiss.data.store import SETTINGS, Store
from unhiss.dsp import frames
from unhiss.fleet.ledger import NAME, Ledger
from unhiss.fleet.mapping import ALL_PROCESSORS, Fleet
from unhiss.media.writer import wav_bytes
from unhiss.settings import MixConfig

COLUMNS = ("id", "snr_db", "noise_kind", "noise_source", "speaker", "language", "text", "split")
SIDES = ("clean", "noisy")
SEEDS = {"train": 5, "valid": 6, "test": 7}  # so that no two splits draw the same SNRs and levels
PAIRS_PER_TASK = 100  # some tenths of a second of work, about what it costs to start a process
CHUNK = 256  # frames drawn at a time; each chunk has its own seed, so that any process can make it


_open_store = lru_cache(maxsize=1)(Store)  # once in each process


def write_pairs(
    store: Store, folder: Path, count: int, config: MixConfig, seed: int, fleet: Fleet = ALL_PROCESSORS,
    progress: Progress = lambda done: None,
) -> dict[str, int]:  # fmt: skip
    """Write `count` mixtures as clean/ID.wav and noisy/ID.wav with manifest.csv, in the splits' proportion.

    Speech keeps its full length; noise is cut or repeated to it. A clip may be used again with other noise, but
    only within its split; clips of "test" are not used. A run that was killed is resumed by the same call.
    Returns the count of each split. Raises DataError if `folder` holds something else.
    """
    counts = _split_counts(store, count)
    with claim_folder(folder, _fingerprint(store, "pairs", counts, config, seed), "set of pairs"):
        for side in SIDES:
            (folder / side).mkdir(exist_ok=True)
        items: list[tuple[Path, str, Path, int, list[Recipe]]] = []
        rows: list[dict[str, object]] = []
        for split, size in counts.items():
            mixer = Mixer(store, split, config)
            recipes = mixer.draw(np.random.default_rng([seed, SEEDS[split]]), size)
            for first in range(0, size, PAIRS_PER_TASK):
                items.append((store.folder, split, folder, len(rows) + first, recipes[first : first + PAIRS_PER_TASK]))
            rows += [_manifest_row(mixer, recipe, len(rows) + i) for i, recipe in enumerate(recipes)]
        todo = [item for item in items if not _pairs_exist(folder, item[3], len(item[4]))]
        sizes = [len(item[4]) for item in todo]
        run_workers(_write_pairs, sizes, todo, folder, fleet, progress, count - sum(sizes))
        save_table(folder / "manifest.csv", COLUMNS, rows)
    return counts


def write_spectrograms(
    store: Store, folder: Path, counts: dict[str, int], config: MixConfig, seed: int, fleet: Fleet = ALL_PROCESSORS,
    progress: Progress = lambda done: None,
) -> dict[str, int]:  # fmt: skip
    """Write scaled frames of mixtures as SPLIT-noisy.npy and SPLIT-clean.npy, float32 `(count, 128, 128)`.

    Each noisy frame is scaled by its own maximum, the clean one by the noisy one's. counts: frames of each split.
    Returns those above zero. A run that was killed is resumed by the same call.
    Raises DataError if `folder` holds something else, or the set has no such split.
    """
    counts = {split: count for split, count in counts.items() if count}
    for split in counts:
        _check_split(store, split)
    fingerprint, total = _fingerprint(store, "spectrograms", counts, config, seed), sum(counts.values())
    with claim_folder(folder, fingerprint, "set of spectrograms"):
        if all((folder / f"{split}-{side}.npy").is_file() for split in counts for side in SIDES):
            progress(total)
        else:
            ledger = Ledger(folder / NAME, fingerprint)
            if not ledger.done:
                _create_arrays(folder, counts)
            items = [
                (store.folder, split, folder, first, min(CHUNK, count - first), config, seed)
                for split, count in counts.items()
                for first in range(0, count, CHUNK)
            ]
            sizes = [item[4] for item in items]
            run_workers(_write_frames, sizes, items, folder, fleet, progress, ledger=ledger)
            for array in folder.glob(".*.npy.draft"):
                array.replace(folder / array.name.removeprefix(".").removesuffix(".draft"))
        (folder / NAME).unlink(missing_ok=True)
    return counts


def _split_counts(store: Store, count: int) -> dict[str, int]:
    """How many of `count` pairs each split gets, in proportion to its clips of speech."""
    _check_split(store, "train")
    mixable = [split for split in ("train", "valid") if all((role, split) in store.parts for role in ROLES)]
    speech = {split: len(store.part("speech", split)) for split in mixable}
    valid = round(count * speech.get("valid", 0) / sum(speech.values()))
    return {split: size for split, size in (("train", count - valid), ("valid", valid)) if size}


def _check_split(store: Store, split: str) -> None:
    """Raise DataError unless the split has speech and noise."""
    for role in ROLES:
        store.part(role, split)


def _fingerprint(store: Store, what: str, counts: dict[str, int], config: MixConfig, seed: int) -> str:
    digest = hashlib.sha256((store.folder / SETTINGS).read_bytes())
    digest.update((store.folder / MANIFEST).read_bytes())
    digest.update(repr((what, counts, asdict(config), seed)).encode())
    return digest.hexdigest()


def _manifest_row(mixer: Mixer, recipe: Recipe, number: int) -> dict[str, object]:
    row, noise = mixer.speech[recipe.speech], mixer.noise[recipe.noises[0]]
    return {
        "id": f"{number:06d}", "snr_db": round(recipe.snr_db, 2), "noise_kind": noise.kind, "split": mixer.split,
        "noise_source": noise.corpus, "speaker": row.kind, "language": row.language, "text": row.text,
    }  # fmt: skip


def _pair_paths(folder: Path, number: int) -> list[Path]:
    """The clean and the noisy file of a pair."""
    return [folder / side / f"{number:06d}.wav" for side in SIDES]


def _pairs_exist(folder: Path, first: int, count: int) -> bool:
    return all(path.is_file() for number in range(first, first + count) for path in _pair_paths(folder, number))


def _write_pairs(store_folder: Path, split: str, folder: Path, first: int, recipes: list[Recipe]) -> None:
    store = _open_store(store_folder)
    for number, recipe in enumerate(recipes, first):
        noisy, clean = mix(recipe, store, split)
        peak = float(np.abs(noisy).max(initial=0.0))
        scale = np.float32(min(1.0, 0.99 / max(peak, 1e-9)))  # the same for both sides, so that nothing clips
        for path, audio in zip(_pair_paths(folder, number), (clean, noisy), strict=True):
            if not path.is_file():
                save_bytes(path, wav_bytes(audio * scale, store.rate))


def _unfinished_array(folder: Path, split: str, side: str) -> Path:
    return folder / f".{split}-{side}.npy.draft"


def _create_arrays(folder: Path, counts: dict[str, int]) -> None:
    for split, count in counts.items():
        for side in SIDES:
            path = _unfinished_array(folder, split, side)
            path.unlink(missing_ok=True)
            np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(count, frames.BINS, frames.BINS))


def _write_frames(
    store_folder: Path, split: str, folder: Path, first: int, count: int, config: MixConfig, seed: int
) -> None:
    store = _open_store(store_folder)
    recipes = Mixer(store, split, config).draw(np.random.default_rng([seed, SEEDS[split], first]), count, frames.SIZE)
    pairs = [mix(recipe, store, split) for recipe in recipes]
    noisy, _, reference = frames.frame(np.stack([pair[0] for pair in pairs]))
    clean = frames.scale(np.abs(frames.frame(np.stack([pair[1] for pair in pairs]))[1]), reference)
    for side, values in (("noisy", noisy), ("clean", clean)):
        array = np.load(_unfinished_array(folder, split, side), mmap_mode="r+")
        array[first : first + count] = values
