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
    source: Path, target: Path, *, name: str, licence: str, summary: str, recording: Path | None = None
) -> tuple[ModelCard, float]:
    """Write `target` (.onnx) and the card beside it (.json); returns the card and the largest difference.

    torch and onnxruntime are compared on random frames, on the validation frames that the checkpoint
    carries, and on those of `recording`. Raises ModelError if they differ by more than TOLERANCE, and
    AudioError if the recording cannot be read; then nothing is written.
    """
    model, experiment, notes = checkpoint.load_model(source)
    examples = _examples(source, recording, experiment.frames.sample_rate)
    target.parent.mkdir(parents=True, exist_ok=True)
    beside, card_path = target.with_name(f".{target.name}.part"), target.with_suffix(".json")
    card_beside = card_path.with_name(f".{card_path.name}.part")
    try:
        _write_graph(model, beside)
        _stamp(beside, model, experiment, name, licence)
        worst = difference(model, beside, examples)
        if not worst <= TOLERANCE:
            raise ModelError(
                f"onnxruntime differs from torch by {worst:.2g} (up to {TOLERANCE:g} is round-off); not written"
            )
        card = _card(model, experiment, notes, name, licence, summary, beside)
        card_beside.write_text(json.dumps(asdict(card), indent=1) + "\n", encoding="utf-8")
        beside.replace(target)
        card_beside.replace(card_path)
    finally:
        beside.unlink(missing_ok=True)
        card_beside.unlink(missing_ok=True)
    return card, worst


def _examples(source: Path, recording: Path | None, rate: int) -> list[np.ndarray]:
    """Batches of scaled frames `(B, 1, 128, 128)`: random, and real where there are some."""
    tensors, _ = checkpoint.load(source)
    probe = tensors.get("probe.frames")  # early checkpoints carry none
    examples = [np.random.default_rng(0).random((3, 1, frames.BINS, frames.BINS), np.float32)]
    examples += [probe.numpy()] if probe is not None else []
    return examples + ([real_frames(recording, rate)] if recording else [])


def real_frames(path: str | Path, rate: int, count: int = 8) -> np.ndarray:
    """The first scaled frames `(n, 1, 128, 128)` of a recording at `rate` Hz, `count` at most."""
    audio, own_rate = read(path)
    audio = resample(to_mono(audio), own_rate, rate)[: count * frames.SIZE]
    audio = np.pad(audio, (0, -audio.size % frames.SIZE))
    return frames.frame(audio.reshape(-1, frames.SIZE))[0][:, None]


def _write_graph(model: FrameModel, path: Path) -> None:
    example = torch.rand(2, 1, frames.BINS, frames.BINS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter announces its successor, which needs onnxscript
        torch.onnx.export(
            model, (example,), str(path), input_names=["frames"], output_names=["cleaned"], opset_version=OPSET,
            dynamic_axes={"frames": {0: "B"}, "cleaned": {0: "B"}}, dynamo=False,
        )  # fmt: skip


def _stamp(path: Path, model: nn.Module, experiment: Experiment, name: str, licence: str) -> None:
    """Add the metadata of the contract."""
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


def difference(model: nn.Module, path: Path, examples: list[np.ndarray]) -> float:
    """Largest absolute difference between the outputs of torch and onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    worst = 0.0
    for example in examples:
        if len(example):
            with torch.no_grad():
                expected = model(torch.from_numpy(example)).numpy()
            (found,) = session.run(None, {"frames": example})
            worst = max(worst, float(np.abs(found - expected).max()))
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
