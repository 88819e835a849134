"""scripts/mean_checkpoint.py: the mean, or another weighted sum, of the weights of several checkpoints."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_sets import ROOT

from unhiss.config import load
from unhiss.train import checkpoint
from unhiss.train.networks import build_network


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    experiment = load(ROOT / "configs/nano.toml", [])
    paths = [tmp_path / f"{name}.safetensors" for name in "ab"]
    for seed, path in enumerate(paths):
        torch.manual_seed(seed)
        tensors = {f"average.{name}": value for name, value in build_network(experiment).state_dict().items()}
        checkpoint.save(path, tensors, {"experiment": dataclasses.asdict(experiment), "step": seed})
    return paths


def run(*words: object) -> subprocess.CompletedProcess:
    line = [sys.executable, ROOT / "scripts/mean_checkpoint.py", *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True)


@pytest.mark.parametrize(("options", "shares"), [([], (0.5, 0.5)), (["--weights", "1.5", "-0.5"], (1.5, -0.5))])
def test_weights_are_the_sum_that_was_asked_for(
    paths: list[Path], tmp_path: Path, options: list[str], shares: tuple[float, float]
) -> None:
    done = run(*paths, *options, "-o", tmp_path / "sum.safetensors")
    assert done.returncode == 0, done.stderr
    result, a, b = (checkpoint.load_model(path)[0].state_dict() for path in (tmp_path / "sum.safetensors", *paths))
    for name, value in result.items():
        expected = shares[0] * a[name].float() + shares[1] * b[name].float()
        assert torch.allclose(value.float(), expected, atol=1e-6), name
    assert checkpoint.load_metadata(tmp_path / "sum.safetensors")["step"] == 0


@pytest.mark.parametrize("options", [["1", "0.5"], ["1"]])
def test_weights_that_are_not_one_together_are_refused(paths: list[Path], tmp_path: Path, options: list[str]) -> None:
    done = run(*paths, "--weights", *options, "-o", tmp_path / "sum.safetensors")
    assert done.returncode == 2 and "expected one for each, 1 together" in done.stderr
    assert not (tmp_path / "sum.safetensors").exists()
