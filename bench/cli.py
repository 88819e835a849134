"""Total time for one 10 s file, with a warm disk cache: `unhiss denoise` compared with other scripts.

Run on an idle machine: python bench/cli.py [--python PEERS] [--model NAME] [--runs 15] [--no-save]
PEERS is the Python of an environment with noisereduce, soundfile and torch, peers/bin/python if not given:

    python -m venv peers && peers/bin/pip install noisereduce soundfile torch

Each run is a new process that reads a 16-bit WAV and writes one; the commands alternate, so that a slow moment of
the machine affects all of them. Each uses its default number of threads. "torch" is unhiss's own reading, framing
and writing, with the checkpoint that the model was exported from, run by torch.
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
import memory

from unhiss.weights import DEFAULT

ROOT = Path(__file__).parent.parent
PEERS = ROOT / "peers" / "bin" / "python"
SECONDS = 10
GOALS = {"noisereduce": 1, "TorchGate": 3, "torch": 3}  # times the seconds of unhiss

NOISEREDUCE = """
import sys, noisereduce, soundfile
audio, rate = soundfile.read(sys.argv[1])
soundfile.write(sys.argv[2], noisereduce.reduce_noise(y=audio.T, sr=rate).T, rate)
"""
TORCH_GATE = """
import sys, soundfile, torch
from noisereduce.torchgate import TorchGate
audio, rate = soundfile.read(sys.argv[1], dtype="float32", always_2d=True)
gate = TorchGate(sr=rate, nonstationary=True)
soundfile.write(sys.argv[2], gate(torch.from_numpy(audio.T.copy())).numpy().T, rate)
"""
THROUGH_TORCH = """
import sys, torch
import unhiss.infer.denoiser as denoiser
from unhiss.infer.causal_model import CausalModel
from unhiss.infer.frame_model import FrameModel
from unhiss.infer.session import OnnxSession
from unhiss.train.checkpoint import load_model
from unhiss.train.onnx_graph import describe_graph

class Torch(OnnxSession):
    def __init__(self, path):
        self.path, (self.model, experiment, _) = path, load_model(path)
        graph = describe_graph(self.model, experiment)
        self.name, self.config, self.fingerprint = "torch", graph.config, ""
        self.inputs = [(name, "B", *part.shape[1:]) for name, part in zip(graph.names, graph.example)]

    def run(self, inputs):
        with torch.inference_mode():
            out = self.model(*map(torch.from_numpy, inputs.values()))
        return [part.numpy() for part in (out if isinstance(out, tuple) else (out,))]

source, target, checkpoint = sys.argv[1:]
session = Torch(checkpoint)
kind = CausalModel if len(session.inputs) == 2 else FrameModel
denoiser.load = lambda *_: kind(session)
denoiser.Denoiser().file(source, target, force=True)
"""


def commands(python: str, model: str, checkpoint: Path, folder: Path) -> dict[str, list[str]]:
    """Name -> the command that denoises noisy.wav into a separate file."""
    noisy, out = str(folder / "noisy.wav"), {name: str(folder / f"{name}.wav") for name in ("unhiss", *GOALS)}
    return {
        "unhiss": [sys.executable, "-m", "unhiss", "denoise", noisy, "-o", out["unhiss"], "--model", model, "--force"],
        "noisereduce": [python, "-c", NOISEREDUCE, noisy, out["noisereduce"]],
        "TorchGate": [python, "-c", TORCH_GATE, noisy, out["TorchGate"]],
        "torch": [sys.executable, "-c", THROUGH_TORCH, noisy, out["torch"], str(checkpoint)],
    }


def run_once(words: list[str]) -> None:
    completed = subprocess.run(
        words, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT / "src")}
    )
    if completed.returncode:
        sys.exit(f"{' '.join(words)[:200]} … failed:\n{completed.stderr}")


def measure(all_commands: dict[str, list[str]], runs: int) -> dict[str, list[float]]:
    """Name -> wall seconds of each run; the commands alternate, and the first round fills the disk cache."""
    times: dict[str, list[float]] = {name: [] for name in all_commands}
    for round_number in range(runs + 1):
        for name, words in all_commands.items():
            elapsed = machine.seconds(lambda words=words: run_once(words), 1, 0)
            if round_number:
                times[name] += elapsed
    return times


def versions(python: str) -> dict[str, str]:
    """Versions of the packages in the peers' environment."""
    names = ("noisereduce", "torch", "numpy", "soundfile")
    code = f"import json; from importlib.metadata import version as v; print(json.dumps({{n: v(n) for n in {names}}}))"
    try:
        completed = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        sys.exit(f"{python} has no {', '.join(names)}; see the top of {Path(__file__).name} for how to make it")
    return dict(json.loads(completed.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--python", default=str(PEERS) if PEERS.exists() else "", help="of an environment with the peers"
    )
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--checkpoint", type=Path, help="of the model, if not the one in the repository")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--no-save", action="store_true")
    options = parser.parse_args()
    if not options.python:
        print("skipped: the peers need a separate environment (see the top of bench/cli.py)")
        return
    checkpoint = options.checkpoint or ROOT / "checkpoints" / f"{options.model}.safetensors"
    described = machine.describe("unhiss", "onnxruntime", "torch") | {"peers": versions(options.python)}
    with tempfile.TemporaryDirectory(prefix="unhiss-bench-") as folder:
        memory.make(Path(folder) / "noisy.wav", SECONDS, 48000, 1)
        times = measure(commands(options.python, options.model, checkpoint, Path(folder)), options.runs)
    spreads = {name: machine.spread(values) for name, values in times.items()}
    ratios = {name: spread["median"] / spreads["unhiss"]["median"] for name, spread in spreads.items()}
    rows = [
        [name, *(f"{spread[key]:.2f}" for key in ("median", "min", "max")), f"{ratios[name]:.2f}", GOALS.get(name, "–")]
        for name, spread in spreads.items()
    ]
    print(machine.table([f"{SECONDS} s at 48 kHz", "median s", "min", "max", "of unhiss", "goal"], rows))
    if not options.no_save:
        settings = {"model": options.model, "audio_s": SECONDS, "runs": options.runs, "goals": GOALS}
        machine.save("cli", described, settings | {"seconds": spreads, "times_unhiss": ratios})


if __name__ == "__main__":
    main()
