"""Causal models with a known output, as small ONNX graphs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

STFT = {"window_s": 0.032, "hop_s": 0.016}

# Each is a list of (operator, inputs, outputs, attributes) from X `spectrum` to `cleaned`, and from `state` to
# `next_state`. Constants: see `constants`.
GRAPHS: dict[str, list[tuple[str, list[str], list[str], dict[str, Any]]]] = {
    "identity": [
        ("Identity", ["spectrum"], ["cleaned"], {}),
        ("Identity", ["state"], ["next_state"], {}),
    ],
    "gain": [
        ("Mul", ["spectrum", "gain"], ["cleaned"], {}),
        ("Identity", ["state"], ["next_state"], {}),
    ],
    # Each bin has the gain 1 / (1 + bin / 20).
    "tilt": [
        ("Shape", ["spectrum"], ["f"], {"start": 2, "end": 3}),
        ("Squeeze", ["f"], ["bins"], {}),
        ("Range", ["i0", "bins", "i1"], ["bin"], {}),
        ("Cast", ["bin"], ["bin_f"], {"to": 1}),
        ("Div", ["bin_f", "20"], ["slope"], {}),
        ("Add", ["slope", "1"], ["part"], {}),
        ("Unsqueeze", ["part", "last"], ["column"], {}),
        ("Div", ["spectrum", "column"], ["cleaned"], {}),
        ("Identity", ["state"], ["next_state"], {}),
    ],
    # Frame n has the gain 0.6 + 0.4 sin(n): the state counts frames.
    "counter": [
        ("ReduceMax", ["spectrum", "bins_and_parts"], ["any"], {"keepdims": 0}),
        ("Mul", ["any", "0"], ["none"], {}),
        ("Add", ["none", "1"], ["ones"], {}),
        ("CumSum", ["ones", "axis1"], ["count"], {}),
        ("Add", ["count", "state"], ["n"], {}),
        ("Sin", ["n"], ["s"], {}),
        ("Mul", ["s", "0.4"], ["s4"], {}),
        ("Add", ["s4", "0.6"], ["g"], {}),
        ("Unsqueeze", ["g", "last2"], ["g4"], {}),
        ("Mul", ["spectrum", "g4"], ["cleaned"], {}),
        ("Slice", ["n", "-1", "big", "axis1"], ["next_state"], {}),
    ],
    # Each frame is divided by 1 + the mean energy of the frame before it.
    "leveller": [
        ("Mul", ["spectrum", "spectrum"], ["square"], {}),
        ("ReduceMean", ["square", "bins_and_parts"], ["energy"], {"keepdims": 0}),
        ("Slice", ["energy", "start", "-1", "axis1"], ["but_last"], {}),
        ("Concat", ["state", "but_last"], ["before"], {"axis": 1}),
        ("Add", ["before", "1"], ["part"], {}),
        ("Unsqueeze", ["part", "last2"], ["part4"], {}),
        ("Div", ["spectrum", "part4"], ["cleaned"], {}),
        ("Slice", ["energy", "-1", "big", "axis1"], ["next_state"], {}),
    ],
    # Spectra times `gain`. The probability of speech, a result of format 2, is e / (1 + e), e the energy of a frame;
    # the state is that of the newest frame.
    "detector": [
        ("Mul", ["spectrum", "gain"], ["cleaned"], {}),
        ("Mul", ["spectrum", "spectrum"], ["square"], {}),
        ("ReduceMean", ["square", "bins_and_parts"], ["energy"], {"keepdims": 0}),
        ("Add", ["energy", "1"], ["part"], {}),
        ("Div", ["energy", "part"], ["speech"], {}),
        ("Slice", ["speech", "-1", "big", "axis1"], ["next_state"], {}),
    ],
}


def constants(gain: float) -> dict[str, np.ndarray]:
    numbers = {name: np.array(float(name), np.float32) for name in ("0", "1", "0.4", "0.6", "20")}
    ranges = {"i0": 0, "i1": 1, "last": [-1], "last2": [2, 3], "bins_and_parts": [2, 3], "axis1": [1]}
    ranges |= {"start": [0], "-1": [-1], "big": [2**31 - 1]}
    return {**numbers, **{k: np.array(v, np.int64) for k, v in ranges.items()}, "gain": np.array(gain, np.float32)}


def write(path: Path, kind: str, gain: float, stft: dict[str, float], size: int | str) -> None:
    """Write a causal model as the contract has it. size: S of the state; `gain` is for the graph of that name."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    shapes: dict[str, list[int | str]] = {
        "spectrum": ["B", "T", "F", 2], "state": ["B", size], "cleaned": ["B", "T", "F", 2], "next_state": ["B", size],
    }  # fmt: skip
    has_speech = any("speech" in outs for _, _, outs, _ in GRAPHS[kind])
    if has_speech:
        shapes["speech"] = ["B", "T"]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    nodes = [helper.make_node(name, ins, outs, **extra) for name, ins, outs, extra in GRAPHS[kind]]
    used = {name for node in nodes for name in node.input}
    used_constants = [numpy_helper.from_array(v, name) for name, v in constants(gain).items() if name in used]
    graph = helper.make_graph(nodes, kind, values[:2], values[2:], used_constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    config = json.dumps({"model": {"kind": "causal"}, "stft": stft})
    version = "2" if has_speech else "1"
    helper.set_model_props(model, {"unhiss.format": version, "unhiss.model": kind, "unhiss.config": config})
    onnx.save(model, str(path))
