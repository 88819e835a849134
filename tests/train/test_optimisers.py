"""Muon trains the matrices of a network, AdamW all else, at one learning rate."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from test_resume import kill_after, resumed, same_files
from tiny_sets import TINY_CAUSAL, start, train_to_end

from unhiss.config import Experiment
from unhiss.data.store import Store
from unhiss.errors import ConfigError
from unhiss.train.networks import build_network
from unhiss.train.optimisers import build_optimisers

Tiny = Callable[..., Experiment]


def test_each_weight_has_one_optimiser_and_matrices_have_muon(tiny: Tiny) -> None:
    experiment = tiny("small", "train.optimiser=muon")
    model = build_network(experiment)
    optimisers = build_optimisers(model, experiment.train, fused=False)
    assert list(optimisers) == ["adam", "muon"]
    owned = {name: [id(p) for group in each.param_groups for p in group["params"]] for name, each in optimisers.items()}
    assert set(owned["muon"]) == {id(parameter) for parameter in model.parameters() if parameter.ndim == 2}
    assert sorted(owned["adam"] + owned["muon"]) == sorted(id(parameter) for parameter in model.parameters())


def test_muon_is_refused_where_there_is_no_matrix(tiny: Tiny) -> None:
    experiment = tiny("unet", "train.optimiser=muon")
    with pytest.raises(ConfigError, match="this model has none; give adamw"):
        build_optimisers(build_network(experiment), experiment.train, fused=False)


def test_a_step_of_muon_is_as_large_as_one_of_adamw_in_every_direction(tiny: Tiny) -> None:
    """Of a gradient whose directions differ by a factor of a thousand, all move alike: by their singular values."""
    experiment = tiny("small", "train.optimiser=muon", "train.lr=1e-2")
    model = torch.nn.Linear(16, 64)
    before = model.weight.detach().clone()
    muon = build_optimisers(model, experiment.train, fused=False)["muon"]
    generator = torch.Generator().manual_seed(1)
    left, right = (torch.linalg.qr(torch.randn(size, 16, generator=generator))[0] for size in (64, 16))
    model.weight.grad = left @ torch.diag(torch.logspace(0, -1.5, 16)) @ right.T
    muon.step()
    moved = before * (1 - 1e-2 * experiment.train.weight_decay) - model.weight.detach()
    values = torch.linalg.svdvals(moved) / (1e-2 * 0.2 * 64**0.5)
    assert values.min() > 0.5 and values.max() < 1.5
    assert float(moved.square().mean().sqrt()) == pytest.approx(0.2 * 1e-2, rel=0.3)  # near that of a step of AdamW


def test_a_resumed_run_with_muon_ends_as_the_unbroken_one_to_the_bit(tmp_path: Path, wide: Store, tiny: Tiny) -> None:
    experiment = tiny("small", *TINY_CAUSAL, "train.optimiser=muon", "train.ema_decay=0.9", "train.schedule=cosine")
    train_to_end(start(experiment, wide, tmp_path / "unbroken"))
    kill_after(5, start(experiment, wide, tmp_path / "killed"))
    train_to_end(resumed(experiment, wide, tmp_path / "killed"))
    same_files(tmp_path / "unbroken", tmp_path / "killed")


def test_an_unknown_optimiser_is_refused(tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match=r"train.optimiser = 'sgd'; known: adamw, muon"):
        tiny("small", "train.optimiser=sgd")
