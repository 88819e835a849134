"""Speed of two workers for `prepare` and `denoise` on a folder, overhead of Ray, and time to open a large manifest.

Run on an idle machine: python bench/fleet.py [--files 2000] [--seconds 10] [--clips 100000] [--runs 3] [--no-save]
Wall seconds of the whole command, less its start-up: those of the same command on two files of one second.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import machine
import memory

ROOT = Path(__file__).parent.parent
RATE = 16000
WAYS = {"1 process": ["-j", "1"], "2 processes": ["-j", "2"], "Ray, 2 processes": ["-j", "2", "--ray", "local"]}
TIMES = {"denoise": 1, "prepare": 5}  # `prepare` takes seconds, and Ray's start-up varies
OPEN = """
import json, sys, time
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
from unhiss.data.store import Store
before, began = resident(), time.perf_counter()
store = Store(sys.argv[1])
store.part("speech", "train").column("length").sum()
print(json.dumps([time.perf_counter() - began, resident() - before]))
"""


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}


def fill(folder: Path, count: int, seconds: int) -> Path:
    """Make recordings of one length, all copies of one, in 50 folders, which count as speakers."""
    for number in range(count):
        path = folder / f"{number % 50:02}" / f"{number:06}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number == 0:
            memory.make(path, seconds, RATE, 1)
            first = path
        else:
            shutil.copy(first, path)
    return folder


def command_line(command: str, source: Path, target: Path, way: list[str]) -> list[str]:
    unhiss = [sys.executable, "-m", "unhiss", command]
    if command == "denoise":
        return [*unhiss, str(source), "-o", str(target), "--threads", "1", *way]
    return [*unhiss, "--speech", f"folder:{source}", "--keep-silence", "-o", str(target), *way]


def wall_seconds(command: str, source: Path, target: Path, way: list[str]) -> float:
    line = command_line(command, source, target, way)

    def once() -> None:
        done = subprocess.run(line, capture_output=True, text=True, env=environment())
        if done.returncode:
            sys.exit(f"{' '.join(line)} failed:\n{done.stderr}")

    (taken,) = machine.seconds(once, 1, 0)
    shutil.rmtree(target)
    return taken


def work(folder: Path, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Command -> way -> median wall seconds without start-up; the ways alternate."""
    full, short = fill(folder / "full", options.files, options.seconds), fill(folder / "short", 2, 1)
    medians: dict[str, dict[str, float]] = {}
    for command in options.commands:
        taken: dict[str, list[float]] = {name: [] for name in WAYS}
        for _ in range(options.runs * TIMES[command]):
            for name, way in WAYS.items():
                start = wall_seconds(command, short, folder / "out", way)
                taken[name].append(wall_seconds(command, full, folder / "out", way) - start)
        medians[command] = {name: statistics.median(each) for name, each in taken.items()}
    return medians


def opening(folder: Path, clips: int, runs: int) -> tuple[float, float]:
    """Seconds until a manifest of `clips` rows is open, and bytes of memory for each row; medians."""
    from unhiss.data.manifest import ManifestRow, manifest_files
    from unhiss.data.store import FORMAT

    lines = [
        ManifestRow(
            id=f"common-voice/clips/common_voice_en_{n:08}.mp3", corpus="common-voice", kind=f"{n % 4000:064x}",
            role="speech" if n % 3 else "noise", split="train" if n % 20 else "valid", licence="CC0-1.0",
            groups=(f"commonvoice/speaker/{n % 4000:064x}",), commercial_use=True, language="en",
            text="The quick brown fox jumps over the lazy dog.", shard=f"{n // 64:05}.npy", offset=n % 64 * 100_000,
            length=100_000 - n % 7, level_dbfs=-23.456, bandwidth_hz=8000.0, snr_db=33.21,
        ).to_json()
        for n in range(clips)
    ]  # fmt: skip
    folder.mkdir()
    for name, content in manifest_files(lines).items():
        (folder / name).write_bytes(content)
    (folder / "dataset.json").write_text(f'{{"format": {FORMAT}, "sample_rate": 22050}}')
    opened = [
        json.loads(subprocess.check_output([sys.executable, "-c", OPEN, str(folder)], env=environment()))
        for _ in range(runs)
    ]
    return statistics.median(one[0] for one in opened), statistics.median(one[1] for one in opened) / clips


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("files", 2000), ("seconds", 10), ("clips", 100_000), ("runs", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--commands", nargs="+", choices=TIMES, default=list(TIMES))
    parser.add_argument("--no-save", action="store_true")
    options = parser.parse_args()
    described = machine.describe("ray", "numpy", "onnxruntime")
    with tempfile.TemporaryDirectory(prefix="unhiss-bench-") as name:
        seconds, each = opening(Path(name) / "set", options.clips, max(3, options.runs))
        print(f"{options.clips:,} clips open in {seconds:.2f} s, {each:.0f} bytes of memory each")
        medians = work(Path(name), options)
    audio_h = options.files * options.seconds / 3600
    for command, ways in medians.items():
        for way, taken in ways.items():
            print(f"{command:8} {way:18} {taken:8.1f} s  {taken / audio_h:6.1f} s per hour of audio")
        one, two, ray = ways.values()
        print(f"{command:8} 2 over 1: {one / two:.2f} times; Ray over processes: {100 * (ray / two - 1):+.0f} %")
    if not options.no_save:
        result = {"opening": {"clips": options.clips, "seconds": seconds, "bytes_each": each}, "work_s": medians,
                  "files": options.files, "seconds": options.seconds}  # fmt: skip
        machine.save("fleet", described, result)


if __name__ == "__main__":
    main()
