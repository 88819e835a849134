"""The network that hears every level alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from unhiss.config import Experiment
from unhiss.settings import CausalConfig
from unhiss.train import checkpoint
from unhiss.train.causal import CausalNetwork
from unhiss.train.export import export
from unhiss.train.running_level import ATTACK, FRAMES, LEVEL, LevelNormalisedNetwork

SMALL = CausalConfig(width=8, channels=6, bands=5, blocks=1, bottleneck=7, normalise=True)
ROUNDING = 1e-4  # relative: float32, and a floor below the quietest frames


@pytest.fixture(scope="module")
def network() -> LevelNormalisedNetwork:
    torch.manual_seed(0)
    network = LevelNormalisedNetwork(SMALL).eval()
    torch.nn.init.normal_(network.mask.weight, std=0.3)
    return network


@pytest.fixture(scope="module")
def spectrum() -> torch.Tensor:
    """Two signals with speech-like swells, and silence at the start and in the middle."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 300, 257, 2, generator=generator) * torch.rand(1, 300, 1, 1, generator=generator) ** 3
    x[:, :9], x[:, 120:260] = 0, 0
    return x


@pytest.mark.parametrize("gain_db", [-60, -20, 20])
def test_a_gain_on_the_input_is_a_gain_on_the_output(
    network: LevelNormalisedNetwork, spectrum: torch.Tensor, gain_db: int
) -> None:
    gain = 10 ** (gain_db / 20)
    with torch.no_grad():
        plain, scaled = network(spectrum)[0], network(spectrum * gain)[0] / gain
    assert (plain - scaled).norm() < ROUNDING * plain.norm()


def test_digital_silence_stays_silence(network: LevelNormalisedNetwork, spectrum: torch.Tensor) -> None:
    with torch.no_grad():
        out = network(spectrum)[0]
    assert not out[:, :9].any() and not out[:, 120:260].any()
    assert not network(torch.zeros_like(spectrum))[0].any()


@pytest.mark.parametrize("size", [1, 7, 128, 299])
def test_frames_may_come_in_calls_of_any_length(
    network: LevelNormalisedNetwork, spectrum: torch.Tensor, size: int
) -> None:
    state = network.initial_state(2)
    with torch.no_grad():
        together, last = network(spectrum)
        parts = []
        for first in range(0, 300, size):
            part, state = network(spectrum[:, first : first + size], state)
            parts.append(part)
    torch.testing.assert_close(torch.cat(parts, 1), together, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(state, last, atol=1e-5, rtol=1e-4)


def test_the_level_follows_two_seconds_and_an_onset_at_once(network: LevelNormalisedNetwork) -> None:
    x = torch.full((1, 2 * FRAMES, 257, 2), 0.01)
    x[:, FRAMES:] = 1.0
    scale = network.scale(x, torch.zeros(1, FRAMES - 1))[0][0, :, 0, 0] ** 2 * LEVEL
    power = x[0, :, 4:128].square().sum((1, 2))
    assert scale[FRAMES - 1] == pytest.approx(float(power[0]), rel=1e-4), "steady: the level is the power"
    assert scale[FRAMES] == pytest.approx(float(power[-1]) * ATTACK, rel=1e-4), "an onset: 12 dB below its power"
    assert scale[-1] == pytest.approx(float(power[-1]), rel=1e-3), "two seconds later nothing of before is left"


def test_it_has_the_weights_of_the_plain_network(network: LevelNormalisedNetwork) -> None:
    plain = CausalNetwork(SMALL)
    plain.load_state_dict(network.state_dict())
    assert network.state_size == plain.state_size + FRAMES - 1


def test_the_exported_graph_carries_the_level_in_its_state(
    tmp_path: Path, network: LevelNormalisedNetwork, spectrum: torch.Tensor, tiny: Callable[..., Experiment]
) -> None:
    changes = ("causal.width=8", "causal.channels=6", "causal.bands=5", "causal.blocks=1", "causal.bottleneck=7")
    experiment = tiny("small-long", *changes)
    weights = checkpoint.add_prefix("average.", network.state_dict())
    metadata = {"experiment": asdict(experiment), "step": 0, "data": {}}
    checkpoint.save(tmp_path / "x.safetensors", weights, metadata)
    export(tmp_path / "x.safetensors", tmp_path / "x.onnx", name="x", licence="MIT", summary="")
    session = onnxruntime.InferenceSession(str(tmp_path / "x.onnx"), providers=["CPUExecutionProvider"])
    state, parts = np.zeros((2, network.state_size), np.float32), []
    for first in range(0, 300, 37):
        part, state = session.run(None, {"spectrum": spectrum[:, first : first + 37].numpy() * 1e-3, "state": state})
        parts.append(part)
    with torch.no_grad():
        expected = network(spectrum)[0].numpy()
    np.testing.assert_allclose(np.concatenate(parts, 1) * 1e3, expected, atol=1e-3 * np.abs(expected).max())
