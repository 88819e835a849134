"""scripts/widen_network.py: a wider network computes what the narrower one did, and all of it learns."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_sets import ROOT, TINY_CAUSAL

from unhiss.config import load
from unhiss.train import checkpoint
from unhiss.train.networks import build_network

OLD = {"width": 8, "channels": 6, "bottleneck": 8, "blocks": 2}
NEW = {"width": 13, "channels": 9, "bottleneck": 11, "blocks": 3}
WIDER = [f"causal.{name}={value}" for name, value in NEW.items()]


def run_script(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "scripts" / "widen_network.py", *words]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(params=["causal.speech=false", "causal.speech=true"])
def narrow(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A network with random weights everywhere: those a new one starts from are zero in places."""
    experiment = load(ROOT / "configs/nano-long.toml", (*TINY_CAUSAL, "causal.sample_rate=16000", request.param))
    torch.manual_seed(0)
    tensors = build_network(experiment).state_dict()
    for tensor in tensors.values():
        if tensor.is_floating_point():
            tensor.add_(0.2 * torch.rand_like(tensor) - 0.1)  # around zero: else outputs reach 1e12, and rounding shows
    path = tmp_path / "narrow.safetensors"
    checkpoint.save(path, checkpoint.add_prefix("average.", tensors), {"experiment": dataclasses.asdict(experiment)})
    return path


def test_a_wider_network_computes_the_same_and_every_weight_gets_a_gradient(narrow: Path, tmp_path: Path) -> None:
    wide = tmp_path / "wide.safetensors"
    assert run_script(narrow, wide, *WIDER).returncode == 0
    spectrum = torch.randn(2, 20, 257, 2, generator=torch.Generator().manual_seed(0))
    outputs = []
    for path in (narrow, wide):
        model, experiment = checkpoint.load_model(path)[:2]
        denoised, _, *speech = model(spectrum)
        outputs.append((denoised, *speech))
    assert {name: getattr(experiment.causal, name) for name in OLD} == NEW
    torch.testing.assert_close(outputs[1], outputs[0], rtol=1e-4, atol=1e-5)
    network = build_network(experiment)
    network.load_state_dict(model.state_dict())
    optimiser = torch.optim.SGD(network.parameters(), 1e-3)
    for _ in range(2):  # what leads to new units is new at first, what leads away from them is zero
        optimiser.zero_grad()
        denoised, _, *speech = network(spectrum)
        sum(part.square().sum() for part in (denoised, *speech)).backward()
        optimiser.step()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not [name for name in still if "high_bands" not in name]  # nothing there at 16 kHz


@pytest.mark.parametrize("change", ["causal.bands=40", "causal.width=4", "causal.channels=many"])
def test_what_cannot_grow_is_named_with_what_can(narrow: Path, tmp_path: Path, change: str) -> None:
    done = run_script(narrow, tmp_path / "wide.safetensors", change)
    assert done.returncode == 1
    may_grow = ", ".join(f"causal.{name} from {value}" for name, value in OLD.items())
    assert done.stderr == f"{change}: only these grow: {may_grow}\n"
    assert not (tmp_path / "wide.safetensors").exists()


def test_other_models_are_refused_in_one_line(tmp_path: Path) -> None:
    target = tmp_path / "wide.safetensors"
    done = run_script(ROOT / "checkpoints/rced.safetensors", target, "causal.width=64")
    assert (done.returncode, done.stderr.count("\n"), target.exists()) == (1, 1, False)
    assert "is no causal model" in done.stderr
