"""Mixtures far noisier and far cleaner than the evaluation pairs: what a model gains at -10 dB and costs at 40 dB.

python bench/extremes.py [--model small model.onnx …] [--pairs PAIRS/] [--jobs 2] [--no-save]

PAIRS is a folder of noisy/clean pairs with the columns of `unhiss evaluate`, including snr_db; dev/ of the data folder
(UNHISS_DATA, or ../shared/data) if not given. The noise of each pair, which is the difference of its two sides, is
scaled to each of the SNRs, relative to the active speech as in the pair, and `unhiss evaluate` scores the result.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import machine
import numpy as np
import soundfile

from unhiss.score.pairs import find_pairs
from unhiss.score.registry import METRICS

ROOT = Path(__file__).parent.parent
SNRS_DB = (-10, 40)
PEAK = 0.99  # a mixture that would pass it is lowered, with its clean side
SHOWN = ("pesq_wb", "stoi", "si_sdr_db", "sig", "bak", "ovrl")


def mix(pairs: Path, folder: Path) -> None:
    """Pairs at the extreme SNRs, and their manifest."""
    for side in ("clean", "noisy"):
        (folder / side).mkdir()
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        manifest = csv.DictWriter(file, ["id", "snr_db"])
        manifest.writeheader()
        for pair in find_pairs(pairs):
            given, clean, rate = pair.load()
            assert clean is not None
            for snr_db in SNRS_DB:
                noisy = clean + (given - clean) * np.float32(10 ** ((float(pair.metadata["snr_db"]) - snr_db) / 20))
                gain = min(1.0, PEAK / abs(noisy).max())
                name = f"{pair.id}_{snr_db}"
                for side, audio in (("clean", clean), ("noisy", noisy)):
                    soundfile.write(folder / side / f"{name}.wav", (audio * gain).T, rate, "FLOAT")
                manifest.writerow({"id": name, "snr_db": snr_db})


def measure(pairs: Path, names: list[str], jobs: int) -> dict[str, dict[str, dict[str, float]]]:
    """SNR -> system -> metric -> mean over all pairs."""
    with tempfile.TemporaryDirectory() as temporary:
        folder, out = Path(temporary, "pairs"), Path(temporary, "scores")
        folder.mkdir()
        mix(pairs, folder)
        models = [word for name in names for word in ("--model", name)]
        words = [sys.executable, "-m", "unhiss", "evaluate", *models, "--pairs", folder, "-o", out, "-j", str(jobs)]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        summary = json.loads((out / "scores.json").read_text(encoding="utf-8"))["summary"]
    return {
        str(snr_db): {
            entry["system"]: {key: entry["snr_db"][str(snr_db)][key]["mean"] for key in SHOWN} for entry in summary
        }
        for snr_db in SNRS_DB
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", nargs="+", default=["small", "nano"])
    parser.add_argument(
        "--pairs", type=Path, default=Path(os.environ.get("UNHISS_DATA", ROOT.parent / "shared/data")) / "dev"
    )
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--no-save", action="store_true")
    options = parser.parse_args()
    if not (options.pairs / "clean").is_dir():
        print(f"skipped: no recordings at {options.pairs}; give a folder of pairs with --pairs")
        return
    described = machine.describe("unhiss", "onnxruntime")
    results = measure(options.pairs, options.model, options.jobs)
    rows = [
        [f"{snr_db} dB", system, *(f"{values[key]:.3f}" for key in SHOWN)]
        for snr_db, systems in results.items()
        for system, values in systems.items()
    ]
    print(machine.table(["SNR", "system", *(METRICS[key].title for key in SHOWN)], rows))
    if not options.no_save:
        machine.save("extremes", described, {"snr_db": results})


if __name__ == "__main__":
    main()
