"""The reference's own material from a prepared set: noisy/clean WAV pairs and 128 x 128 frames."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hush.config import MixConfig
from hush.data.mixing import Mixer, mix
from hush.data.shards import save
from hush.data.store import Store
from hush.dsp import frames
from hush.dsp.audio import write
from hush.errors import DataError

COLUMNS = ("id", "snr_db", "noise_kind", "noise_source", "speaker", "language", "text", "split")
CHUNK = 256  # mixtures drawn at a time; each chunk has a seed of its own


def _claim(folder: Path, what: str) -> None:
    if folder.is_dir() and any(folder.iterdir()):
        raise DataError(f"{folder} is not empty; choose another folder for the {what}")
    folder.mkdir(parents=True, exist_ok=True)


def write_pairs(
    store: Store,
    folder: Path,
    count: int,
    config: MixConfig,
    seed: int,
    progress: Callable[[int], None] = lambda n: None,
) -> dict[str, int]:
    """`count` mixtures as clean/ID.wav and noisy/ID.wav with manifest.csv, in the splits' proportion.

    Speech keeps its full length; noise is cut or repeated to it. A clip may recur with other noise, but
    only within its split. Returns the count of each split. Raises DataError if `folder` is not empty.
    """
    _claim(folder, "pairs")
    for side in ("clean", "noisy"):
        (folder / side).mkdir()
    speech = {
        split: len(store.part("speech", split)) for split in ("train", "valid") if ("speech", split) in store.parts
    }
    valid = round(count * speech.get("valid", 0) / sum(speech.values()))
    counts = {split: size for split, size in (("train", count - valid), ("valid", valid)) if size}
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    number = 0
    for split, size in counts.items():
        mixer = Mixer(store, split, config)
        for recipe in mixer.draw(np.random.default_rng([seed, len(split)]), size):
            noisy, clean = mix(recipe, store, split)
            loudest = float(np.abs(noisy).max(initial=0.0))
            scale = np.float32(min(1.0, 0.99 / max(loudest, 1e-9)))  # one factor for both, so that nothing clips
            for side, audio in (("clean", clean), ("noisy", noisy)):
                write(folder / side / f"{number:06d}.wav", audio * scale, store.rate, "PCM_16")
            row, noise = mixer.speech[recipe.speech], mixer.noise[recipe.noises[0]]
            writer.writerow({
                "id": f"{number:06d}", "snr_db": round(recipe.snr_db, 2), "noise_kind": noise.kind, "split": split,
                "noise_source": noise.corpus, "speaker": row.kind, "language": row.language, "text": row.text,
            })  # fmt: skip
            number += 1
            progress(number)
    save(folder / "manifest.csv", lambda file: file.write(table.getvalue().encode()))
    return counts


def write_spectrograms(
    store: Store,
    folder: Path,
    wanted: dict[str, int],
    config: MixConfig,
    seed: int,
    progress: Callable[[int], None] = lambda n: None,
) -> dict[str, int]:
    """Scaled frames of mixtures as SPLIT-noisy.npy and SPLIT-clean.npy, float32 `(count, 128, 128)`.

    Scaling and edges are the reference's: each noisy frame by its own maximum, the clean one by the
    noisy one's. Returns the counts. Raises DataError if `folder` is not empty or the rate is no 22,050.
    """
    _claim(folder, "spectrograms")
    made = 0
    for split, count in wanted.items():
        mixer = Mixer(store, split, config)
        shape = (count, frames.BINS, frames.BINS)
        files = {side: folder / f".{split}-{side}.npy.part" for side in ("noisy", "clean")}
        arrays = {
            side: np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
            for side, path in files.items()
        }
        for first in range(0, count, CHUNK):
            rng = np.random.default_rng([seed, len(split), first])
            recipes = mixer.draw(rng, min(CHUNK, count - first), frames.SIZE)
            pairs = [mix(recipe, store, split) for recipe in recipes]
            noisy, _, reference = frames.frame(np.stack([pair[0] for pair in pairs]))
            clean = np.stack([pair[1] for pair in pairs])
            part = slice(first, first + len(recipes))
            arrays["noisy"][part] = noisy
            arrays["clean"][part] = frames.scale(np.abs(frames.frame(clean)[1]), reference)
            made += len(recipes)
            progress(made)
        for side, path in files.items():
            arrays[side].flush()
            path.replace(folder / f"{split}-{side}.npy")
    return dict(wanted)
