"""The two kinds of ONNX graphs unhiss knows: what goes in and out, how far it looks ahead, what it costs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unhiss.config import Experiment
from unhiss.dsp import frames
from unhiss.dsp.resampling import resample, to_mono
from unhiss.media.audio import read
from unhiss.train import grid
from unhiss.train.causal import GROUPS, Causal

Inputs = tuple[np.ndarray, ...]


@dataclass(frozen=True, kw_only=True)
class Graph:
    """axes: the dynamic ones of each input and output, which also names them, in order.

    inputs: how many of `axes` go in. example: what the graph is traced with. sample_rate: Hz, 0 if any.
    """

    axes: dict[str, dict[int, str]]
    inputs: int
    example: tuple[Tensor, ...]
    config: dict[str, Any]
    sample_rate: int
    causal: bool
    latency_ms: float
    macs_per_s: float

    @property
    def names(self) -> list[str]:
        return list(self.axes)


def graph_of(model: nn.Module, experiment: Experiment) -> Graph:
    """What the exporter needs to know of a network."""
    return _causal(model, experiment) if isinstance(model, Causal) else _frames(model, experiment)


def _frames(model: nn.Module, experiment: Experiment) -> Graph:
    rate = experiment.frames.sample_rate
    example = torch.rand(2, 1, frames.BINS, frames.BINS)
    return Graph(
        axes={"frames": {0: "B"}, "cleaned": {0: "B"}}, inputs=1, example=(example,),
        config={"model": asdict(experiment.model), "frames": asdict(experiment.frames)},
        sample_rate=rate, causal=False, latency_ms=round(frames.SIZE / rate * 1000, 1),
        macs_per_s=macs(model, (example[:1],)) * 2 * rate / frames.SIZE,  # files: each column is judged twice
    )  # fmt: skip


def _causal(model: Causal, experiment: Experiment) -> Graph:
    spectrum = {0: "B", 1: "T", 2: "F"}
    example = (torch.randn(2, 3, 769, 2) * 0.1, model.silence(2))
    return Graph(
        axes={"spectrum": spectrum, "state": {0: "B"}, "cleaned": spectrum, "next_state": {0: "B"}}, inputs=2,
        example=example,
        config={
            "model": asdict(experiment.model) | asdict(experiment.causal),
            "stft": {"window_s": grid.WINDOW_S, "hop_s": grid.HOP_S},
        },
        sample_rate=0, causal=True, latency_ms=1000 * grid.WINDOW_S,
        macs_per_s=macs(model, (example[0][:1], example[1][:1])) / 3 / grid.HOP_S,
    )  # fmt: skip


def random_inputs(graph: Graph) -> Inputs:
    """The example again, with other numbers in it."""
    rng = np.random.default_rng(0)
    return tuple(rng.standard_normal(part.shape, np.float32) * 0.1 for part in graph.example)


def probe_inputs(graph: Graph, probe: Tensor) -> Inputs:
    """The inputs a checkpoint carries, with silence before them."""
    if not graph.causal:
        return (probe.numpy(),)
    return probe.numpy(), np.zeros((len(probe), graph.example[1].shape[1]), np.float32)


def recorded_inputs(graph: Graph, path: Path, count: int = 8) -> Inputs:
    """The first inputs of a recording: `count` frames of 128 columns, or a second of spectra at its own rate."""
    audio, rate = read(path)
    if not graph.causal:
        return (real_frames(path, graph.sample_rate, count),)
    audio = resample(to_mono(audio), rate, 48000)[None, :48000]
    audio = np.pad(audio, ((0, 0), (0, 48000 - audio.shape[1])))[:, : 48000 // 768 * 768]
    return probe_inputs(graph, grid.analyse(torch.from_numpy(audio), 48000))


def real_frames(path: str | Path, rate: int, count: int = 8) -> np.ndarray:
    """The first scaled frames `(n, 1, 128, 128)` of a recording at `rate` Hz, `count` at most."""
    audio, own_rate = read(path)
    audio = resample(to_mono(audio), own_rate, rate)[: count * frames.SIZE]
    audio = np.pad(audio, (0, -audio.size % frames.SIZE))
    return frames.frame(audio.reshape(-1, frames.SIZE))[0][:, None]


def macs(model: nn.Module, inputs: tuple[Tensor, ...]) -> int:
    """Multiply-adds of one call, counted at every convolution, linear layer, recurrence and band map."""
    total = 0

    def count(layer: nn.Module, given: Any, output: Any) -> None:
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            total += output[0].numel() * layer.weight[0].numel() * len(output)
        elif isinstance(layer, nn.Linear):
            total += output.numel() * layer.in_features
        elif isinstance(layer, nn.LSTM):
            steps = given[0].shape[0] * given[0].shape[1]
            total += steps * 4 * layer.hidden_size * (layer.input_size + layer.hidden_size)

    hooks = [layer.register_forward_hook(count) for layer in model.modules()]
    with torch.no_grad():
        model(*inputs)
    for hook in hooks:
        hook.remove()
    if isinstance(model, Causal):
        config, steps = model.config, inputs[0].shape[0] * inputs[0].shape[1]
        maps = 2 * config.channels * model.squeeze.numel() + model.high.spread.numel()
        mask = GROUPS * (2 * model.mask.weight.numel() + model.turn.numel() + model.add.numel())
        total += steps * (maps + mask + config.blocks * config.channels * config.bands**2)
    return total
