"""A prepared set small enough to train on in seconds, and an experiment to go with it."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable, Iterator

import pytest
import torch
from tiny_sets import ROOT, TINY, make_store

from unhiss.config import Experiment, load
from unhiss.data.store import Store


@pytest.fixture(autouse=True, scope="module")
def quiet_process() -> Iterator[None]:
    """One thread: sums have one order, and workers of pytest-xdist do not compete. malloc stays as it was."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("unhiss.train.loop.keep_memory", lambda: None)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("narrow") / "dataset")


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The same at 48 kHz, for the causal models."""
    return make_store(tmp_path_factory.mktemp("wide") / "dataset", 48000)


@pytest.fixture(scope="session")
def tiny() -> Callable[..., Experiment]:
    """A shipped config, cut down to a few steps of two frames, with overrides."""
    return lambda name="unet", *overrides: load(ROOT / "configs" / f"{name}.toml", (*TINY, *overrides))


@pytest.fixture
def run_script(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs a file of scripts/ in this process: its name, then the words of its command line."""

    def run(name: str, *words: object) -> None:
        script = ROOT / "scripts" / name
        monkeypatch.syspath_prepend(str(script.parent))  # as Python does for a script
        monkeypatch.setattr(sys, "argv", [str(script), *map(str, words)])
        runpy.run_path(str(script), run_name="__main__")

    return run
