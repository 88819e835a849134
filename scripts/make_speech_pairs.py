"""Make a folder of pairs with transcripts, for word error rates.

    python scripts/make_speech_pairs.py CORPUS/en PAIRS -o speech-pairs/ [--split dev] [--copies 16] [--seed 0]

Speech: the clips of a Common Voice language that SPLIT.tsv lists; the column `sentence` becomes `text`. Noise: the
difference of the noisy and the clean recordings of a folder of pairs, which is new to every model that was not trained
on that folder. Each clip is mixed with --copies noises, at -5, 0, 5, 10 and 15 dB on active speech level in turn.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

from unhiss.dsp.levels import active_level_dbfs, rms_dbfs
from unhiss.dsp.resampling import resample, to_mono
from unhiss.media.source import read
from unhiss.media.writer import write
from unhiss.score.pairs import Pair, find_pairs

RATE = 48_000
SNRS_DB = (-5, 0, 5, 10, 15)
COLUMNS = ("id", "speaker", "language", "noise_kind", "noise_source", "snr_db", "text")


def mix(speech: np.ndarray, noise: np.ndarray, snr_db: float, rate: int = RATE) -> np.ndarray:
    """Speech with noise repeated to its length, snr_db below the active speech level."""
    noise = np.resize(noise, speech.size)
    gain_db = active_level_dbfs(speech, rate) - snr_db - rms_dbfs(noise)
    return speech + np.float32(10 ** (gain_db / 20)) * noise


def noise_of(pair: Pair) -> np.ndarray:
    """The noise of a pair: noisy minus clean, `(T,)` at RATE."""
    noisy, clean, rate = pair.load()
    return resample(to_mono(noisy - clean), rate, RATE)


def write_pair(folder: Path, name: str, clean: np.ndarray, noisy: np.ndarray, rate: int = RATE) -> None:
    """Write clean/NAME.flac and noisy/NAME.flac, both turned down alike where the noisy side would clip."""
    gain = np.float32(min(1.0, 0.95 / np.abs(noisy).max()))
    for side, audio in (("clean", clean), ("noisy", noisy)):
        (folder / side).mkdir(parents=True, exist_ok=True)
        write(folder / side / f"{name}.flac", gain * audio, rate)


def write_manifest(folder: Path, columns: tuple[str, ...], rows: list[tuple]) -> None:
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


def make(clips: list[dict[str, str]], pairs: list[Pair], options: argparse.Namespace) -> list[tuple]:
    """Write the pairs of all clips. Returns the rows of the manifest."""
    rng, rows = np.random.default_rng(options.seed), []
    for clip in clips:
        audio, rate = read(options.corpus / "clips" / clip["path"])
        speech = resample(to_mono(audio), rate, RATE)
        chosen = rng.choice(len(pairs), options.copies, replace=options.copies > len(pairs))
        for number, index in enumerate(chosen):
            snr_db, metadata = SNRS_DB[len(rows) % len(SNRS_DB)], pairs[index].metadata
            name = f"{Path(clip['path']).stem}-{number:02}"
            noisy = mix(speech, noise_of(pairs[index]), snr_db)
            write_pair(options.output, name, speech, noisy)
            noise = (metadata.get("noise_kind", ""), metadata.get("noise_source", ""))
            rows.append((name, clip["client_id"][:16], clip.get("locale", ""), *noise, snr_db, clip["sentence"]))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("noises", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--split", default="dev")
    parser.add_argument("--copies", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with (options.corpus / f"{options.split}.tsv").open(encoding="utf-8", newline="") as file:
        clips = sorted(csv.DictReader(file, delimiter="\t"), key=lambda row: row["path"])
    rows = make(clips, find_pairs(options.noises), options)
    write_manifest(options.output, COLUMNS, rows)
    print(f"{len(rows)} pairs of {len(clips)} clips in {options.output}")


if __name__ == "__main__":
    main()
