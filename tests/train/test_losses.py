"""Losses: their equations, what they weigh, and gradients that stay finite in silence."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unhiss.settings import TrainConfig
from unhiss.train import losses, stft
from unhiss.train.causal_batches import CausalBatch

PLAIN_LOSS = TrainConfig()
PERCEPTUAL = TrainConfig(pesq_weight=0.02, stoi_weight=0.1, mel_weight=0.04)


def spectra(rate: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two spectra of white noise."""
    generator = torch.Generator().manual_seed(rate)
    one, other = (stft.analyse(torch.randn(2, length, generator=generator), rate) for _ in range(2))
    return one, other


def batch_of(noisy: torch.Tensor, clean: torch.Tensor) -> CausalBatch:
    one = torch.ones(len(noisy), 1, 1, 1)
    return CausalBatch(noisy, clean, one, torch.ones(len(noisy), 1, noisy.shape[2], 1))


@pytest.mark.parametrize("rate", [16000, 48000])
def test_the_loss_is_least_at_its_target_and_lost_speech_costs_more_than_added_noise(rate: int) -> None:
    clean, noise = spectra(rate, rate // 2)
    batch = batch_of(clean + noise, clean)
    exact, quieter, louder, noisy, less_noisy = (
        losses.causal_loss(estimate, batch, PLAIN_LOSS)
        for estimate in (clean, clean * 0.7, clean * 1.3, clean + noise, clean + 0.3 * noise)
    )
    assert exact < 1e-6
    assert quieter > louder > 0.001
    assert noisy > less_noisy


@pytest.mark.parametrize("config", [PLAIN_LOSS, PERCEPTUAL])
def test_the_gradient_is_finite_in_silence(config: TrainConfig) -> None:
    silence = torch.zeros(1, 50, 769, 2)
    estimate = silence.clone().requires_grad_()
    losses.causal_loss(estimate, batch_of(silence, silence), config).backward()
    assert torch.isfinite(estimate.grad).all()  # type: ignore[arg-type]


def test_perceptual_losses_count_where_there_is_speech_and_within_the_recordings_band() -> None:
    clean, noise = spectra(16000, 16000)
    clean[1] = 0  # nothing but noise there
    batch = batch_of(clean + noise, clean)
    plain, perceptual = (losses.causal_loss(clean + noise, batch, config) for config in (PLAIN_LOSS, PERCEPTUAL))
    first = CausalBatch(batch.noisy[:1], clean[:1], batch.gain[:1], batch.valid_bins[:1])
    single = [losses.causal_loss(batch.noisy[:1], first, config) for config in (PLAIN_LOSS, PERCEPTUAL)]
    assert (perceptual - plain).item() == pytest.approx((single[1] - single[0]).item() / 2, rel=1e-4)
    batch.valid_bins[:, :, 128:] = 0
    above = clean.clone()
    above[:, :, 130:] += noise[:, :, 130:]
    plain_above, perceptual_above = (losses.causal_loss(above, batch, config) for config in (PLAIN_LOSS, PERCEPTUAL))
    assert perceptual_above - plain_above < 0.01 * (perceptual - plain)


def test_erb_weighting_counts_each_step_of_the_erb_number_scale_alike() -> None:
    hz = 31.25 * np.arange(257)
    numbers = 21.4 * np.log10(1 + 4.37e-3 * np.array([hz - 0.01, hz + 0.01]))  # Glasberg and Moore 1990
    density = numbers[1] - numbers[0]
    clean, noise = spectra(16000, 16000)
    for row in (slice(4, 24), slice(200, 220)):
        estimate = clean.clone()
        estimate[:, :, row] += noise[:, :, row]
        batch = batch_of(estimate, clean)
        flat, half, full = (
            float(losses.causal_loss(estimate, batch, TrainConfig(erb_weighting=x))) for x in (0, 0.5, 1)
        )
        # Terms without these weights cancel in the differences.
        shares = [(density[row] ** x).mean() / (density**x).mean() for x in (0.5, 1)]
        assert (full - flat) / (half - flat) == pytest.approx((shares[1] - 1) / (shares[0] - 1), rel=0.05)


def test_compressed_spectrum_loss_is_zero_for_the_clean_spectrum_and_grows_with_the_error() -> None:
    torch.manual_seed(0)
    clean = torch.randn(2, 128, 128, dtype=torch.complex64)
    zero, some, more = (losses.compressed_spectrum_loss(clean * factor, clean).item() for factor in (1, 0.7, 0.3))
    assert zero == pytest.approx(0, abs=1e-9)
    assert 0 < some < more


def test_compressed_spectrum_loss_equals_its_equation() -> None:
    rng = np.random.default_rng(3)
    e, s = rng.standard_normal((2, 2, 4, 4, 2)) @ [1, 1j]
    magnitude = np.mean((np.abs(e) ** 0.3 - np.abs(s) ** 0.3) ** 2)
    phase = np.mean(
        np.abs(np.abs(e) ** 0.3 * np.exp(1j * np.angle(e)) - np.abs(s) ** 0.3 * np.exp(1j * np.angle(s))) ** 2
    )
    result = losses.compressed_spectrum_loss(torch.from_numpy(e), torch.from_numpy(s)).item()
    assert result == pytest.approx(0.6 * magnitude + 0.4 * phase, rel=1e-4)


def test_compressed_spectrum_gradient_is_finite_in_silence() -> None:
    estimate = torch.zeros(1, 128, 128, dtype=torch.complex64, requires_grad=True)
    losses.compressed_spectrum_loss(estimate, torch.zeros_like(estimate)).backward()
    assert estimate.grad is not None and estimate.grad.isfinite().all()


def test_snr_is_20_db_for_an_error_of_a_tenth_and_unknown_without_speech() -> None:
    clean = torch.ones(1, 4, 4, dtype=torch.complex64)
    assert losses.snr_db(clean * 1.1, clean).item() == pytest.approx(20, abs=1e-3)
    assert losses.snr_db(clean, clean * 0).isnan().all()
