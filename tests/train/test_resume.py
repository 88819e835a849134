"""A run can be interrupted anywhere, and a resumed run equals an unbroken one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_sets import start, train_to_end
from torch import Tensor

from unhiss.config import Experiment
from unhiss.data.store import Store
from unhiss.errors import ModelError
from unhiss.train import checkpoint
from unhiss.train.curves import read_metrics
from unhiss.train.distributed import Reduction
from unhiss.train.loop import Run

Tiny = Callable[..., Experiment]


class Killed(BaseException):
    """Stands for whatever ends a process; nothing in the loop may catch it."""


def resumed(experiment: Experiment, store: Store, folder: Path) -> Run:
    run = start(experiment, store, folder)
    run.resume()
    return run


def kill_after(step: int, run: Run) -> None:
    """Train, and die in the middle of the step after `step`."""
    start_step = run.start_step

    def dying(*batches):
        if run.step == step:
            raise Killed
        return start_step(*batches)

    run.start_step = dying  # type: ignore[method-assign]
    with pytest.raises(Killed):
        train_to_end(run)


def same_files(one: Path, other: Path) -> None:
    for name in ("last.safetensors", "best.safetensors"):
        first, metadata = checkpoint.load(one / name)
        second, other_metadata = checkpoint.load(other / name)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)
        for each in (metadata, other_metadata):
            each["seconds"] = each["experiment"]["train"]["samples_every_epochs"] = 0
            each["experiment"]["train"]["save_every_steps"] = 0
        assert metadata == other_metadata
    rows = [
        [{**row, "samples_per_second": 0} for row in read_metrics(folder / "metrics.jsonl")] for folder in (one, other)
    ]
    assert rows[0] == rows[1] and len(rows[0]) == 2


DETAILS = ("model.dropout=0.3", "train.ema_decay=0.9", "train.schedule=cosine", "train.warmup_steps=2")


@pytest.fixture(scope="module")
def unbroken(store: Store, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of R-CED that was never interrupted."""
    folder = tmp_path_factory.mktemp("unbroken")
    train_to_end(start(tiny("rced", *DETAILS), store, folder))
    return folder


# Epochs of three steps, saves at 2 and 4 inside them and at 3 and 6 after validation.
@pytest.mark.parametrize(("killed_at", "from_step", "samples"), [(2, 2, 1), (1, 0, 0), (3, 3, 0), (5, 4, 0)])
def test_a_resumed_run_ends_as_the_unbroken_one_to_the_bit(
    tmp_path: Path, store: Store, tiny: Tiny, unbroken: Path, killed_at: int, from_step: int, samples: int
) -> None:
    experiment = tiny("rced", *DETAILS)
    often = dataclasses.replace(experiment.train, samples_every_epochs=samples)  # samples change nothing
    experiment = dataclasses.replace(experiment, train=often)
    kill_after(killed_at, start(experiment, store, tmp_path / "killed"))
    torch.manual_seed(99)  # another process has drawn other random numbers
    run = resumed(experiment, store, tmp_path / "killed")
    assert run.step == from_step
    train_to_end(run)
    same_files(unbroken, tmp_path / "killed")


@pytest.mark.parametrize("stopped_at", [1, 3, 5])  # 3: the last step of an epoch, which is validated first
def test_a_run_that_is_asked_to_stop_saves_that_step_and_resumes_to_the_bit(
    tmp_path: Path, store: Store, tiny: Tiny, unbroken: Path, stopped_at: int
) -> None:
    rarely = ("train.save_every_steps=100",)
    experiment = tiny("rced", *DETAILS, *rarely)
    run = start(experiment, store, tmp_path / "stopped")
    finish_step = run.finish_step

    def interrupted(loss: Tensor, reduction: Reduction) -> None:
        if run.step == stopped_at - 1:
            run.stop.signal = 2
        finish_step(loss, reduction)

    run.finish_step = interrupted  # type: ignore[method-assign]
    train_to_end(run)
    assert run.step == stopped_at
    page = (tmp_path / "stopped" / "index.html").read_text(encoding="utf-8")
    assert f"topped at step {stopped_at}</b>" in page and "to go" not in page
    run = resumed(experiment, store, tmp_path / "stopped")
    assert run.step == stopped_at
    train_to_end(run)
    page = (tmp_path / "stopped" / "index.html").read_text(encoding="utf-8")
    assert "<title>rced: done" in page and "stopped" not in page
    same_files(unbroken, tmp_path / "stopped")


