"""A prepared set small enough to train on in seconds, and an experiment to go with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from hush.config import Experiment, load
from hush.data.store import Row, Store

ROOT = Path(__file__).parent.parent.parent
TINY = (
    "train.epochs=2",
    "train.examples=6",
    "train.valid_examples=3",
    "train.batch=2",
    "train.warmup_steps=0",
    "train.save_every_steps=2",
    "train.show_every_epochs=0",
)


@pytest.fixture(autouse=True)
def quiet_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One thread, and malloc as it was: other tests of this process measure memory."""
    monkeypatch.setattr("hush.train.loop.keep_memory", lambda: None)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def tone(seconds: float, rate: int, hz: float) -> np.ndarray:
    """A voice of sorts: harmonics of `hz` that come and go twice a second."""
    t = np.arange(int(seconds * rate)) / rate
    voice = sum(np.sin(2 * np.pi * hz * k * t) / k for k in range(1, 9))
    return 0.2 * voice * (0.55 + 0.45 * np.sin(4 * np.pi * t))


def make_store(folder: Path, rate: int = 22050) -> Store:
    """Speech and noise, two clips of each split: one short of a frame's length, one longer."""
    rng = np.random.default_rng(5)
    rows = []
    (folder / "shards").mkdir(parents=True)
    for role in ("speech", "noise"):
        for split in ("train", "valid"):
            name, offset, pieces = f"{role}-{split}-00000.npy", 0, []
            for number, seconds in enumerate((0.3, 0.9)):
                hz = 110 + 37 * len(rows)
                audio = tone(seconds, rate, hz) if role == "speech" else 0.1 * rng.standard_normal(int(seconds * rate))
                samples = np.round(audio * 32767).clip(-32767, 32767).astype(np.int16)
                level = 10 * np.log10(np.mean((samples / 32767) ** 2))
                rows.append(
                    Row(id=f"{split}-{number}", corpus="made", role=role, kind=f"{role}{number}", split=split,
                        groups=(f"{role}/{split}",), licence="CC0", commercial_use=True, language="", text="",
                        shard=name, offset=offset, length=samples.size, level_dbfs=float(level), bandwidth_hz=rate / 2,
                        snr_db=40.0)
                )  # fmt: skip
                pieces.append(samples)
                offset += samples.size
            np.save(folder / "shards" / name, np.concatenate(pieces))
    (folder / "manifest.jsonl").write_text("".join(f"{row.to_json()}\n" for row in rows))
    licences = {"made: CC0": {"clips": len(rows), "hours": 0.1, "commercial_use": True}}
    settings = {"format": 1, "sample_rate": rate, "seed": 0, "licences": licences}
    (folder / "dataset.json").write_text(json.dumps(settings))
    return Store(folder)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("made") / "dataset")


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The same at 48 kHz, as the causal models want it."""
    return make_store(tmp_path_factory.mktemp("wide") / "dataset", 48000)


@pytest.fixture(scope="session")
def tiny() -> Callable[..., Experiment]:
    """A shipped config, cut down to a few steps of two frames, with overrides."""
    return lambda name="unet", *overrides: load(ROOT / "configs" / f"{name}.toml", (*TINY, *overrides))
