"""The loop: it learns, it can be interrupted anywhere, and a resumed run is the unbroken one."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from unhiss.config import Experiment
from unhiss.data.store import Store
from unhiss.errors import DataError, ModelError
from unhiss.train import checkpoint, loop
from unhiss.train.curves import read
from unhiss.train.loop import Progress, Run, train

CPU = torch.device("cpu")
Tiny = Callable[..., Experiment]


class Killed(BaseException):
    """Stands for whatever ends a process; nothing in the loop may catch it."""


def start(experiment: Experiment, store: Store, folder: Path) -> Run:
    folder.mkdir(exist_ok=True)
    return Run(experiment, store, folder, CPU)


def kill_after(step: int) -> Callable[[Run], None]:
    """Train, and die in the middle of the step after `step`."""

    def go(run: Run) -> None:
        begin = run.begin

        def dying(*batches):
            if run.step == step:
                raise Killed
            return begin(*batches)

        run.begin = dying  # type: ignore[method-assign]
        with pytest.raises(Killed):
            train(run)

    return go


def same_files(one: Path, other: Path) -> None:
    for name in ("last.safetensors", "best.safetensors"):
        first, notes = checkpoint.load(one / name)
        second, other_notes = checkpoint.load(other / name)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)
        for said in (notes, other_notes):
            said["seconds"] = said["experiment"]["train"]["samples_every_epochs"] = 0
        assert notes == other_notes
    rows = [[{**row, "samples_per_second": 0} for row in read(folder / "metrics.jsonl")] for folder in (one, other)]
    assert rows[0] == rows[1] and len(rows[0]) == 2


# Epochs of three steps, saves at 2 and 4 inside them and at 3 and 6 after validation.
@pytest.mark.parametrize(
    ("kind", "died_at", "from_step", "shown"),
    [("unet", 5, 4, 0), ("rced", 2, 2, 1), ("rced", 1, 0, 0), ("rced", 3, 3, 0)],
)
def test_a_resumed_run_ends_as_the_unbroken_one_to_the_bit(
    tmp_path: Path, store: Store, tiny: Tiny, kind: str, died_at: int, from_step: int, shown: int
) -> None:
    experiment = tiny(kind, "model.dropout=0.3", "train.ema_decay=0.9", "train.schedule=cosine", "train.warmup_steps=2")
    train(start(experiment, store, tmp_path / "whole"))
    often = dataclasses.replace(experiment.train, samples_every_epochs=shown)  # samples change nothing
    experiment = dataclasses.replace(experiment, train=often)
    kill_after(died_at)(start(experiment, store, tmp_path / "broken"))
    torch.manual_seed(99)  # another process has drawn other random numbers
    run = start(experiment, store, tmp_path / "broken")
    run.resume()
    assert run.step == from_step
    train(run)
    same_files(tmp_path / "whole", tmp_path / "broken")


def test_a_run_killed_between_its_row_and_its_checkpoint_repeats_the_epoch(
    tmp_path: Path, store: Store, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = tiny("rced")
    train(start(experiment, store, tmp_path / "whole"))
    run = start(experiment, store, tmp_path / "broken")
    save = run.save

    def dying(name: str) -> None:
        if name == "last" and run.step == 6:
            raise Killed
        save(name)

    monkeypatch.setattr(run, "save", dying)
    with pytest.raises(Killed):
        train(run)
    run = start(experiment, store, tmp_path / "broken")
    run.resume()
    train(run)
    same_files(tmp_path / "whole", tmp_path / "broken")


def test_a_finished_run_resumes_to_nothing(tmp_path: Path, store: Store, tiny: Tiny) -> None:
    run = start(tiny("rced", "train.epochs=1"), store, tmp_path)
    train(run)
    before = (tmp_path / "last.safetensors").read_bytes()
    again = start(run.experiment, store, tmp_path)
    again.resume()
    train(again)
    assert (tmp_path / "last.safetensors").read_bytes() == before
    assert len(read(tmp_path / "metrics.jsonl")) == 1


def test_a_finished_run_goes_on_for_more_epochs_but_not_for_fewer(tmp_path: Path, store: Store, tiny: Tiny) -> None:
    short, long = (tiny("rced", f"train.epochs={epochs}", "train.schedule=constant") for epochs in (1, 2))
    train(start(short, store, tmp_path / "stages"))
    run = start(long, store, tmp_path / "stages")
    run.resume()
    train(run)
    train(start(long, store, tmp_path / "whole"))
    same_files(tmp_path / "whole", tmp_path / "stages")
    with pytest.raises(ModelError, match=r"made with train.epochs = 2, not 1"):
        start(short, store, tmp_path / "stages").resume()


def test_loss_falls_on_a_tiny_set(tmp_path: Path, store: Store, tiny: Tiny) -> None:
    experiment = tiny(
        "rced", "mixing.dynamic=false", "train.epochs=6", "train.examples=16", "train.batch_size=4", "train.lr=3e-3",
        "train.valid_examples=1", "mixing.noise_only=0", "mixing.speech_only=0", "mixing.snr_db=[0, 0]",
        "train.ema_decay=0",
    )  # fmt: skip
    train(start(experiment, store, tmp_path))
    losses = [row["loss"] for row in read(tmp_path / "metrics.jsonl")]
    assert losses[-1] < 0.7 * losses[0]


def test_unet_learns_a_batch(tmp_path: Path, store: Store, tiny: Tiny) -> None:
    run = start(tiny("unet", "model.dropout=0", "train.lr=2e-3"), store, tmp_path)
    batch = run.batches.batch(0, 0, 2)
    losses = [float(run.advance(batch)) for _ in range(15)]
    assert losses[-1] < 0.6 * losses[0]


def test_metrics_are_the_means_over_the_epoch(tmp_path: Path, store: Store, tiny: Tiny) -> None:
    run = start(tiny("rced", "train.epochs=1"), store, tmp_path)
    seen: list[torch.Tensor] = []
    begin = run.begin

    def noted(*batches):
        end = begin(*batches)
        return lambda: seen.append(end()) or seen[-1]

    run.begin = noted  # type: ignore[method-assign]
    train(run)
    (row,) = read(tmp_path / "metrics.jsonl")
    assert row["loss"] == pytest.approx(sum(map(float, seen)) / 3)
    assert (row["epoch"], row["step"], row["frames"]) == (1, 3, 6)
    assert row["samples_per_second"] > 0


def test_progress_counts_frames_and_shows_the_first_step(tmp_path: Path, store: Store, tiny: Tiny) -> None:
    shown: list[Progress] = []
    train(start(tiny("rced"), store, tmp_path), shown.append)
    assert [now.frames for now in shown] == [2, 8]
    assert all(now.samples_per_second > 0 for now in shown)


def test_learning_rate_warms_up_and_follows_half_a_cosine(tmp_path: Path, store: Store, tiny: Tiny) -> None:
    schedule = (
        "train.lr=0.01",
        "train.warmup_steps=4",
        "train.schedule=cosine",
        "train.examples=200",
        "train.epochs=1",
    )
    run = start(tiny("rced", *schedule), store, tmp_path)
    rates = {}
    for run.step in (0, 1, 3, 50, 100):
        rates[run.step] = run.lr()
    cosine = {step: 0.01 * (0.01 + 0.99 * (1 + math.cos(math.pi * step / 100)) / 2) for step in rates}
    expected = {0: cosine[0] / 4, 1: cosine[1] / 2, 3: cosine[3], 50: 0.00505, 100: 0.0001}
    assert rates == pytest.approx(expected)


def test_constant_schedule_keeps_the_rate(tmp_path: Path, store: Store, tiny: Tiny) -> None:
    run = start(tiny("unet-reference"), store, tmp_path)
    run.step = run.experiment.train.steps - 1
    assert run.lr() == 1e-3


@pytest.mark.parametrize(("average", "expected"), [(0.0, 1.0), (0.5, 10 / 11), (0.999, 10 / 11)])
def test_averaged_weights_move_by_one_minus_the_decay(
    tmp_path: Path, store: Store, tiny: Tiny, average: float, expected: float
) -> None:
    run = start(tiny("rced", f"train.ema_decay={average}"), store, tmp_path)
    before = run.average.net.last.weight.clone()
    run.advance(run.batches.batch(0, 0, 2))
    new, mean = run.model.net.last.weight, run.average.net.last.weight  # decay is min(average, 1 / 11) at first
    assert torch.allclose(mean, before + expected * (new - before), atol=1e-7)


def test_validation_uses_the_averaged_weights_and_changes_nothing(tmp_path: Path, store: Store, tiny: Tiny) -> None:
    run = start(tiny("rced", "train.ema_decay=0.9"), store, tmp_path)
    run.advance(run.batches.batch(0, 0, 2))
    first = run.validate()
    with torch.no_grad():
        run.model.net.last.weight.zero_()
    assert run.validate() == first
    with torch.no_grad():
        run.average.net.last.weight.zero_()
    assert run.validate()["valid_loss"] != first["valid_loss"]


def test_best_is_the_checkpoint_of_the_least_validation_loss(
    tmp_path: Path, store: Store, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: Iterator[float] = iter((0.5, 0.2, 0.9))
    monkeypatch.setattr(
        Run, "validate", lambda run: {"valid_loss": next(figures), "valid_snr_db": 1.0, "valid_noisy_snr_db": 0.0}
    )
    train(start(tiny("rced", "train.epochs=3"), store, tmp_path))
    _, best = checkpoint.load(tmp_path / "best.safetensors")
    _, last = checkpoint.load(tmp_path / "last.safetensors")
    assert (best["step"], best["best"]) == (6, 0.2)
    assert (last["step"], last["best"]) == (9, 0.2)


def test_clip_norm_of_zero_lets_every_gradient_through(
    tmp_path: Path, store: Store, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[float] = []
    monkeypatch.setattr(loop.torch.nn.utils, "clip_grad_norm_", lambda parameters, norm: called.append(norm))
    for norm in (0, 2):
        run = start(tiny("rced", f"train.clip_norm={norm}"), store, tmp_path)
        run.advance(run.batches.batch(0, 0, 2))
    assert called == [2.0]


def test_a_loss_that_is_no_number_stops_the_run_and_spares_the_last_checkpoint(
    tmp_path: Path, store: Store, tiny: Tiny
) -> None:
    run = start(tiny("rced"), store, tmp_path)
    begin = run.begin

    def poisoned(batch):
        if run.step == 3:
            batch = dataclasses.replace(batch, clean=batch.clean * math.nan)
        return begin(batch)

    run.begin = poisoned  # type: ignore[method-assign]
    with pytest.raises(
        ModelError, match=r"no number any more at step 4; .*last.safetensors is from step 3; try a lower"
    ):
        train(run)
    tensors, notes = checkpoint.load(tmp_path / "last.safetensors")
    assert notes["step"] == 3
    assert all(tensor.isfinite().all() for tensor in tensors.values())


def test_a_data_set_of_another_rate_is_refused(tmp_path: Path, store: Store, tiny: Tiny) -> None:
    with pytest.raises(DataError, match="is at 22050 Hz, unet wants 16000 Hz; prepare it with --sample-rate 16000"):
        start(tiny("unet", "frames.sample_rate=16000"), store, tmp_path)


def test_resuming_with_other_settings_or_data_is_refused(tmp_path: Path, store: Store, tiny: Tiny) -> None:
    run = start(tiny("rced"), store, tmp_path)
    run.save("last")
    with pytest.raises(
        ModelError, match=r"made with name = 'rced', not 'unet', model.kind = 'rced', not 'unet', .*; resume"
    ):
        start(tiny("unet"), store, tmp_path).resume()
    with pytest.raises(ModelError, match=r"made with train.lr = 0.002, not 0.5; resume with that, or choose"):
        start(tiny("rced", "train.lr=0.5"), store, tmp_path).resume()
    run.data_facts = lambda: {"sha256": "of others"}  # type: ignore[method-assign]
    with pytest.raises(ModelError, match="trained on another data set"):
        run.resume()


def test_the_same_samples_from_another_place_and_rarer_checkpoints_resume(
    tmp_path: Path, store: Store, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(tiny("rced"), store, tmp_path).save("last")
    run = start(tiny("rced", "train.save_every_steps=9"), store, tmp_path)
    monkeypatch.setitem(store.settings, "sources", ["folder:elsewhere"])
    run.resume()
    monkeypatch.setitem(store.settings, "shards", {"speech-train-00000.npy": "of other samples"})
    with pytest.raises(ModelError, match="trained on another data set"):
        run.resume()


def test_resuming_nothing_says_so(tmp_path: Path, store: Store, tiny: Tiny) -> None:
    with pytest.raises(ModelError, match="holds no run to resume; leave --resume out"):
        start(tiny("rced"), store, tmp_path).resume()
