"""scripts/mean_checkpoint.py: the mean, or another weighted sum, of the weights of several checkpoints."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_sets import ROOT

from unhiss.config import load
from unhiss.train import checkpoint
from unhiss.train.networks import build_network


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    experiment = load(ROOT / "configs/nano.toml")
    paths = [tmp_path / f"{name}.safetensors" for name in "ab"]
    for seed, path in enumerate(paths):
        torch.manual_seed(seed)
        tensors = {f"average.{name}": value for name, value in build_network(experiment).state_dict().items()}
        checkpoint.save(path, tensors, {"experiment": dataclasses.asdict(experiment), "step": seed})
    return paths


@pytest.mark.parametrize(("options", "shares"), [([], (0.5, 0.5)), (["--weights", "1.5", "-0.5"], (1.5, -0.5))])
def test_weights_are_the_weighted_sum(
    run_script: Callable[..., None], paths: list[Path], tmp_path: Path, options: list[str], shares: tuple[float, float]
) -> None:
    run_script("mean_checkpoint.py", *paths, *options, "-o", tmp_path / "sum.safetensors")
    result, a, b = (checkpoint.load_model(path)[0].state_dict() for path in (tmp_path / "sum.safetensors", *paths))
    for name, value in result.items():
        expected = shares[0] * a[name].float() + shares[1] * b[name].float()
        assert torch.allclose(value.float(), expected, atol=1e-6), name
    assert checkpoint.load_metadata(tmp_path / "sum.safetensors")["step"] == 0


@pytest.mark.parametrize("weights", [["1", "0.5"], ["1"]])
def test_weights_that_do_not_sum_to_one_are_refused(
    run_script: Callable[..., None],
    paths: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    weights: list[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        run_script("mean_checkpoint.py", *paths, "--weights", *weights, "-o", tmp_path / "sum.safetensors")
    assert caught.value.code == 2 and "expected one for each, with sum 1" in capsys.readouterr().err
    assert not (tmp_path / "sum.safetensors").exists()
