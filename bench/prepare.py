"""`unhiss prepare` with pairs compared with a plain librosa script: the same files, from recordings to WAV pairs.

Run on an idle machine: python bench/prepare.py [--pairs 2000] [--limit CLIPS] [--no-save]
The recordings are those of UNHISS_DATA (default ../shared/data): Common Voice as speech, the folder noise/.
The plain script is a first attempt: one process, each file loaded once to mono at 22,050 Hz by librosa,
silence removed by librosa.effects.split, clips over 10 s left out, noise cut or tiled, mixed at a random SNR,
written by soundfile. unhiss also makes splits, measures, a manifest, hashes and a card.
soundfile waits for the disk when it closes a file (fsync), unhiss does not. Both start as new
processes, imports included, and read from a warm disk cache; --limit uses that many clips of each role.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import machine

HERE = Path(__file__)
SOURCE = HERE.parent.parent / "src"
DATA = Path(os.environ.get("UNHISS_DATA", HERE.parent.parent.parent / "shared" / "data"))
RATE, MAX_SECONDS, SILENCE_DB = 22050, 10.0, 40.0
GOAL = 3.0


def plain(speech: Path, noise: Path, target: Path, count: int) -> None:
    """The plain librosa script."""
    import librosa
    import numpy as np
    import soundfile

    def load(path: Path) -> np.ndarray:
        audio, _ = librosa.load(str(path), sr=RATE, mono=True)
        parts = librosa.effects.split(audio, top_db=SILENCE_DB)
        return np.concatenate([audio[start:end] for start, end in parts])

    short = [path for path in sorted(speech.rglob("*.mp3")) if librosa.get_duration(path=str(path)) <= MAX_SECONDS]
    speeches = [load(path) for path in short]
    noises = [load(path) for path in sorted(noise.rglob("*.ogg"))]
    for side in ("clean", "noisy"):
        (target / side).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        clean = speeches[rng.integers(len(speeches))]
        added = noises[rng.integers(len(noises))]
        if len(added) < len(clean):
            added = np.tile(added, -(-len(clean) // len(added)))
        start = rng.integers(len(added) - len(clean) + 1)
        added = added[start : start + len(clean)]
        snr_db = rng.uniform(-5, 20)
        gain = np.sqrt(np.mean(clean**2) / (np.mean(added**2) + 1e-12) / 10 ** (snr_db / 10))
        noisy = clean + gain * added
        scale = min(1.0, 0.99 / np.abs(noisy).max())
        soundfile.write(target / "clean" / f"{number:06d}.wav", clean * scale, RATE)
        soundfile.write(target / "noisy" / f"{number:06d}.wav", noisy * scale, RATE)


def link_clips(files: list[Path], target: Path, limit: int | None) -> int:
    """Link the files, or `limit` of them evenly spread, as target/PARENT/NAME; returns their number."""
    chosen = files if limit is None else files[:: max(1, len(files) // limit)][:limit]
    for file in chosen:
        (target / file.parent.name).mkdir(parents=True, exist_ok=True)
        (target / file.parent.name / file.name).symlink_to(file.resolve())
    return len(chosen)


def commands(folder: Path, count: int, number: int) -> dict[str, list[str]]:
    """Name -> the command line of one run."""
    out = folder / str(number)
    unhiss = [
        sys.executable, "-m", "unhiss", "prepare", "--speech", f"folder:{folder / 'speech'}",
        "--noise", f"folder:{folder / 'noise'}", "-o", str(out / "set"), "--max-seconds", f"{MAX_SECONDS:g}",
        "--drop-long", "--pairs", str(count), "--wav", str(out / "pairs"),
    ]  # fmt: skip
    script = [sys.executable, str(HERE), "--plain", str(folder), str(out / "plain"), "--pairs", str(count)]
    return {
        "plain librosa script": script,
        "unhiss prepare, one process": [*unhiss, "-j", "1"],
        "unhiss prepare": unhiss,
    }


def measure(folder: Path, count: int, rounds: int) -> dict[str, list[float]]:
    """Wall seconds of each command in each round; commands alternate. The first round fills the disk cache."""
    taken: dict[str, list[float]] = {}
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    for number in range(rounds + 1):
        for kind, command in commands(folder, count, number).items():
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                line = [word.replace(str(folder / str(number)), scratch + "/out") for word in command]
                seconds = machine.seconds(
                    lambda line=line: subprocess.run(line, check=True, capture_output=True, env=environment), 1, 0
                )
            if number:
                taken.setdefault(kind, []).extend(seconds)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-save", action="store_true")
    parser.add_argument("--plain", nargs=2, type=Path, metavar=("CLIPS", "OUT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plain:
        clips, out = options.plain
        return plain(clips / "speech", clips / "noise", out, options.pairs)
    speech = sorted(DATA.glob("cv-corpus-*/*/clips/*.mp3"))
    noise = sorted((DATA / "noise").rglob("*.ogg"))
    if not (speech and noise):
        print("skipped: needs recordings, cv-corpus-*/LANG/clips/*.mp3 and noise/; UNHISS_DATA names their folder")
        return None
    described = machine.describe("unhiss", "librosa", "soundfile", "soxr", "numpy")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        counts = {"speech": link_clips(speech, folder / "speech", options.limit)}
        counts["noise"] = link_clips(noise, folder / "noise", options.limit)
        taken = {
            kind: machine.spread(values) for kind, values in measure(folder, options.pairs, options.rounds).items()
        }
    base = taken["plain librosa script"]["median"]
    rows = [
        [kind, *(f"{spread[key]:.2f}" for key in ("median", "min", "max")), f"{base / spread['median']:.2f} ×"]
        for kind, spread in taken.items()
    ]
    print(f"{counts['speech']} clips of speech, {counts['noise']} of noise, {options.pairs} pairs; goal {GOAL:g} ×\n")
    print(machine.table(["command", "median s", "min", "max", "speed"], rows))
    if not options.no_save:
        speed = base / taken["unhiss prepare"]["median"]
        results = {"clips": counts, "pairs": options.pairs, "rounds": options.rounds, "seconds": taken, "speed": speed}
        machine.save("prepare", described, results)
    return None


if __name__ == "__main__":
    main()
