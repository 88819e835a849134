"""What a causal model costs live: µs per 16 ms frame on one thread, STFT and overlap-add included.

Run on an idle machine: python bench/infer.py [--model small.onnx] [--frames 2000] [--no-save]
Every cost is also given as a ratio to a fixed graph of nine matrix products measured in the same turns, so
that two machines can be compared. B signals are the channels of one Stream, each cleaned by itself: one call
of the model a frame serves all of them. The file is ten minutes of 48 kHz noise, on one core, decoding and
writing included.
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
import onnx
import onnxruntime

from unhiss import Stream, models, write
from unhiss.infer.causal_model import CausalModel
from unhiss.infer.models import load

SOURCE = Path(__file__).parent.parent / "src"
CASES = ((16000, 1), (16000, 16), (48000, 1), (48000, 16))  # rate, B
FILE_S = 600


def reference() -> onnxruntime.InferenceSession:
    """Nine products of 256 x 256 with ReLU in between: 0.6 million multiply-adds in 18 nodes."""
    rng = np.random.default_rng(0)
    nodes, weights = [], []
    for layer in range(9):
        matrix = rng.standard_normal((256, 256)).astype(np.float32) / 16
        weights.append(onnx.numpy_helper.from_array(matrix, f"w{layer}"))
        nodes += [
            onnx.helper.make_node("MatMul", [f"x{layer}", f"w{layer}"], [f"y{layer}"]),
            onnx.helper.make_node("Relu", [f"y{layer}"], [f"x{layer + 1}"]),
        ]
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 256]) for name in ("x0", "x9")]
    graph = onnx.helper.make_graph(nodes, "reference", ends[:1], ends[1:], weights)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def frame_costs(model: CausalModel, frames: int) -> dict[str, dict[str, float]]:
    """Case -> median and least µs per frame of one signal; the cases take turns."""
    rng = np.random.default_rng(0)
    fixed, start = reference(), {"x0": np.ones((1, 256), np.float32)}
    work = {"reference graph": lambda: fixed.run(None, start)}
    for rate, count in CASES:
        stream = Stream(rate, count, model)
        block = 0.1 * rng.standard_normal((count, rate * 16 // 1000), np.float32)
        work[f"{rate // 1000} kHz, B = {count}"] = lambda stream=stream, block=block: stream.push(block)
    shares = {name: int(name.rpartition("= ")[2]) if "=" in name else 1 for name in work}
    taken: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(frames // 100):
        for name, once in work.items():
            seconds = machine.seconds(once, 100 // shares[name] + 5, 2)
            taken[name] += [value * 1e6 / shares[name] for value in seconds]
    return {name: machine.spread(values) for name, values in taken.items()}


def file_speed(model: str) -> float:
    """Times real time at which `unhiss denoise` does a ten-minute file on one core."""
    with tempfile.TemporaryDirectory() as folder:
        noise = np.random.default_rng(0).standard_normal(48000 * FILE_S).astype(np.float32) * 0.05
        write(Path(folder) / "in.wav", noise, 48000)
        words = [sys.executable, "-m", "unhiss", "denoise", "in.wav", "-o", "out.wav", "--model", model]
        pinned = (lambda: os.sched_setaffinity(0, {0})) if hasattr(os, "sched_setaffinity") else None
        begun = time.perf_counter()
        subprocess.run(
            words, cwd=folder, check=True, capture_output=True, preexec_fn=pinned,
            env=os.environ | {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        return FILE_S / (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", action="append", help="a name or an .onnx file; all causal ones if not given")
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--no-save", action="store_true")
    options = parser.parse_args()
    names = options.model or [card.name for card in models() if card.causal]
    if not names:
        print("skipped: no causal model is installed; give one with --model")
        return
    described = machine.describe("unhiss", "onnxruntime", "numpy")
    results = {}
    for name in names:
        path = str(Path(name).resolve()) if name.endswith(".onnx") else name
        costs = frame_costs(load(path, 1), options.frames)
        base = costs["reference graph"]["median"]
        results[name] = {"us_per_frame": costs, "file_times_real_time": round(file_speed(path), 1)}
        rows = [[case, f"{cost['median']:.0f}", f"{cost['median'] / base:.2f}"] for case, cost in costs.items()]
        print(machine.table([name, "µs", "of reference"], rows))
        print(f"unhiss denoise, 10 min at 48 kHz, one core: {results[name]['file_times_real_time']:.0f} x real time\n")
    if not options.no_save:
        machine.save("infer", described, results)


if __name__ == "__main__":
    main()
