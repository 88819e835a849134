"""A causal ONNX model -> a graph from samples to samples, with STFT and overlap-add inside.

audio (B, n hop) and state (B, S) -> cleaned (B, n hop) and next_state (B, S), at one rate, any B and n. The first
state is zeros, and the output is one hop late. Attenuation limit and mix stay outside.

The DFT of N = N1 N2 points is two products with small matrices instead of one with N x N: with n = n1 N2 + n2,
k = k1 + N1 k2 and w = e^(-2 pi i / N), X[k] = sum_n2 ( w^(n2 k1) w^(N1 n2 k2) sum_n1 x[n] w^(N2 n1 k1) ).
The inverse has the opposite signs.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from unhiss.atomic import atomic_write
from unhiss.errors import ConfigError, ModelError
from unhiss.infer.causal_model import CausalModel
from unhiss.infer.engine import RATES, UNIT
from unhiss.infer.models import load
from unhiss.infer.stream import Stream
from unhiss.runtime import cpu_session
from unhiss.weights import find

FORMAT = "waveform 1"
TOLERANCE = 1e-5  # of full scale: float32 sums in another order
TEST_S = 3


def export_waveform(source: str | Path, target: Path, rate: int, name: str) -> float:
    """Write `target`; returns the largest difference from `Stream(rate)` on three seconds of audio.

    source: an installed model or an .onnx file. Raises ConfigError for a rate the models do not run at,
    ModelError if the model looks ahead or the two differ by more than TOLERANCE; then nothing is written.
    """
    if rate not in RATES:
        raise ConfigError(f"rate = {rate}; a waveform model works at one of {', '.join(map(str, RATES))} Hz")
    model = load(source, 1)
    if not isinstance(model, CausalModel):
        raise ModelError(f"{model.name} looks {model.latency_ms:.0f} ms ahead; choose a causal model (unhiss models)")
    graph = _graph(onnx.load(find(source)), model, rate, name)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as draft:
        draft.write_bytes(graph.SerializeToString())
        worst = _max_difference(draft, model, rate)
        if not worst <= TOLERANCE:
            raise ModelError(f"the graph differs from Stream by {worst:.2g}, more than {TOLERANCE:g}; not written")
    return worst


def _graph(inner: Any, model: CausalModel, rate: int, name: str) -> Any:
    """The model with the nodes before and after it; its own names get the prefix model/."""
    size = round(model.window_s * rate)
    hop, state_size = size // 2, model.state_size + size
    prefixed = onnx.compose.add_prefix(inner, "model/")
    before, after = _analysis(size, model.state_size), _synthesis(size)
    constants = before.constants | after.constants

    def values(**sizes: Any) -> list[Any]:
        return [helper.make_tensor_value_info(key, TensorProto.FLOAT, ["B", size]) for key, size in sizes.items()]

    # A speech probability of the model goes unused: it stays out of the graph's outputs.
    graph = helper.make_graph(
        [*before.nodes, *prefixed.graph.node, *after.nodes], "waveform",
        values(audio="T", state=state_size), values(cleaned="T", next_state=state_size),
        [*prefixed.graph.initializer, *(numpy_helper.from_array(value, key) for key, value in constants.items())],
    )  # fmt: skip
    waveform = helper.make_model(graph, opset_imports=inner.opset_import, ir_version=inner.ir_version)
    metadata = {item.key: item.value for item in inner.metadata_props}
    settings = {"rate": rate, "hop": hop, "latency": hop, "state": state_size}
    config = json.loads(metadata["unhiss.config"]) | {"waveform": settings | {"inputs": ["audio", "state"]}}
    metadata |= {"unhiss.format": FORMAT, "unhiss.model": name, "unhiss.config": json.dumps(config, sort_keys=True)}
    helper.set_model_props(waveform, metadata)
    onnx.checker.check_model(waveform)
    return waveform


class _GraphWriter:
    """Nodes of a graph, one after the other, and the constants they use."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}

    def constant(self, value: np.ndarray) -> str:
        key = f"{self._prefix}/constant{len(self.constants)}"
        self.constants[key] = value
        return key

    def node(self, kind: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        out = out or f"{self._prefix}/{kind}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], **attributes))
        return out

    def reshape(self, x: str, *shape: int, out: str = "") -> str:
        return self.node("Reshape", x, self.constant(np.array(shape, np.int64)), out=out)

    def slice(self, x: str, axis: int, start: int, end: int, out: str = "") -> str:
        bounds = [self.constant(np.array([value], np.int64)) for value in (start, end, axis)]
        return self.node("Slice", x, *bounds, out=out)


END = np.iinfo(np.int64).max


def _analysis(size: int, model_state: int) -> _GraphWriter:
    """audio, state -> model/spectrum, model/state; tail and carry, which the synthesis takes."""
    graph, hop, (rows, columns) = _GraphWriter("before"), size // 2, _factors(size)
    bins, blocks = hop + 1, columns // 2 + 1
    graph.slice("state", 1, 0, model_state, out="model/state")
    tail = graph.slice("state", 1, model_state, model_state + hop)
    graph.slice("state", 1, model_state + hop, END, out="carry")
    hops = graph.reshape(graph.node("Concat", tail, "audio", axis=1), 0, -1, hop)
    graph.reshape(graph.slice(hops, 1, -1, END), 0, -1, out="tail")
    frames = graph.node("Concat", graph.slice(hops, 1, 0, -1), graph.slice(hops, 1, 1, END), axis=2)
    windowed = graph.node("Mul", frames, graph.constant((_root_window(size) * (UNIT / size)).astype(np.float32)))
    first, second = (graph.constant(matrix) for matrix in _dft(rows, columns))
    inner = graph.node("MatMul", first, graph.reshape(windowed, 0, 0, rows, columns))
    outer = graph.node("MatMul", graph.reshape(inner, 0, 0, rows, 1, 2 * columns), second)
    ordered = graph.node("Transpose", graph.reshape(outer, 0, 0, rows, blocks, 2), perm=[0, 1, 3, 2, 4])
    graph.slice(graph.reshape(ordered, 0, 0, rows * blocks, 2), 2, 0, bins, out="model/spectrum")
    return graph


def _synthesis(size: int) -> _GraphWriter:
    """model/cleaned, model/next_state, tail and carry -> cleaned, next_state."""
    graph, hop, (rows, columns) = _GraphWriter("after"), size // 2, _factors(size)
    bins, blocks = hop + 1, columns // 2 + 1
    missing = graph.constant(np.array([0] * 6 + [rows * blocks - bins, 0], np.int64))
    padded = graph.node("Pad", "model/cleaned", missing)
    ordered = graph.node("Transpose", graph.reshape(padded, 0, 0, blocks, rows, 2), perm=[0, 1, 3, 2, 4])
    first, second = (graph.constant(matrix) for matrix in _inverse_dft(rows, columns))
    inner = graph.node("MatMul", graph.reshape(ordered, 0, 0, rows, 1, 2 * blocks), first)
    frames = graph.node("MatMul", second, graph.reshape(inner, 0, 0, 2 * rows, columns))
    window = graph.constant((_root_window(size) * (size / UNIT)).astype(np.float32))
    windowed = graph.node("Mul", graph.reshape(frames, 0, 0, size), window)
    ends = graph.slice(windowed, 2, hop, END)
    previous = graph.node("Concat", graph.reshape("carry", 0, 1, hop), graph.slice(ends, 1, 0, -1), axis=1)
    graph.reshape(graph.node("Add", graph.slice(windowed, 2, 0, hop), previous), 0, -1, out="cleaned")
    carry = graph.reshape(graph.slice(ends, 1, -1, END), 0, -1)
    graph.node("Concat", "model/next_state", "tail", carry, out="next_state", axis=1)
    return graph


def _factors(size: int) -> tuple[int, int]:
    """N1 <= N2, as near each other as possible, N2 even."""
    rows = max(n for n in range(1, math.isqrt(size) + 1) if size % n == 0 and size // n % 2 == 0)
    return rows, size // rows


def _root_window(size: int) -> np.ndarray:
    window: np.ndarray = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size))
    return window


