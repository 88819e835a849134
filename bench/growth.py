"""How the cost of `unhiss denoise` on a folder grows with the number of files, which are very short.

Run on an idle machine: python bench/growth.py [--files 100 1000 10000 100000] [--seconds 0.05] [--jobs 2] [--no-save]
A very short recording costs only what any file does: opening, two renames, a result. Wall seconds of the whole command,
and peak memory of its main process. The files are copies of one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import machine
import numpy as np
import soundfile

ROOT = Path(__file__).parent.parent
RATE = 16000
FILES_PER_FOLDER = 1000
RUN = """
import json, resource, sys, time
from unhiss.cli import unhiss
began = time.perf_counter()
try:
    unhiss(sys.argv[1:])
except SystemExit as end:
    if end.code:
        raise
result = [time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024]
print(json.dumps(result))
"""


def fill(folder: Path, count: int, seconds: float) -> Path:
    audio = np.random.default_rng(0).uniform(-0.1, 0.1, int(seconds * RATE))
    folder.mkdir()
    soundfile.write(folder / "one.wav", audio, RATE)
    for number in range(count):
        path = folder / "in" / f"{number // FILES_PER_FOLDER:04}" / f"{number:06}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "one.wav", path)
    return folder / "in"


def measure(source: Path, jobs: int) -> dict[str, float]:
    words = ["denoise", str(source), "-o", str(source.parent / "out"), "-j", str(jobs), "--threads", "1"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", RUN, *words], capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"unhiss {' '.join(words)} failed:\n{done.stderr}")
    seconds, peak = json.loads(done.stdout.splitlines()[-1])
    return {"seconds": seconds, "peak_bytes": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, nargs="+", default=[100, 1000, 10_000, 100_000])
    parser.add_argument("--seconds", type=float, default=0.05)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--no-save", action="store_true")
    options = parser.parse_args()
    described = machine.describe("numpy", "onnxruntime", "soundfile")
    runs = []
    with tempfile.TemporaryDirectory(prefix="unhiss-bench-") as name:
        for count in options.files:
            source = fill(Path(name) / str(count), count, options.seconds)
            runs.append({"files": count, **measure(source, options.jobs)})
            each = 1000 * runs[-1]["seconds"] / count
            print(f"{count:9,} files {runs[-1]['seconds']:9.1f} s {each:6.2f} ms each, "
                  f"{runs[-1]['peak_bytes'] / 1e6:6.0f} MB", flush=True)  # fmt: skip
    if not options.no_save:
        machine.save("growth", described, {"runs": runs, "seconds": options.seconds, "jobs": options.jobs})


if __name__ == "__main__":
    main()
