"""A prepared set small enough to train on in seconds, and an experiment to go with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from tiny_sets import ROOT, TINY, make_store

from unhiss.config import Experiment, load
from unhiss.data.store import Store


@pytest.fixture(autouse=True)
def quiet_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One thread, and malloc as it was: other tests of this process measure memory."""
    monkeypatch.setattr("unhiss.train.loop.keep_memory", lambda: None)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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