def _dft(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Matrices `(k1 part, n1)` and `(k1, part n2, k2 part)`: real samples to the lower half of the spectrum."""
    first = _roots(np.outer(np.arange(rows), np.arange(rows)) / rows)
    k1, n2, k2 = np.arange(rows)[:, None, None], np.arange(columns)[:, None], np.arange(columns // 2 + 1)
    factors = _roots(n2 * k1 / (rows * columns) + n2 * k2 / columns)
    # A complex product as a real one: (re, im) of the input along the rows, of the output along the columns.
    real, imag = np.stack([factors.real, factors.imag], -1), np.stack([-factors.imag, factors.real], -1)
    second = np.stack([real, imag], 1).reshape(rows, 2 * columns, -1)
    return np.stack([first.real, first.imag], 1).reshape(2 * rows, rows).astype(np.float32), second.astype(np.float32)


def _inverse_dft(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Matrices `(k1, k2 part, part n2)` and `(n1, k1 part)`: the lower half of a spectrum to real samples."""
    size = rows * columns
    k1, k2, n2 = np.arange(rows)[:, None, None], np.arange(columns // 2 + 1)[:, None], np.arange(columns)
    k = k1 + rows * k2
    weight = np.where((k == 0) | (k == size // 2), 1.0, 2.0) * (k <= size // 2) / size
    factors = weight * _roots(-(n2 * k1 / size + n2 * k2 / columns))
    real, imag = np.stack([factors.real, factors.imag], 2), np.stack([-factors.imag, factors.real], 2)
    first = np.stack([real, imag], 2).reshape(rows, -1, 2 * columns)
    back = _roots(-np.outer(np.arange(rows), np.arange(rows)) / rows)
    second = np.stack([back.real, -back.imag], 2).reshape(rows, 2 * rows)
    return first.astype(np.float32), second.astype(np.float32)


def _roots(turns: np.ndarray) -> np.ndarray:
    """Roots of unity: e^(-2 pi i turns)."""
    return np.exp(-2j * np.pi * turns)


def _max_difference(path: Path, model: CausalModel, rate: int) -> float:
    """Largest difference from a Stream, over two signals side by side, in calls of one to nine hops."""
    session = cpu_session(path)
    rng = np.random.default_rng(0)
    hop = round(model.window_s * rate) // 2
    audio = _test_signals(rng, rate, hop)
    state = np.zeros((2, session.get_inputs()[1].shape[1]), np.float32)
    outputs, start = [], 0
    while start < audio.shape[1]:
        size = hop * int(rng.integers(1, 10))
        out, state = session.run(None, {"audio": audio[:, start : start + size], "state": state})
        outputs.append(out)
        start += size
    output = np.concatenate(outputs, axis=1)[:, hop:]
    streams = [Stream(rate, 1, model) for _ in audio]
    pushed = zip(streams, audio, strict=True)
    expected = np.stack([stream.push(row)[stream.latency.samples :] for stream, row in pushed])
    common = min(output.shape[1], expected.shape[1])
    return float(np.abs(output[:, :common] - expected[:, :common]).max())


def _test_signals(rng: np.random.Generator, rate: int, hop: int) -> np.ndarray:
    """`(2, whole hops)`: harmonics of changing level in noise, one signal loud and one quiet."""
    t = np.arange(TEST_S * rate // hop * hop) / rate
    tone = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 20)) * (0.5 + 0.5 * np.sin(6 * np.pi * t))
    noise = rng.standard_normal((2, len(t)))
    return (np.array([[0.2], [0.01]]) * tone + np.array([[0.05], [0.005]]) * noise).astype(np.float32)
