"""A causal ONNX model -> one that takes and gives samples: transform, window and overlap-add inside the graph.

audio (B, n hop) and state (B, S) -> cleaned (B, n hop) and next_state (B, S), at one rate, any B and n. The state is
zeros at the start, and the sound comes out one hop late. Guard, attenuation limit and mix stay outside.

The transform of N = N1 N2 points is two products with small constants instead of one with N x N: with
n = n1 N2 + n2 and k = k1 + N1 k2, and w = e^(-2 pi i / N),

    X[k] = sum_n2 ( w^(n2 k1) w^(N1 n2 k2) sum_n1 x[n] w^(N2 n1 k1) )

and back the same with the signs turned.
"""

from __future__ import annotations

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
from unhiss.runtime import onnxruntime
from unhiss.weights import find

FORMAT = "waveform 1"
TOLERANCE = 1e-5  # of full scale: float32 sums in another order
PROOF_S = 3


def export_waveform(source: str | Path, target: Path, rate: int, name: str) -> float:
    """Write `target`; returns the largest difference from `Stream(rate, guard=False)` on three seconds of sound.

    source: an installed model or an .onnx file. Raises ConfigError for a rate that is none of the models' own,
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
        worst = _difference(draft, model, rate)
        if not worst <= TOLERANCE:
            raise ModelError(
                f"the waveform graph differs from Stream by {worst:.2g}, more than {TOLERANCE:g}; not written"
            )
    return worst


def _graph(inner: Any, model: CausalModel, rate: int, name: str) -> Any:
    """The model with the nodes before and after it. Inside it, names begin with model/."""
    size = round(model.window_s * rate)
    hop, total = size // 2, model.state_size + size
    inside = onnx.compose.add_prefix(inner, "model/")
    before, after = _before(size, model.state_size), _after(size)
    constants = {**before[1], **after[1]}

    def faces(**sizes: Any) -> list[Any]:
        return [helper.make_tensor_value_info(key, TensorProto.FLOAT, ["B", size]) for key, size in sizes.items()]

    graph = helper.make_graph(
        [*before[0], *inside.graph.node, *after[0]], "waveform",
        faces(audio="T", state=total), faces(cleaned="T", next_state=total),
        [*inside.graph.initializer, *(numpy_helper.from_array(value, key) for key, value in constants.items())],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=inner.opset_import, ir_version=inner.ir_version)
    facts = {item.key: item.value for item in inner.metadata_props}
    settings = {"rate": rate, "hop": hop, "latency": hop, "state": total, "guard": False, "inputs": ["audio", "state"]}
    config = json.loads(facts["unhiss.config"]) | {"waveform": settings}
    changed = {"unhiss.format": FORMAT, "unhiss.model": name, "unhiss.config": json.dumps(config, sort_keys=True)}
    helper.set_model_props(made, facts | changed)
    onnx.checker.check_model(made)
    return made


Part = tuple[list[Any], dict[str, np.ndarray]]


class _Writer:
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

    def part(self, x: str, axis: int, first: int, last: int, out: str = "") -> str:
        bounds = [self.constant(np.array([value], np.int64)) for value in (first, last, axis)]
        return self.node("Slice", x, *bounds, out=out)


END = np.iinfo(np.int64).max


def _before(size: int, memory: int) -> Part:
    """audio, state -> model/spectrum, model/state; tail and carry for what comes after."""
    write, hop, (rows, columns) = _Writer("before"), size // 2, _factors(size)
    bins, blocks = hop + 1, columns // 2 + 1
    write.part("state", 1, 0, memory, out="model/state")
    tail = write.part("state", 1, memory, memory + hop)
    write.part("state", 1, memory + hop, END, out="carry")
    hops = write.reshape(write.node("Concat", tail, "audio", axis=1), 0, -1, hop)
    write.reshape(write.part(hops, 1, -1, END), 0, -1, out="tail")
    frames = write.node("Concat", write.part(hops, 1, 0, -1), write.part(hops, 1, 1, END), axis=2)
    windowed = write.node("Mul", frames, write.constant((_root(size) * (UNIT / size)).astype(np.float32)))
    first, second = _transform(rows, columns)
    turned = write.node("MatMul", write.constant(first), write.reshape(windowed, 0, 0, rows, columns))
    bent = write.node("MatMul", write.reshape(turned, 0, 0, rows, 1, 2 * columns), write.constant(second))
    sorted_ = write.node("Transpose", write.reshape(bent, 0, 0, rows, blocks, 2), perm=[0, 1, 3, 2, 4])
    write.part(write.reshape(sorted_, 0, 0, rows * blocks, 2), 2, 0, bins, out="model/spectrum")
    return write.nodes, write.constants


def _after(size: int) -> Part:
    """model/cleaned, model/next_state, tail and carry -> cleaned, next_state."""
    write, hop, (rows, columns) = _Writer("after"), size // 2, _factors(size)
    bins, blocks = hop + 1, columns // 2 + 1
    missing = write.constant(np.array([0] * 6 + [rows * blocks - bins, 0], np.int64))
    whole = write.node("Pad", "model/cleaned", missing)
    sorted_ = write.node("Transpose", write.reshape(whole, 0, 0, blocks, rows, 2), perm=[0, 1, 3, 2, 4])
    first, second = _inverse(rows, columns)
    bent = write.node("MatMul", write.reshape(sorted_, 0, 0, rows, 1, 2 * blocks), write.constant(first))
    frames = write.node("MatMul", write.constant(second), write.reshape(bent, 0, 0, 2 * rows, columns))
    window = write.constant((_root(size) * (size / UNIT)).astype(np.float32))
    shaped = write.node("Mul", write.reshape(frames, 0, 0, size), window)
    ends = write.part(shaped, 2, hop, END)
    earlier = write.node("Concat", write.reshape("carry", 0, 1, hop), write.part(ends, 1, 0, -1), axis=1)
    write.reshape(write.node("Add", write.part(shaped, 2, 0, hop), earlier), 0, -1, out="cleaned")
    carry = write.reshape(write.part(ends, 1, -1, END), 0, -1)
    write.node("Concat", "model/next_state", "tail", carry, out="next_state", axis=1)
    return write.nodes, write.constants


def _factors(size: int) -> tuple[int, int]:
    """N1 <= N2, near each other, N2 even."""
    rows = max(n for n in range(1, math.isqrt(size) + 1) if size % n == 0 and size // n % 2 == 0)
    return rows, size // rows


def _root(size: int) -> np.ndarray:
    return np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size))


def _transform(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Constants `(k1 part, n1)` and `(k1, part n2, k2 part)`: real samples to the lower half of the spectrum."""
    first = _turns(np.outer(np.arange(rows), np.arange(rows)) / rows)
    k1, n2, k2 = np.arange(rows)[:, None, None], np.arange(columns)[:, None], np.arange(columns // 2 + 1)
    turn = _turns(n2 * k1 / (rows * columns) + n2 * k2 / columns)
    # A complex product as a real one: (re, im) of the input along the rows, of the output along the columns.
    real, imag = np.stack([turn.real, turn.imag], -1), np.stack([-turn.imag, turn.real], -1)
    second = np.stack([real, imag], 1).reshape(rows, 2 * columns, -1)
    return np.stack([first.real, first.imag], 1).reshape(2 * rows, rows).astype(np.float32), second.astype(np.float32)


def _inverse(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Constants `(k1, k2 part, part n2)` and `(n1, k1 part)`: the lower half of a spectrum to real samples."""
    size = rows * columns
    k1, k2, n2 = np.arange(rows)[:, None, None], np.arange(columns // 2 + 1)[:, None], np.arange(columns)
    place = k1 + rows * k2
    weight = np.where((place == 0) | (place == size // 2), 1.0, 2.0) * (place <= size // 2) / size
    turn = weight * _turns(-(n2 * k1 / size + n2 * k2 / columns))
    real, imag = np.stack([turn.real, turn.imag], 2), np.stack([-turn.imag, turn.real], 2)
    first = np.stack([real, imag], 2).reshape(rows, -1, 2 * columns)
    back = _turns(-np.outer(np.arange(rows), np.arange(rows)) / rows)
    second = np.stack([back.real, -back.imag], 2).reshape(rows, 2 * rows)
    return first.astype(np.float32), second.astype(np.float32)


def _turns(turns: np.ndarray) -> np.ndarray:
    """e^(-2 pi i turns)."""
    return np.exp(-2j * np.pi * turns)


def _difference(path: Path, model: CausalModel, rate: int) -> float:
    """From a Stream, over two signals side by side, cut into calls of one to nine hops."""
    runtime = onnxruntime()
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    hop = round(model.window_s * rate) // 2
    audio = _sound(rng, rate, hop)
    state = np.zeros((2, session.get_inputs()[1].shape[1]), np.float32)
    parts, at = [], 0
    while at < audio.shape[1]:
        size = hop * int(rng.integers(1, 10))
        out, state = session.run(None, {"audio": audio[:, at : at + size], "state": state})
        parts.append(out)
        at += size
    found = np.concatenate(parts, axis=1)[:, hop:]
    expected = []
    for row in audio:
        stream = Stream(rate, 1, model, guard=False)
        expected.append(stream.push(row)[stream.latency.samples :])
    common = min(found.shape[1], len(expected[0]))
    return float(np.abs(found[:, :common] - np.stack(expected)[:, :common]).max())


def _sound(rng: np.random.Generator, rate: int, hop: int) -> np.ndarray:
    """`(2, whole hops)`: harmonics that come and go in noise, once loud and once soft."""
    t = np.arange(PROOF_S * rate // hop * hop) / rate
    tone = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 20)) * (0.5 + 0.5 * np.sin(6 * np.pi * t))
    noise = rng.standard_normal((2, len(t)))
    return (np.array([[0.2], [0.01]]) * tone + np.array([[0.05], [0.005]]) * noise).astype(np.float32)
