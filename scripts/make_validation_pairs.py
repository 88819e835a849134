"""Make a folder of pairs from the validation split of a set, to choose between weights before the evaluation.

    python scripts/make_validation_pairs.py set/ -o validation/ [--count 96] [--seconds 2 8] [--seed 0]

Each pair: a recorded voice (resynthesised speech is left out) of --seconds, longer ones cut, and one noise, repeated
to its length; every speaker once before one comes twice, every kind of noise likewise. SNRs are -5, 0, 5, 10 and 15 dB
on active speech level in turn. No speaker and no recording of noise is in the training split.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from make_speech_pairs import SNRS_DB, mix, write_manifest, write_pair

from unhiss.data.store import Store

QUIETEST_DBFS = -70  # a clip of digital silence is no noise
COLUMNS = ("id", "language", "noise_kind", "noise_source", "snr_db", "text")


def in_turn(rows: list, rng: np.random.Generator) -> list:
    """The rows in random order, those of different kinds in turn: each kind once before one comes twice."""
    by_kind: dict[str, list] = {}
    for index in rng.permutation(len(rows)):
        by_kind.setdefault(rows[index].kind, []).append(rows[index])
    longest = max(map(len, by_kind.values()))
    return [same[turn] for turn in range(longest) for same in by_kind.values() if turn < len(same)]


def make(store: Store, options: argparse.Namespace) -> Iterator[tuple]:
    """Write the pairs; yields their rows of the manifest."""
    rng = np.random.default_rng(options.seed)
    shortest, longest = (int(seconds * store.rate) for seconds in options.seconds)
    voices = [row for row in store.part("speech", "valid") if shortest <= row.length and "resynth" not in row.corpus]
    noises = [row for row in store.part("noise", "valid") if row.level_dbfs > QUIETEST_DBFS]
    if not voices:
        raise SystemExit(f"{store.folder} has no validation speech of {options.seconds[0]:g} s; give --seconds less")
    if not noises:
        raise SystemExit(
            f"{store.folder} has no validation noise above {QUIETEST_DBFS} dBFS; prepare it with more noise"
        )
    drawn = zip(cycle(in_turn(voices, rng)), cycle(in_turn(noises, rng)), cycle(SNRS_DB), strict=False)
    for number, (voice, noise, snr_db) in enumerate(islice(drawn, options.count)):
        speech, sound = (np.float32(store.samples(row)) / 32768 for row in (voice, noise))
        clean, name = speech[:longest], f"{number:03}"
        noisy = mix(clean, sound, snr_db, store.rate)
        write_pair(options.output, name, clean, noisy, store.rate)
        yield name, voice.language, noise.kind, noise.id, snr_db, voice.text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=96)
    parser.add_argument("--seconds", type=float, nargs=2, default=(2, 8), metavar=("LEAST", "MOST"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = list(make(Store(options.set), options))
    write_manifest(options.output, COLUMNS, rows)
    print(f"{len(rows)} pairs in {options.output}")


if __name__ == "__main__":
    main()
