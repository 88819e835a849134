"""Checkpoint -> ONNX: one file as the contract has it, kept only if onnxruntime gives what torch gives."""

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
from unhiss.data.licences import describe_licences
from unhiss.errors import ModelError
from unhiss.runtime import cpu_session
from unhiss.train import checkpoint
from unhiss.train.onnx_graph import Inputs, OnnxGraph, describe_graph, probe_inputs, random_inputs, recorded_inputs
from unhiss.weights import ModelCard

FORMAT, SPEECH_FORMAT = 1, 2  # 2 has a third output, speech; readers of format 1 alone take all other models
OPSET = 18
NON_COMMERCIAL = "non-commercial, as its data"  # the licence where none is given and the data does not allow MIT
TOLERANCE = 1e-4  # of full scale, on frames 0.008 dB; float32 sums in another order differ by less


def export(
    source: Path, target: Path, *, name: str, licence: str | None, summary: str, recording: Path | None = None
) -> tuple[ModelCard, float]:
    """Write `target` (.onnx) and the card beside it (.json); returns the card and the largest difference.

    torch and onnxruntime are compared on random input, on the validation examples that the checkpoint
    carries, and on `recording`. Raises ModelError if they differ by more than TOLERANCE, and
    AudioError if the recording cannot be read; then nothing is written.
    """
    model, experiment, metadata = checkpoint.load_model(source)
    licences: dict[str, dict[str, Any]] = metadata.get("data", {}).get("licences", {})  # by corpus
    commercial_use = bool(licences) and all(entry.get("commercial_use", False) for entry in licences.values())
    licence = licence or ("MIT" if commercial_use else NON_COMMERCIAL)
    graph = describe_graph(model, experiment)
    probe = checkpoint.load(source)[0].get("probe.frames")  # early checkpoints carry none
    examples = [random_inputs(graph)]
    examples += [probe_inputs(graph, probe)] if probe is not None else []
    examples += [recorded_inputs(graph, recording)] if recording else []
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target.with_suffix(".json")) as card_draft, atomic_write(target) as draft:
        _write_graph(model, graph, draft)
        _add_metadata(draft, model, graph, name, licence)
        worst = max_difference(model, draft, examples)
        if not worst <= TOLERANCE:
            raise ModelError(f"onnxruntime differs from torch by {worst:.2g}, more than {TOLERANCE:g}; not written")
        card = ModelCard(
            name=name, summary=summary, sample_rate=graph.sample_rate, causal=graph.causal,
            latency_ms=graph.latency_ms, parameters=sum(p.numel() for p in model.parameters()),
            mmac_per_s=round(graph.macs_per_s / 1e6), licence=licence, commercial_use=commercial_use,
            data=describe_licences(licences),
            sha256=hashlib.sha256(draft.read_bytes()).hexdigest(),
        )  # fmt: skip
        card_draft.write_text(json.dumps(asdict(card), indent=1) + "\n", encoding="utf-8")
    return card, worst


def write_weights(source: Path, target: Path) -> None:
    """Write what fine-tuning starts from: the averaged weights in half precision, without the rest."""
    tensors, metadata = checkpoint.load(source)
    weights = checkpoint.model_weights(tensors).items()
    half = {key: value.half() if value.is_floating_point() else value for key, value in weights}
    kept = {key: metadata[key] for key in ("experiment", "step", "data")}
    checkpoint.save(target, checkpoint.add_prefix("average.", half), kept)


def _write_graph(model: nn.Module, graph: OnnxGraph, path: Path) -> None:
    names, count = list(graph.axes), len(graph.example)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter announces its successor, which needs onnxscript
        torch.onnx.export(
            model, graph.example, str(path), input_names=names[:count], output_names=names[count:],
            opset_version=OPSET, dynamic_axes=graph.axes, dynamo=False,
        )  # fmt: skip


def _add_metadata(path: Path, model: nn.Module, graph: OnnxGraph, name: str, licence: str) -> None:
    """Add the metadata of the contract."""
    import onnx

    file = onnx.load(path)
    weights = b"".join(tensor.detach().numpy().tobytes() for tensor in model.state_dict().values())
    metadata = {
        "unhiss.format": str(SPEECH_FORMAT if "speech" in graph.axes else FORMAT),
        "unhiss.model": name,
        "unhiss.config": json.dumps(graph.config, sort_keys=True),
        "unhiss.licence": licence,
        "unhiss.sha256": hashlib.sha256(weights).hexdigest(),
    }
    onnx.helper.set_model_props(file, metadata)
    onnx.checker.check_model(file)
    path.write_bytes(file.SerializeToString())


def max_difference(model: nn.Module, path: Path, examples: list[Inputs]) -> float:
    """Largest difference between the outputs of torch and onnxruntime, relative to full scale; NaN if one is."""
    session = cpu_session(path)
    names = [item.name for item in session.get_inputs()]
    worst = 0.0
    for example in examples:
        if not len(example[0]):
            continue
        with torch.no_grad():
            expected = model(*map(torch.from_numpy, example))
        outputs = session.run(None, dict(zip(names, example, strict=True)))
        for reference, output in zip(expected if len(outputs) > 1 else [expected], outputs, strict=True):
            full_scale = max(1.0, float(reference.abs().max()))  # spectra of loud sound reach 300
            # np.maximum, since max() would ignore a NaN.
            worst = float(np.maximum(worst, np.abs(output - reference.numpy()).max() / full_scale))
    return worst
