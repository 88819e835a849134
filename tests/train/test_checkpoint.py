"""Checkpoints: one safetensors file, refused in one line when it is not what was expected."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_sets import ROOT

from unhiss.config import Experiment, load
from unhiss.data.store import Store
from unhiss.errors import ModelError
from unhiss.train import checkpoint
from unhiss.train.loop import Run
from unhiss.train.networks import build_network
from unhiss.weights import find_checkpoint


@pytest.fixture
def run(tmp_path: Path, store: Store, tiny) -> Run:
    made = Run(tiny("rced", "train.ema_decay=0.9"), store, tmp_path, torch.device("cpu"))
    made.train_step(made.batches.batch(0, 0, 2))
    made.save("last")
    made.save("best")
    return made


def refused(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        checkpoint.load_model(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_checkpoint_gives_back_model_experiment_and_data(run: Run) -> None:
    for name in ("last", "best"):
        model, experiment, metadata = checkpoint.load_model(run.folder / f"{name}.safetensors")
        assert experiment == run.experiment
        assert not model.training
        assert metadata["step"] == 1 and metadata["data"]["licences"]["made: CC0"]["commercial_use"]
        for key, value in run.ema_model.state_dict().items():
            assert torch.equal(model.state_dict()[key], value)


def test_a_checkpoint_names_no_folder_of_the_machine(run: Run, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exported model can have one beside it."""
    monkeypatch.setitem(store.settings, "sources", ["folder:/corpora/speech", "folder:more/speech", "synth:wind=9"])
    run.save("best")
    kept = checkpoint.load_metadata(run.folder / "best.safetensors")["data"]["sources"]
    assert kept == ["folder:corpora/speech", "folder:more/speech", "synth:wind=9"]


def test_best_carries_no_optimiser(run: Run) -> None:
    best, last = (checkpoint.load(run.folder / f"{name}.safetensors")[0] for name in ("best", "last"))
    assert {key.split(".")[0] for key in best} == {"average", "probe"}
    assert {key.split(".")[0] for key in last} == {"average", "probe", "model", "adam"}
    assert len(checkpoint.with_prefix("adam.", last)) == 3 * len(list(run.model.parameters()))


def test_a_checkpoint_carries_real_frames_for_export(run: Run) -> None:
    tensors, _ = checkpoint.load(run.folder / "best.safetensors")
    assert torch.equal(tensors["probe.frames"], run.valid_batches.batch(0, 0, 4).inputs)


def test_others_may_read_a_checkpoint_and_nothing_stays_beside_it(run: Run) -> None:
    assert stat.S_IMODE((run.folder / "best.safetensors").stat().st_mode) & stat.S_IRGRP
    assert sorted(path.name for path in run.folder.iterdir()) == ["best.safetensors", "last.safetensors"]


def test_missing_damaged_and_foreign_files_are_refused(run: Run, tmp_path: Path) -> None:
    assert "no such checkpoint; unhiss train writes" in refused(tmp_path / "gone.safetensors")
    good = (run.folder / "best.safetensors").read_bytes()
    bad = tmp_path / "bad.safetensors"
    for content in (b"", b"\x00" * 100, good[:1000], good[: len(good) // 2], b"RIFF" + good[4:]):
        bad.write_bytes(content)
        assert "damaged, or not a checkpoint" in refused(bad)
    save_file({"weight": torch.ones(1)}, bad)
    assert "is a safetensors file, but not a checkpoint of unhiss" in refused(bad)
    assert "damaged, or not a checkpoint" in refused(tmp_path)


def test_a_checkpoint_of_another_version_is_refused(run: Run, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "a.safetensors", {}, {"experiment": {"model": {"layers": 3}}})
    assert "made by another version of unhiss (no setting model.layers; " in refused(tmp_path / "a.safetensors")
    checkpoint.save(tmp_path / "b.safetensors", {}, {})
    assert "made by another version of unhiss" in refused(tmp_path / "b.safetensors")


def test_a_checkpoint_of_another_model_is_refused(run: Run, store: Store, tiny) -> None:
    unet: Run = Run(tiny("unet"), store, run.folder, torch.device("cpu"))
    path = run.folder / "best.safetensors"
    line = re.escape(f"{path} is a checkpoint of another model (rced, not unet)")
    with pytest.raises(ModelError, match=line):
        checkpoint.load_weights(unet.model, unet.ema_model, path, "unet")


def test_weights_missing_from_a_checkpoint_are_named(run: Run, tmp_path: Path) -> None:
    tensors, metadata = checkpoint.load(run.folder / "best.safetensors")
    del tensors["average.net.last.weight"]
    checkpoint.save(tmp_path / "a.safetensors", tensors, metadata)
    assert "net.last.weight differs" in refused(tmp_path / "a.safetensors")


def test_fine_tuning_starts_from_the_averaged_weights(run: Run, store: Store, tiny) -> None:
    experiment: Experiment = tiny("rced", "train.lr=0.5", "model.output=attenuation")
    fresh = Run(experiment, store, run.folder, torch.device("cpu"))
    checkpoint.load_weights(fresh.model, fresh.ema_model, run.folder / "best.safetensors", "rced")
    for key, value in run.ema_model.state_dict().items():
        assert torch.equal(fresh.model.state_dict()[key], value)
        assert torch.equal(fresh.ema_model.state_dict()[key], value)


def test_a_checkpoint_that_cannot_be_written_leaves_nothing_beside_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "folder" / "full.safetensors").mkdir(parents=True)
    with pytest.raises(OSError):
        checkpoint.save(tmp_path / "folder" / "full.safetensors", {"a": torch.ones(1)}, {})
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["full.safetensors"]


@pytest.mark.parametrize(
    "config", ["small", "small-finish", "small-speech", "nano", "quick", "nano-finish", "nano-speech"]
)
def test_configs_go_on_from_the_weights_in_the_wheel(config: str) -> None:
    experiment = load(ROOT / f"configs/{config}.toml")
    model, ema_model = build_network(experiment), build_network(experiment)
    path = find_checkpoint("small" if config.startswith("small") else "nano")
    checkpoint.load_weights(model, ema_model, path, experiment.model.kind)
    released = checkpoint.load_model(path)[0].state_dict()
    for started in (model.state_dict(), ema_model.state_dict()):
        assert all(torch.equal(started[name], tensor) for name, tensor in released.items())
