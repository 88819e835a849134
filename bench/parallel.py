"""Training examples/s of two processes on a core each, against one process on one core.

Run on an idle machine: python bench/parallel.py [--model small] [--examples 200] [--runs 4] [--no-save]
The data set is noise as voices and synthetic wind: the content does not change the cost. Both train
the same steps on the same examples, two micro-batches a step, one thread each; the last epoch is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import machine
from fleet import ROOT, environment, fill

CLIPS, SECONDS = 64, 10
GOAL = 1.7


def prepared(folder: Path) -> Path:
    voices = fill(folder / "voices", CLIPS, SECONDS)
    words = ["--speech", f"folder:{voices}", "--noise", f"synth:wind={CLIPS}", "--sample-rate", "48000"]
    command = [sys.executable, "-m", "unhiss", "prepare", *words, "--keep-silence", "-o", str(folder / "set")]
    subprocess.run(command, check=True, capture_output=True, env=environment())
    return folder / "set"


def rate(data: Path, folder: Path, model: str, examples: int, processes: int) -> float:
    """Examples/s of the last epoch, with as many cores as processes."""
    words = ["unhiss", "train", str(ROOT / "configs" / f"{model}.toml"), "--data", str(data), "-o", str(folder)]
    words += ["train.epochs=2", f"train.examples={examples}", "train.valid_examples=8", "train.micro_batches=2"]
    words += ["train.samples_every_epochs=0", "train.warmup_steps=10"]
    start = [sys.executable, "-m"]
    if processes > 1:
        start += ["torch.distributed.run", "--nproc-per-node", str(processes), "-m"]
    cores = set(range(processes))
    done = subprocess.run(
        [*start, *words], capture_output=True, text=True, env=environment(),
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{' '.join(words)} failed:\n{done.stderr}")
    return float(json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])["samples_per_second"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="small", choices=["small", "nano"])
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--no-save", action="store_true")
    options = parser.parse_args()
    if machine.cores() < 2 or not hasattr(os, "sched_setaffinity"):
        print("skipped: this needs two cores, and a system that pins processes to them (Linux)")
        return
    described = machine.describe("unhiss", "torch", "numpy")
    measured: dict[str, list[float]] = {"one process": [], "two processes": []}
    with tempfile.TemporaryDirectory(prefix="unhiss-bench-") as name:
        data = prepared(Path(name))
        for _ in range(options.runs):
            for count, rates in enumerate(measured.values(), start=1):
                rates.append(
                    rate(data, Path(tempfile.mkdtemp(dir=name)) / "run", options.model, options.examples, count)
                )
    rates = {name: machine.spread(values) for name, values in measured.items()}
    one, two = (spread["median"] for spread in rates.values())
    rows = [[name, f"{spread['median']:.1f}", f"{spread['median'] / one:.2f}"] for name, spread in rates.items()]
    print(machine.table(["on", "examples/s", "of one"], rows))
    print(f"\n{two / one:.2f} times (goal {GOAL})")
    if not options.no_save:
        machine.save("parallel", described, {"model": options.model, "examples_per_s": rates, "goal": GOAL})


if __name__ == "__main__":
    main()
