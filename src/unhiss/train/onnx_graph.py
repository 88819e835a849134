"""The two kinds of ONNX graphs: inputs and outputs, look-ahead, cost, and inputs to compare on."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unhiss.config import Experiment
from unhiss.dsp import frames
from unhiss.dsp.resampling import resample, to_mono
from unhiss.media.source import read
from unhiss.train import stft
from unhiss.train.causal import GROUPS, CausalNetwork

Inputs = tuple[np.ndarray, ...]


@dataclass(frozen=True, kw_only=True)
class OnnxGraph:
    """axes: the names of inputs and outputs, in order, with the dynamic axes of each.

    example: the inputs that the graph is traced with. sample_rate: Hz, 0 if any.
    """

    axes: dict[str, dict[int, str]]
    example: tuple[Tensor, ...]
    config: dict[str, Any]
    sample_rate: int
    causal: bool
    latency_ms: float
    macs_per_s: float


def describe_graph(model: nn.Module, experiment: Experiment) -> OnnxGraph:
    """What the exporter needs to know of a network."""
    if not isinstance(model, CausalNetwork):
        rate = experiment.frames.sample_rate
        example = torch.rand(2, 1, frames.BINS, frames.BINS)
        return OnnxGraph(
            axes={"frames": {0: "B"}, "cleaned": {0: "B"}}, example=(example,),
            config={"model": asdict(experiment.model), "frames": asdict(experiment.frames)},
            sample_rate=rate, causal=False, latency_ms=round(frames.SIZE / rate * 1000, 1),
            macs_per_s=macs(model, (example[:1],)) * 2 * rate / frames.SIZE,  # files: each column lies in two frames
        )  # fmt: skip
    spectrum = {0: "B", 1: "T", 2: "F"}
    axes = {"spectrum": spectrum, "state": {0: "B"}, "cleaned": spectrum, "next_state": {0: "B"}}
    if model.speech:
        axes["speech"] = {0: "B", 1: "T"}
    inputs = torch.randn(2, 3, 769, 2) * 0.1, model.initial_state(2)
    return OnnxGraph(
        axes=axes, example=inputs,
        config={
            "model": asdict(experiment.model) | asdict(experiment.causal),
            "stft": {"window_s": stft.WINDOW_S, "hop_s": stft.HOP_S},
        },
        sample_rate=0, causal=True, latency_ms=1000 * stft.WINDOW_S,
        macs_per_s=macs(model, (inputs[0][:1], inputs[1][:1])) / 3 / stft.HOP_S,
    )  # fmt: skip


def random_inputs(graph: OnnxGraph) -> Inputs:
    """Random inputs of the example's shapes."""
    rng = np.random.default_rng(0)
    return tuple(rng.standard_normal(part.shape, np.float32) * 0.1 for part in graph.example)


def probe_inputs(graph: OnnxGraph, probe: Tensor) -> Inputs:
    """The inputs stored in a checkpoint; of a causal model, with the initial state."""
    if not graph.causal:
        return (probe.numpy(),)
    return probe.numpy(), np.zeros((len(probe), graph.example[1].shape[1]), np.float32)


def recorded_inputs(graph: OnnxGraph, path: Path, count: int = 8) -> Inputs:
    """The start of a recording: up to `count` frames of 128 columns, or the spectra of a second at 48 kHz."""
    audio, rate = read(path)
    mono = resample(to_mono(audio), rate, graph.sample_rate or 48000)
    if not graph.causal:
        mono = mono[: count * frames.SIZE]
        mono = np.pad(mono, (0, -mono.size % frames.SIZE))
        return (frames.frame(mono.reshape(-1, frames.SIZE))[0][:, None],)
    mono = np.pad(mono[:48000], (0, max(0, 48000 - mono.size)))[: 48000 // 768 * 768]
    return probe_inputs(graph, stft.analyse(torch.from_numpy(mono)[None], 48000))


def macs(model: nn.Module, inputs: tuple[Tensor, ...]) -> int:
    """Multiply-adds of one call: of all convolutions, linear layers, LSTMs and band maps."""
    total = 0

    def count(layer: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            total += output[0].numel() * layer.weight[0].numel() * len(output)
        elif isinstance(layer, nn.Linear):
            total += output.numel() * layer.in_features
        elif isinstance(layer, nn.LSTM):
            steps = inputs[0].shape[0] * inputs[0].shape[1]
            total += steps * 4 * layer.hidden_size * (layer.input_size + layer.hidden_size)

    hooks = [layer.register_forward_hook(count) for layer in model.modules()]
    with torch.no_grad():
        model(*inputs)
    for hook in hooks:
        hook.remove()
    if isinstance(model, CausalNetwork):
        config, steps = model.config, inputs[0].shape[0] * inputs[0].shape[1]
        maps = 2 * config.channels * model.to_bands.numel() + model.high_bands.band_to_bins.numel()
        mask = GROUPS * (2 * model.mask.weight.numel() + model.product_inputs.numel() + model.product_sum.numel())
        total += steps * (maps + mask + config.blocks * config.channels * config.bands**2)
    return total
