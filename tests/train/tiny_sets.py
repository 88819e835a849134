"""Data sets of tones, small enough to train on in seconds, and training settings to go with them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from unhiss.config import Experiment
from unhiss.data.manifest import ManifestRow
from unhiss.data.store import Store
from unhiss.train.loop import Run, train

ROOT = Path(__file__).parent.parent.parent
TINY = (
    "train.epochs=2", "train.examples=6", "train.valid_examples=3", "train.batch_size=2", "train.warmup_steps=0",
    "train.save_every_steps=2", "train.samples_every_epochs=0",
    "train.precision=fp32",  # `auto` would depend on the processor
)  # fmt: skip
TINY_CAUSAL = (
    "augment.reverb=0",  # the simulation of 48 rooms would take longer than everything else here
    "causal.segment_s=0.6", "causal.width=8", "causal.channels=6", "causal.bands=8", "causal.bottleneck=8",
)  # fmt: skip


def train_to_end(run: Run) -> None:
    """Train without looking at the progress."""
    for _ in train(run):
        pass


def start(experiment: Experiment, store: Store, folder: Path) -> Run:
    """A run on the processor, before its first step."""
    folder.mkdir(exist_ok=True)
    return Run(experiment, store, folder, torch.device("cpu"))


def tone(seconds: float, rate: int, hz: float) -> np.ndarray:
    """A synthetic voice: harmonics of `hz` whose level changes twice a second."""
    t = np.arange(int(seconds * rate)) / rate
    voice = sum(np.sin(2 * np.pi * hz * k * t) / k for k in range(1, 9))
    return 0.2 * voice * (0.55 + 0.45 * np.sin(4 * np.pi * t))


def make_store(folder: Path, rate: int = 22050, bandwidth_hz: float | None = None) -> Store:
    """Speech and noise, two clips of each split: one shorter than a frame, one longer."""
    rng = np.random.default_rng(5)
    rows: list[ManifestRow] = []
    (folder / "shards").mkdir(parents=True)
    for role in ("speech", "noise"):
        for split in ("train", "valid"):
            name, offset, pieces = f"{role}-{split}-00000.npy", 0, []
            for number, seconds in enumerate((0.3, 0.9)):
                hz = 110 + 37 * len(rows)
                audio = tone(seconds, rate, hz) if role == "speech" else 0.1 * rng.standard_normal(int(seconds * rate))
                samples = np.round(audio * 32768).clip(-32768, 32767).astype(np.int16)
                level = 10 * np.log10(np.mean((samples / 32768) ** 2))
                rows.append(
                    ManifestRow(id=f"{split}-{number}", corpus="made", role=role, kind=f"{role}{number}", split=split,
                        groups=(f"{role}/{split}",), licence="CC0", commercial_use=True, language="", text="",
                        shard=name, offset=offset, length=samples.size, level_dbfs=float(level), snr_db=40.0,
                        bandwidth_hz=bandwidth_hz or rate / 2)
                )  # fmt: skip
                pieces.append(samples)
                offset += samples.size
            np.save(folder / "shards" / name, np.concatenate(pieces))
    (folder / "manifest.jsonl").write_text("".join(f"{row.to_json()}\n" for row in rows))
    licences = {"made: CC0": {"clips": len(rows), "hours": 0.1, "commercial_use": True}}
    settings = {"format": 2, "sample_rate": rate, "seed": 0, "licences": licences}
    (folder / "dataset.json").write_text(json.dumps(settings))
    return Store(folder)
