"""Memory of `unhiss denoise` for a short and a long file: peak resident size of its process.

Run: python bench/memory.py [--seconds 30 600 10800] [--rate 16000] [--channels 1] [--model NAME] [--no-save]
The recording is examples/noisy.wav repeated, 16-bit WAV in and out. The goal: 3 hours take at most
50 MB more than 30 seconds. A busy machine makes this slower, but does not change the memory.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine
import numpy as np

from unhiss.dsp.resampling import resample
from unhiss.media.formats import AudioFormat
from unhiss.media.source import read
from unhiss.media.writer import open_writer
from unhiss.weights import DEFAULT

SAMPLE = Path(__file__).parent.parent / "examples" / "noisy.wav"
GOAL_MB = 50


def make(path: Path, seconds: int, rate: int, channels: int) -> None:
    """Write a recording of this length: the sample repeated, in all channels."""
    audio, sample_rate = read(SAMPLE)
    piece = np.tile(resample(audio, sample_rate, rate), (channels, 1))
    left = seconds * rate
    with open_writer(path, AudioFormat(rate, channels, left, "WAV", "PCM_16")) as file:
        while left:
            file.write(piece[:, :left])
            left -= min(left, piece.shape[1])


def peak(words: list[str]) -> tuple[float, float]:
    """(peak resident MB, seconds) of a command; MB are 10^6 bytes."""
    start = time.perf_counter()
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{' '.join(words)} failed with status {os.waitstatus_to_exitcode(status)}")
    unit = 1 if sys.platform == "darwin" else 1024
    return usage.ru_maxrss * unit / 1e6, time.perf_counter() - start


def measure(seconds: int, rate: int, channels: int, model: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="unhiss-bench-") as folder:
        noisy, clean = Path(folder) / "noisy.wav", Path(folder) / "clean.wav"
        make(noisy, seconds, rate, channels)
        words = [sys.executable, "-m", "unhiss", "denoise", str(noisy), "-o", str(clean), "--model", model]
        megabytes, taken = peak(words)
        return {"audio_s": seconds, "file_mb": noisy.stat().st_size / 1e6, "peak_mb": megabytes, "took_s": taken}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, nargs="+", default=[30, 600, 10800])
    parser.add_argument("--rate", type=int, default=16000)
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--no-save", action="store_true")
    options = parser.parse_args()
    described = machine.describe("unhiss", "onnxruntime", "numpy", "soundfile", "soxr")
    runs = [measure(seconds, options.rate, options.channels, options.model) for seconds in options.seconds]
    first = runs[0]["peak_mb"]
    rows = [
        [
            f"{run['audio_s']:,} s",
            *(f"{run[key]:.1f}" for key in ("file_mb", "peak_mb")),
            f"{run['peak_mb'] - first:+.1f}",
        ]
        for run in runs
    ]
    print(machine.table(["recording", "file MB", "peak MB", f"over the first (goal {GOAL_MB})"], rows))
    if not options.no_save:
        settings = {"model": options.model, "rate_hz": options.rate, "channels": options.channels, "goal_mb": GOAL_MB}
        machine.save("memory", described, {**settings, "runs": runs})


if __name__ == "__main__":
    main()
