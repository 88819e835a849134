"""Batches of the long training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from unhiss.config import Experiment
from unhiss.data.store import Store
from unhiss.errors import ConfigError
from unhiss.score.metrics import si_sdr
from unhiss.train import losses
from unhiss.train.causal_batches import CausalBatch, CausalBatches
from unhiss.train.loop import Run
from unhiss.train.varied_batches import VariedBatches, active_power

CPU = torch.device("cpu")
CHANGES = ("vary.speaker_share=0.6", "vary.rooms=1", "causal.segment_s=1", "train.micro_batches=1")


@pytest.fixture(scope="module")
def experiment(tiny: Callable[..., Experiment]) -> Experiment:
    return tiny("small-long", *CHANGES, "train.examples=4", "train.valid_examples=2")


def test_a_batch_is_decided_by_its_number_and_finite(wide: Store, experiment: Experiment) -> None:
    batches = VariedBatches(wide, "train", experiment, CPU)
    for number in range(3):
        one, two = (batches.batch(0, number, 4) for _ in "ab")
        assert torch.equal(one.noisy, two.noisy)
        assert one.noisy.shape == one.clean.shape == (4, 63, 769, 2)
        assert one.gain.shape == (4, 63, 1, 1) and one.valid_bins.shape == (4, 1, 769, 1)
        assert all(bool(torch.isfinite(part).all()) for part in (one.noisy, one.clean, one.gain))
    assert not torch.equal(batches.batch(0, 0, 4).noisy, batches.batch(1, 0, 4).noisy)


def test_gains_bring_the_target_to_one_a_bin_whatever_its_level(wide: Store, experiment: Experiment) -> None:
    batch = VariedBatches(wide, "train", experiment, CPU).batch(0, 1, 8)
    power = (batch.clean * batch.gain)[:, :, :256].square().sum((2, 3)) / 256
    levels_db = 10 * torch.log10(active_power(power, torch.ones_like(power)))
    assert levels_db[power.any(1)].abs().median() < 1


def test_clean_examples_are_their_own_target(wide: Store, tiny: Callable[..., Experiment]) -> None:
    clean = tiny("small-long", *CHANGES, "vary.clean=1", "vary.noise_only=0", "augment.reverb=0", "augment.clip=0",
                 "augment.codec=0", "vary.level_dbfs=[-30,-20]")  # fmt: skip
    batch = VariedBatches(wide, "train", clean, CPU).batch(0, 0, 6)
    torch.testing.assert_close(batch.noisy, batch.clean)


def test_validation_is_plain_and_as_without_variation(wide: Store, tiny: Callable[..., Experiment]) -> None:
    varied = tiny("small-long", *CHANGES)
    plain = tiny("small-long", *CHANGES, "vary.on=false", "augment.babble=0", "augment.reverb=0", "augment.eq_db=0",
                 "augment.band_limit=0", "augment.clip=0", "augment.codec=0", "augment.gate=0", "augment.speed=0",
                 "augment.noise_speed=0")  # fmt: skip
    mine, theirs = VariedBatches(wide, "valid", varied, CPU), CausalBatches(wide, "valid", plain, CPU)
    for one, two in zip(mine.validation(), theirs.validation(), strict=True):
        torch.testing.assert_close(one.noisy, two.noisy)
        torch.testing.assert_close(one.gain, two.gain)


def test_a_run_says_what_it_makes_of_training_clips_too(wide: Store, experiment: Experiment, tmp_path: Path) -> None:
    run = Run(experiment, wide, tmp_path, CPU)
    batches = next(run.batches.epoch(0))
    assert torch.isfinite(run.train_step(*batches))
    row = run.finish_epoch()
    assert {"valid_loss", "seen_loss", "seen_snr_db"} <= row.keys()
    assert all(np.isfinite(row[name]) for name in ("loss", "valid_loss", "seen_loss"))


def test_variation_is_for_causal_models(tiny: Callable[..., Experiment]) -> None:
    with pytest.raises(ConfigError, match=r"vary.on = True with model.kind = 'unet'"):
        tiny("unet", "vary.on=true")


@pytest.fixture(scope="module")
def batch_and_estimate() -> tuple[CausalBatch, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    clean, noise = (torch.randn(3, 21, 769, 2, generator=generator) for _ in "ab")
    valid = torch.ones(3, 1, 769, 1)
    valid[1:, :, 300:], valid[2, :, 240:] = 0, 0
    return CausalBatch(clean + noise, clean, torch.full((3, 1, 1, 1), 0.5), valid), clean + 0.3 * noise


def test_a_gain_for_every_frame_is_as_good_as_one_for_all(
    batch_and_estimate: tuple[CausalBatch, torch.Tensor], experiment: Experiment
) -> None:
    batch, estimate = batch_and_estimate
    each = replace(batch, gain=batch.gain.expand(-1, 21, -1, -1))
    one, two = (float(losses.causal_loss(estimate, b, experiment.train)) for b in (batch, each))
    assert one == pytest.approx(two, rel=1e-5)


def test_si_sdr_in_the_loss_is_the_metric(batch_and_estimate: tuple[CausalBatch, torch.Tensor]) -> None:
    batch, estimate = batch_and_estimate
    audio, clean = (losses.low_band_audio(spectrum) for spectrum in (0.7 * estimate, batch.clean))
    audio, clean = (sound - sound.mean(-1, keepdim=True) for sound in (audio, clean))
    expected = np.mean(si_sdr(audio.numpy(), clean.numpy()))
    assert float(losses._si_sdr_db(audio, clean)) == pytest.approx(float(expected), abs=0.02)


def test_examples_without_a_high_band_cost_nothing_there(batch_and_estimate: tuple[CausalBatch, torch.Tensor]) -> None:
    batch, estimate = batch_and_estimate
    valid = batch.valid_bins[:, :, losses.LOW_BINS :]
    whole = losses._high_loss(estimate, batch, valid)
    assert whole > 0
    ends = replace(batch, valid_bins=torch.zeros(3, 1, 769, 1))
    assert losses._high_loss(estimate, ends, valid * 0) == 0
    power = 0.5 * estimate[:2, :, losses.LOW_BINS :], 0.5 * batch.clean[:2, :, losses.LOW_BINS :]
    magnitude, lost = losses._magnitude_errors(*power, valid[:2, ..., 0])
    assert float(whole) == pytest.approx(float(2 / 3 * (magnitude + losses.LOST_HIGH_WEIGHT * lost)), rel=1e-5)