def test_a_run_that_fails_has_a_page_that_says_so(tmp_path: Path, store: Store, tiny: Tiny) -> None:
    kill_after(4, start(tiny("rced"), store, tmp_path))
    assert "stopped at step 4</b>" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_a_resumed_run_repeats_the_dropout_of_the_unbroken_one(tmp_path: Path, store: Store, tiny: Tiny) -> None:
    experiment = tiny("unet", *DETAILS, "train.examples=1", "train.batch_size=1", "train.valid_examples=1")
    train_to_end(start(experiment, store, tmp_path / "unbroken"))
    kill_after(1, start(experiment, store, tmp_path / "killed"))
    torch.manual_seed(99)
    run = resumed(experiment, store, tmp_path / "killed")
    assert run.step == 1
    train_to_end(run)
    same_files(tmp_path / "unbroken", tmp_path / "killed")


def test_a_run_killed_between_its_metrics_and_its_checkpoint_repeats_the_epoch(
    tmp_path: Path, store: Store, tiny: Tiny, unbroken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = tiny("rced", *DETAILS)
    run = start(experiment, store, tmp_path)
    save = run.save

    def dying(name: str) -> None:
        if name == "last" and run.step == 6:
            raise Killed
        save(name)

    monkeypatch.setattr(run, "save", dying)
    with pytest.raises(Killed):
        train_to_end(run)
    train_to_end(resumed(experiment, store, tmp_path))
    same_files(unbroken, tmp_path)


def test_a_finished_run_resumes_to_nothing(tmp_path: Path, store: Store, tiny: Tiny) -> None:
    run = start(tiny("rced", "train.epochs=1"), store, tmp_path)
    train_to_end(run)
    before = (tmp_path / "last.safetensors").read_bytes()
    train_to_end(resumed(run.experiment, store, tmp_path))
    assert (tmp_path / "last.safetensors").read_bytes() == before
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 1


def test_a_finished_run_continues_for_more_epochs_but_not_for_fewer(tmp_path: Path, store: Store, tiny: Tiny) -> None:
    short, long = (tiny("rced", f"train.epochs={epochs}", "train.schedule=constant") for epochs in (1, 2))
    train_to_end(start(short, store, tmp_path / "stages"))
    train_to_end(resumed(long, store, tmp_path / "stages"))
    train_to_end(start(long, store, tmp_path / "whole"))
    same_files(tmp_path / "whole", tmp_path / "stages")
    with pytest.raises(ModelError, match=r"made with train.epochs = 2, not 1"):
        resumed(short, store, tmp_path / "stages")


def test_resuming_with_other_settings_is_refused(tmp_path: Path, store: Store, tiny: Tiny) -> None:
    start(tiny("rced"), store, tmp_path).save("last")
    with pytest.raises(
        ModelError, match=r"made with name = 'rced', not 'unet', model.kind = 'rced', not 'unet', .*; resume"
    ):
        resumed(tiny("unet"), store, tmp_path)
    with pytest.raises(ModelError, match=r"made with train.lr = 0.002, not 0.5; resume with that, or choose"):
        resumed(tiny("rced", "train.lr=0.5"), store, tmp_path)


def test_the_same_samples_from_another_folder_and_rarer_checkpoints_resume_but_other_samples_do_not(
    tmp_path: Path, store: Store, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(tiny("rced"), store, tmp_path).save("last")
    run = start(tiny("rced", "train.save_every_steps=9"), store, tmp_path)
    monkeypatch.setitem(store.settings, "sources", ["folder:elsewhere"])
    run.resume()
    monkeypatch.setitem(store.settings, "shards", {"speech-train-00000.npy": "of other samples"})
    with pytest.raises(ModelError, match="trained on another data set"):
        run.resume()


def test_resuming_nothing_is_refused(tmp_path: Path, store: Store, tiny: Tiny) -> None:
    with pytest.raises(ModelError, match="holds no run to resume; leave --resume out"):
        resumed(tiny("rced"), store, tmp_path)
