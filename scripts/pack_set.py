"""A prepared set as Opus, to send it where a GPU is: a twentieth of its size.

python scripts/pack_set.py pack SET PACKED [--speech-kbps 40] [--noise-kbps 32] [--piece-mib 56]
python scripts/pack_set.py unpack PACKED SET [--half SET24]

PACKED has folders piece-1, piece-2, … of at most --piece-mib each, for links with a limit. Unpacking uses all cores,
takes what pieces are there, and may be repeated as more arrive; with all of them SET is complete.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
import soxr

RATE = 48000
HIGHEST_KBPS, LOWEST_KBPS = 256, 6  # libsndfile's compression levels 0 and 1 for Opus, one channel
LABELS = ("manifest.jsonl", "columns.npz", "dataset.json", "card.md")


def encode(shard: Path, kbps: float, folder: Path) -> Path:
    """One shard as one Opus file: its clips stay end to end, so the manifest holds."""
    target = folder / f"{shard.stem}.opus"
    if not target.is_file():
        level = (HIGHEST_KBPS - kbps) / (HIGHEST_KBPS - LOWEST_KBPS)
        draft = target.with_suffix(".part")
        with soundfile.SoundFile(draft, "w", RATE, 1, "OPUS", format="OGG", compression_level=level) as file:
            file.write(np.load(shard, mmap_mode="r"))
        draft.rename(target)
    return target


def decode(source: Path, folder: Path) -> None:
    target = folder / f"{source.stem}.npy"
    if not target.is_file():
        draft = target.with_suffix(".part")
        with draft.open("wb") as file:
            np.save(file, soundfile.read(source, dtype="int16")[0])
        draft.rename(target)


def halve(source: Path, folder: Path) -> None:
    """A shard at half its rate."""
    target = folder / source.name
    if not target.is_file():
        draft = target.with_suffix(".part")
        with draft.open("wb") as file:
            np.save(file, soxr.resample(np.load(source), 2, 1))
        draft.rename(target)


def pack(args: argparse.Namespace) -> None:
    """Encode the shards, and share the files out among pieces."""
    if (rate := json.loads((args.source / "dataset.json").read_bytes())["sample_rate"]) != RATE:
        raise SystemExit(
            f"{args.source} is at {rate} Hz; only sets at {RATE} Hz are packed: unhiss prepare --sample-rate {RATE}"
        )
    loose = args.target / "encoded"
    loose.mkdir(parents=True, exist_ok=True)
    shards = sorted((args.source / "shards").glob("*.npy"))
    with ProcessPoolExecutor(args.jobs) as pool:
        kbps = [args.speech_kbps if shard.name.startswith("speech") else args.noise_kbps for shard in shards]
        files = list(pool.map(encode, shards, kbps, [loose] * len(shards)))
    files = [args.source / name for name in LABELS if (args.source / name).is_file()] + files
    number, room = 0, 0.0
    for file in files:
        size = file.stat().st_size
        if size > room:
            number, room = number + 1, args.piece_mib * 2**20
            (args.target / f"piece-{number}").mkdir(exist_ok=True)
        room -= size
        shutil.copy(file, args.target / f"piece-{number}" / file.name)
    print(f"{len(files)} files, {sum(file.stat().st_size for file in files) / 2**20:.0f} MiB, {number} pieces")


def unpack(args: argparse.Namespace) -> None:
    """Decode the shards that are there, and with --half make a second set, at half the rate, beside the first."""
    sets = [args.target] + [args.half] * bool(args.half)
    for folder in sets:
        (folder / "shards").mkdir(parents=True, exist_ok=True)
    for label in (file for name in LABELS for file in args.source.glob(f"piece-*/{name}")):
        shutil.copy(label, args.target / label.name)
    sources = sorted(args.source.glob("piece-*/*.opus"))
    shards = [args.target / "shards" / f"{source.stem}.npy" for source in sources]
    with ProcessPoolExecutor(args.jobs) as pool:
        list(pool.map(decode, sources, [args.target / "shards"] * len(sources)))
        if args.half:
            list(pool.map(halve, shards, [args.half / "shards"] * len(shards)))
    if args.half and (args.target / "manifest.jsonl").is_file():
        _halve_labels(args.target, args.half)
    print(f"{len(list((args.target / 'shards').glob('*.npy')))} shards in {' and '.join(map(str, sets))}")


def _halve_labels(source: Path, target: Path) -> None:
    rows = [json.loads(line) for line in (source / "manifest.jsonl").read_text(encoding="utf-8").split("\n") if line]
    for row in rows:
        row["offset"], row["length"] = row["offset"] // 2, row["length"] // 2
        row["bandwidth_hz"] = min(row["bandwidth_hz"], RATE / 4)
    text = "".join(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows)
    (target / "manifest.jsonl").write_text(text, encoding="utf-8")
    settings = json.loads((source / "dataset.json").read_text(encoding="utf-8")) | {"sample_rate": RATE // 2}
    (target / "dataset.json").write_text(json.dumps(settings), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["pack", "unpack"])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--speech-kbps", type=float, default=40)
    parser.add_argument("--noise-kbps", type=float, default=32)
    parser.add_argument("--piece-mib", type=float, default=56)
    parser.add_argument("--half", type=Path, help="unpack: a second set, at 24 kHz")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    args = parser.parse_args()
    (pack if args.action == "pack" else unpack)(args)


if __name__ == "__main__":
    main()
