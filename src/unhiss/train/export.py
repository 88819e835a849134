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
from torch import nn

from unhiss.atomic import atomic_write
from unhiss.errors import ModelError
from unhiss.runtime import onnxruntime
from unhiss.train import checkpoint
from unhiss.train.graphs import Graph, Inputs, graph_of, probe_inputs, random_inputs, recorded_inputs
from unhiss.weights import ModelCard

FORMAT = 1
OPSET = 18
NOT_FREE = "non-commercial, as its data"  # the licence where none is given
TOLERANCE = 1e-4  # of full scale, on frames 0.008 dB; float32 sums in another order differ by less


def export(
    source: Path, target: Path, *, name: str, licence: str | None, summary: str, recording: Path | None = None
) -> tuple[ModelCard, float]:
    """Write `target` (.onnx) and the card beside it (.json); returns the card and the largest difference.

    torch and onnxruntime are compared on random input, on the validation examples that the checkpoint
    carries, and on `recording`. Raises ModelError if they differ by more than TOLERANCE, and
    AudioError if the recording cannot be read; then nothing is written.
    """
    model, experiment, notes = checkpoint.load_model(source)
    licence = licence or ("MIT" if _commercial_use(notes) else NOT_FREE)
    graph = graph_of(model, experiment)
    examples = _examples(source, graph, recording)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target.with_suffix(".json")) as card_draft, atomic_write(target) as draft:
        _write_graph(model, graph, draft)
        _stamp(draft, model, graph, name, licence)
        worst = difference(model, draft, examples)
        if not worst <= TOLERANCE:
            raise ModelError(
                f"onnxruntime differs from torch by {worst:.2g} (up to {TOLERANCE:g} is round-off); not written"
            )
        card = _card(model, graph, notes, name, licence, summary, draft)
        card_draft.write_text(json.dumps(asdict(card), indent=1) + "\n", encoding="utf-8")
    return card, worst


def write_weights(source: Path, target: Path) -> None:
    """What training can start from: the averaged weights in half precision, without the rest of a checkpoint."""
    tensors, notes = checkpoint.load(source)
    weights = checkpoint.part(tensors, "average.") or checkpoint.part(tensors, "model.")
    half = {f"average.{key}": value.half() if value.is_floating_point() else value for key, value in weights.items()}
    checkpoint.save(target, half, {key: notes[key] for key in ("experiment", "step", "data")})


def _examples(source: Path, graph: Graph, recording: Path | None) -> list[Inputs]:
    """Inputs of the graph: random, and real where there are some."""
    probe = checkpoint.load(source)[0].get("probe.frames")  # early checkpoints carry none
    examples = [random_inputs(graph)]
    examples += [probe_inputs(graph, probe)] if probe is not None else []
    return examples + ([recorded_inputs(graph, recording)] if recording else [])


def _write_graph(model: nn.Module, graph: Graph, path: Path) -> None:
    names = graph.names
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter announces its successor, which needs onnxscript
        torch.onnx.export(
            model, graph.example, str(path), input_names=names[: graph.inputs], output_names=names[graph.inputs :],
            opset_version=OPSET, dynamic_axes=graph.axes, dynamo=False,
        )  # fmt: skip


def _stamp(path: Path, model: nn.Module, graph: Graph, name: str, licence: str) -> None:
    """Add the metadata of the contract."""
    import onnx

    file = onnx.load(path)
    weights = hashlib.sha256(b"".join(t.detach().numpy().tobytes() for t in model.state_dict().values()))
    facts = {
        "unhiss.format": str(FORMAT),
        "unhiss.model": name,
        "unhiss.config": json.dumps(graph.config, sort_keys=True),
        "unhiss.licence": licence,
        "unhiss.sha256": weights.hexdigest(),
    }
    onnx.helper.set_model_props(file, facts)
    onnx.checker.check_model(file)
    path.write_bytes(file.SerializeToString())


def difference(model: nn.Module, path: Path, examples: list[Inputs]) -> float:
    """Largest difference between the outputs of torch and onnxruntime, as a share of full scale."""
    runtime = onnxruntime()

    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_inputs()]
    worst = 0.0
    for example in examples:
        if len(example[0]):
            with torch.no_grad():
                expected = model(*map(torch.from_numpy, example))
            found = session.run(None, dict(zip(names, example, strict=True)))
            for mine, theirs in zip(expected if len(found) > 1 else [expected], found, strict=True):
                full = max(1.0, float(mine.abs().max()))  # spectra of loud sound go up to 300
                # max() would pass over a NaN, and with it a model that gives nothing else.
                worst = float(np.maximum(worst, np.abs(theirs - mine.numpy()).max() / full))
    return worst


def _licences(notes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What the data of a checkpoint was, by corpus and licence; empty where that is unknown."""
    found: dict[str, dict[str, Any]] = notes.get("data", {}).get("licences", {})
    return found


def _commercial_use(notes: dict[str, Any]) -> bool:
    """Whether every source of the data allows it, and there is one."""
    data = _licences(notes)
    return bool(data) and all(entry.get("commercial_use", False) for entry in data.values())


def _card(
    model: nn.Module, graph: Graph, notes: dict[str, Any], name: str, licence: str, summary: str, path: Path
) -> ModelCard:
    data = _licences(notes)
    return ModelCard(
        name=name, summary=summary, sample_rate=graph.sample_rate, causal=graph.causal, latency_ms=graph.latency_ms,
        parameters=sum(p.numel() for p in model.parameters()),
        mmac_per_s=round(graph.macs_per_s / 1e6),
        licence=licence,
        commercial_use=_commercial_use(notes),
        data="; ".join(f"{key} ({entry['hours']:.1f} h)" for key, entry in sorted(data.items())),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )  # fmt: skip
