"""Speed of a second core: `unhiss denoise FOLDER -j 2` compared with `-j 1`, one thread each.

Run on an idle machine: python bench/folder.py [--model NAME] [--files 200] [--seconds 10] [--runs 3] [--no-save]
The folder holds 16-bit WAV files at 48 kHz. Wall seconds are those of the whole command, start-up and the
start of its processes included; the same command on two files of 1 s measures that part. The two alternate.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import machine
import memory

from unhiss.weights import DEFAULT

ROOT = Path(__file__).parent.parent
RATE = 48000
GOAL = 1.8  # times as fast with two processes, on two cores


def fill(folder: Path, count: int, seconds: int) -> None:
    """Make recordings of one length, all copies of one."""
    folder.mkdir()
    memory.make(folder / "000.wav", seconds, RATE, 1)
    for number in range(1, count):
        shutil.copy(folder / "000.wav", folder / f"{number:03}.wav")


def denoise(source: Path, target: Path, jobs: int, model: str) -> float:
    """Wall seconds of the command; its output is removed."""
    words = [sys.executable, "-m", "unhiss", "denoise", str(source), "-o", str(target), "--model", model]
    words += ["-j", str(jobs), "--threads", "1"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}

    def once() -> None:
        done = subprocess.run(words, capture_output=True, text=True, env=environment)
        if done.returncode:
            sys.exit(f"{' '.join(words)} failed:\n{done.stderr}")

    (spent,) = machine.seconds(once, 1, 0)
    made = len(list(target.rglob("*.wav")))
    if made != len(list(source.rglob("*.wav"))):
        sys.exit(f"{made} outputs in {target}; expected one of each input")
    shutil.rmtree(target)
    return spent


def measure(folder: Path, options: argparse.Namespace) -> dict[int, dict[str, list[float]]]:
    """Jobs -> wall seconds of each run: of the folder, and of a very short file for each process."""
    fill(folder / "in", options.files, options.seconds)
    (folder / "short").mkdir()
    for number in range(2):
        memory.make(folder / "short" / f"{number}.wav", 1, 8000, 1)
    taken: dict[int, dict[str, list[float]]] = {jobs: {"folder": [], "start": []} for jobs in (1, 2)}
    denoise(folder / "short", folder / "out", 2, options.model)  # fills the disk cache
    for _ in range(options.runs):
        for jobs, spent in taken.items():
            spent["start"].append(denoise(folder / "short", folder / "out", jobs, options.model))
            spent["folder"].append(denoise(folder / "in", folder / "out", jobs, options.model))
            print(f"-j {jobs}: {spent['folder'][-1]:.1f} s", file=sys.stderr)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--no-save", action="store_true")
    options = parser.parse_args()
    described = machine.describe("unhiss", "onnxruntime", "numpy", "soundfile")
    with tempfile.TemporaryDirectory(prefix="unhiss-bench-") as folder:
        taken = measure(Path(folder), options)
    spreads = {jobs: {what: machine.spread(values) for what, values in spent.items()} for jobs, spent in taken.items()}
    audio_s = options.files * options.seconds
    rows = [
        [f"-j {jobs}", *(f"{spent['folder'][key]:.1f}" for key in ("median", "min", "max")),
         f"{spent['start']['median']:.1f}", f"{audio_s / spent['folder']['median']:.0f}"]
        for jobs, spent in spreads.items()
    ]  # fmt: skip
    print(machine.table([f"{options.files} files", "median s", "min", "max", "start s", "x real time"], rows))
    ratio = spreads[1]["folder"]["median"] / spreads[2]["folder"]["median"]
    print(f"\n-j 2 is {ratio:.2f} x as fast as -j 1, start included (goal {GOAL} on two cores)")
    if not options.no_save:
        facts = {name: getattr(options, name) for name in ("model", "files", "seconds", "runs")} | {"goal": GOAL}
        jobs = {f"jobs_{count}": spent for count, spent in spreads.items()}
        machine.save("folder", described, facts | jobs | {"ratio": ratio})


if __name__ == "__main__":
    main()
