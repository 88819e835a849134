"""The loop: it learns, and reports, validates and keeps what it should."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from tiny_sets import start, train_to_end
from torch import Tensor

from unhiss.config import Experiment
from unhiss.data.store import Store
from unhiss.errors import DataError, ModelError
from unhiss.train import checkpoint, loop
from unhiss.train.curves import read_metrics
from unhiss.train.distributed import Reduction
from unhiss.train.loop import Progress, Run, train

CPU = torch.device("cpu")
LEARNED = 0.8  # of the first loss; few steps reach 0.5 to 0.65, which depends on the processor's instructions
Tiny = Callable[..., Experiment]


def test_loss_falls_on_a_tiny_set(tmp_path: Path, store: Store, tiny: Tiny) -> None:
    experiment = tiny(
        "rced", "mixing.dynamic=false", "train.epochs=3", "train.examples=8", "train.batch_size=1", "train.lr=3e-3",
        "train.valid_examples=1", "mixing.noise_only=0", "mixing.speech_only=0", "mixing.snr_db=[0, 0]",
        "train.ema_decay=0",
    )  # fmt: skip
    train_to_end(start(experiment, store, tmp_path))
    losses = [row["loss"] for row in read_metrics(tmp_path / "metrics.jsonl")]
    assert losses[-1] < LEARNED * losses[0]


def test_unet_learns_a_batch(tmp_path: Path, store: Store, tiny: Tiny) -> None:
    run = start(tiny("unet", "model.dropout=0", "train.lr=2e-3"), store, tmp_path)
    batch = run.batches.batch(0, 0, 1)
    losses = [float(run.train_step(batch)) for _ in range(8)]
    assert losses[-1] < LEARNED * losses[0]


def test_metrics_are_the_means_over_the_epoch(tmp_path: Path, store: Store, tiny: Tiny) -> None:
    run = start(tiny("rced", "train.epochs=1"), store, tmp_path)
    losses: list[float] = []
    finish_step = run.finish_step

    def recording(loss: Tensor, reduction: Reduction) -> None:
        finish_step(loss, reduction)
        losses.append(float(loss))

    run.finish_step = recording  # type: ignore[method-assign]
    train_to_end(run)
    (row,) = read_metrics(tmp_path / "metrics.jsonl")
    assert row["loss"] == pytest.approx(sum(losses) / 3)
    assert (row["epoch"], row["step"], row["frames"]) == (1, 3, 6)
    assert row["samples_per_second"] > 0


def test_progress_reports_the_first_step_and_each_epoch(tmp_path: Path, store: Store, tiny: Tiny) -> None:
    progress: list[Progress] = list(train(start(tiny("rced"), store, tmp_path)))
    reports = [(now.examples, now.metrics is not None) for now in progress]
    assert reports == [(2, False), (6, True), (8, False), (12, True)]
    assert all(now.samples_per_second > 0 for now in progress)
    assert [now.metrics for now in progress if now.metrics] == read_metrics(tmp_path / "metrics.jsonl")


def test_learning_rate_warms_up_and_follows_its_schedule(tmp_path: Path, store: Store, tiny: Tiny) -> None:
    schedule = ("train.lr=0.01", "train.warmup_steps=4", "train.schedule=cosine", "train.examples=200")
    run = start(tiny("rced", *schedule, "train.epochs=1"), store, tmp_path)
    rates = {}
    for run.step in (0, 1, 3, 50, 100):
        rates[run.step] = run.lr()
    cosine = {step: 0.01 * (0.01 + 0.99 * (1 + math.cos(math.pi * step / 100)) / 2) for step in rates}
    expected = {0: cosine[0] / 4, 1: cosine[1] / 2, 3: cosine[3], 50: 0.00505, 100: 0.0001}
    assert rates == pytest.approx(expected)
    constant = start(tiny("rced", "train.schedule=constant"), store, tmp_path)
    constant.step = constant.experiment.train.steps - 1
    assert constant.lr() == 2e-3


@pytest.mark.parametrize(("decay", "expected"), [(0.0, 1.0), (0.5, 10 / 11), (0.999, 10 / 11)])
def test_averaged_weights_move_by_one_minus_the_decay(
    tmp_path: Path, store: Store, tiny: Tiny, decay: float, expected: float
) -> None:
    run = start(tiny("rced", f"train.ema_decay={decay}"), store, tmp_path)
    before = run.ema_model.net.last.weight.clone()  # type: ignore[union-attr,operator]
    run.train_step(run.batches.batch(0, 0, 2))
    new, mean = (network.net.last.weight for network in (run.model, run.ema_model))  # type: ignore[union-attr]
    # The decay of the first step is min(decay, 1 / 11).
    assert torch.allclose(mean, before + expected * (new - before), atol=1e-7)  # type: ignore[arg-type,operator]


def test_validation_uses_the_averaged_weights_and_changes_nothing(tmp_path: Path, store: Store, tiny: Tiny) -> None:
    run = start(tiny("rced", "train.ema_decay=0.9"), store, tmp_path)
    run.train_step(run.batches.batch(0, 0, 2))
    first = run.validate()
    with torch.no_grad():
        run.model.net.last.weight.zero_()  # type: ignore[union-attr,operator]
    assert run.validate() == first
    with torch.no_grad():
        run.ema_model.net.last.weight.zero_()  # type: ignore[union-attr,operator]
    assert run.validate()["valid_loss"] != first["valid_loss"]


def test_best_is_the_checkpoint_of_the_least_validation_loss(
    tmp_path: Path, store: Store, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    values: Iterator[float] = iter((0.5, 0.2, 0.9))
    monkeypatch.setattr(
        Run, "validate", lambda run: {"valid_loss": next(values), "valid_snr_db": 1.0, "valid_noisy_snr_db": 0.0}
    )
    train_to_end(start(tiny("rced", "train.epochs=3"), store, tmp_path))
    best, last = (checkpoint.load_metadata(tmp_path / f"{name}.safetensors") for name in ("best", "last"))
    assert (best["step"], best["best"]) == (6, 0.2)
    assert (last["step"], last["best"]) == (9, 0.2)


def test_clip_norm_of_zero_does_not_clip_gradients(
    tmp_path: Path, store: Store, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    norms: list[float] = []
    monkeypatch.setattr(loop.torch.nn.utils, "clip_grad_norm_", lambda parameters, norm: norms.append(norm))
    for norm in (0, 2):
        run = start(tiny("rced", f"train.clip_norm={norm}"), store, tmp_path)
        run.train_step(run.batches.batch(0, 0, 2))
    assert norms == [2.0]


def test_a_diverged_loss_stops_the_run_and_keeps_the_last_checkpoint(tmp_path: Path, store: Store, tiny: Tiny) -> None:
    run = start(tiny("rced"), store, tmp_path)
    start_step = run.start_step

    def poisoned(batch):
        if run.step == 3:
            batch = dataclasses.replace(batch, clean=batch.clean * math.nan)
        return start_step(batch)

    run.start_step = poisoned  # type: ignore[method-assign,assignment]
    with pytest.raises(ModelError, match=r"not finite at step 4; .*last.safetensors is from step 3; try a lower"):
        train_to_end(run)
    tensors, metadata = checkpoint.load(tmp_path / "last.safetensors")
    assert metadata["step"] == 3
    assert all(tensor.isfinite().all() for tensor in tensors.values())


def test_a_data_set_of_another_rate_is_refused(tmp_path: Path, store: Store, tiny: Tiny) -> None:
    with pytest.raises(DataError, match="is at 22050 Hz, unet wants 16000 Hz; prepare it with --sample-rate 16000"):
        start(tiny("unet", "frames.sample_rate=16000"), store, tmp_path)
