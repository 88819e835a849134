"""scripts/mean_checkpoint.py: a model half-way between others."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import torch
from conftest import ROOT

from hush.config import load
from hush.train import checkpoint
from hush.train.tasks import network


def test_weights_lie_half_way(tmp_path: Path) -> None:
    experiment = load(ROOT / "configs/nano.toml", [])
    paths = [tmp_path / f"{name}.safetensors" for name in "ab"]
    for seed, path in enumerate(paths):
        torch.manual_seed(seed)
        tensors = {f"average.{name}": value for name, value in network(experiment).state_dict().items()}
        checkpoint.save(path, tensors, {"experiment": dataclasses.asdict(experiment), "step": seed})
    subprocess.run(
        [sys.executable, ROOT / "scripts/mean_checkpoint.py", *paths, "-o", tmp_path / "mean.safetensors"], check=True
    )
    mean, a, b = (checkpoint.load_model(path)[0].state_dict() for path in (tmp_path / "mean.safetensors", *paths))
    for name, value in mean.items():
        assert torch.allclose(value.float(), (a[name].float() + b[name].float()) / 2, atol=1e-6), name
    assert checkpoint.notes(tmp_path / "mean.safetensors")["step"] == 0
