"""Checkpoint -> ONNX: one file as the contract has it, proved equal to torch before it is kept."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hush.config import Experiment
from hush.dsp import frames
from hush.dsp.audio import read, resample, to_mono
from hush.errors import ModelError
from hush.train import checkpoint
from hush.train.spectra import FrameModel
from hush.weights import ModelCard

FORMAT = 1
OPSET = 18
TOLERANCE = 1e-4  # on frames in [0, 1]: 0.008 dB; float32 sums in another order differ by less


def export(
    source: Path, target: Path, *, name: str, licence: str, summary: str, real: np.ndarray | None = None
) -> tuple[ModelCard, float]:
    """Write `target` (.onnx) and the card beside it (.json); returns the card and the largest difference.

    real: scaled frames `(B, 128, 128)` of a recording, compared besides random ones. Raises ModelError
    if onnxruntime's result differs from torch's by more than TOLERANCE; then nothing is written.
    """
    model, experiment, notes = checkpoint.load_model(source)
    beside = target.with_name(f".{target.name}.part")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        _write_graph(model, beside)
        _stamp(beside, model, experiment, name, licence)
        worst = _difference(model, beside, real)
        if not worst <= TOLERANCE:
            raise ModelError(
                f"onnxruntime differs from torch by {worst:.2g} (up to {TOLERANCE:g} is round-off); not written"
            )
        card = _card(model, experiment, notes, name, licence, summary, beside)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
    target.with_suffix(".json").write_text(json.dumps(asdict(card), indent=1) + "\n", encoding="utf-8")
    return card, worst


def real_frames(path: str | Path, count: int = 8) -> np.ndarray:
    """The first scaled frames `(count, 128, 128)` of a recording, to compare torch and onnxruntime on."""
    audio, rate = read(path)
    audio = resample(to_mono(audio), rate, 22050)[: count * frames.SIZE]
    audio = np.pad(audio, (0, -audio.size % frames.SIZE))
    return frames.frame(audio.reshape(-1, frames.SIZE))[0]


def _write_graph(model: FrameModel, path: Path) -> None:
    example = torch.rand(2, 1, frames.BINS, frames.BINS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter announces its successor, which needs onnxscript
        torch.onnx.export(
            model, (example,), str(path), input_names=["frames"], output_names=["cleaned"], opset_version=OPSET,
            dynamic_axes={"frames": {0: "B"}, "cleaned": {0: "B"}}, dynamo=False,
        )  # fmt: skip


def _stamp(path: Path, model: nn.Module, experiment: Experiment, name: str, licence: str) -> None:
    """Name the output as the contract does and add the metadata."""
    import onnx

    graph = onnx.load(path)
    weights = hashlib.sha256(b"".join(t.detach().numpy().tobytes() for t in model.state_dict().values()))
    facts = {
        "hush.format": str(FORMAT),
        "hush.model": name,
        "hush.config": json.dumps(
            {"model": asdict(experiment.model), "frames": asdict(experiment.frames)}, sort_keys=True
        ),
        "hush.licence": licence,
        "hush.sha256": weights.hexdigest(),
    }
    onnx.helper.set_model_props(graph, facts)
    onnx.checker.check_model(graph)
    path.write_bytes(graph.SerializeToString())


def _difference(model: nn.Module, path: Path, real: np.ndarray | None) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs = [np.random.default_rng(0).random((3, 1, frames.BINS, frames.BINS), np.float32)]
    if real is not None and len(real):
        inputs.append(real[:, None].astype(np.float32))
    worst = 0.0
    for example in inputs:
        with torch.no_grad():
            expected: Tensor = model(torch.from_numpy(example))
        (found,) = session.run(None, {"frames": example})
        worst = max(worst, float(np.abs(found - expected.numpy()).max()))
    return worst


def macs(model: nn.Module) -> int:
    """Multiply-adds of one frame, counted at every convolution."""
    total = 0

    def count(layer: nn.Conv2d, _inputs: Any, output: Tensor) -> None:
        nonlocal total
        total += output[0].numel() * layer.weight[0].numel()

    hooks = [layer.register_forward_hook(count) for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    with torch.no_grad():
        model(torch.rand(1, 1, frames.BINS, frames.BINS))
    for hook in hooks:
        hook.remove()
    return total


def _card(
    model: FrameModel,
    experiment: Experiment,
    notes: dict[str, Any],
    name: str,
    licence: str,
    summary: str,
    path: Path,
) -> ModelCard:
    data = notes.get("data", {}).get("licences", {})
    rate = experiment.frames.sample_rate
    return ModelCard(
        name=name, summary=summary, sample_rate=rate, causal=False,
        latency_ms=round(frames.SIZE / rate * 1000, 1),
        parameters=sum(p.numel() for p in model.parameters()),
        mmac_per_s=round(macs(model) * 2 * rate / frames.SIZE / 1e6),
        licence=licence,
        commercial_use=all(entry.get("commercial_use", False) for entry in data.values()) and bool(data),
        data="; ".join(f"{key} ({entry['hours']:.1f} h)" for key, entry in sorted(data.items())),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )  # fmt: skip
