"""What training minimises, on frames of scaled dB and on what of them can be heard."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from hush.dsp.frames import FLOOR_DB

POWER = 0.3  # compression near that of loudness (Braun and Tashev 2020, arXiv 2009.12286)
COMPLEX_SHARE = 0.4  # of the loss is on complex spectra, which rewards removing what is out of phase


def mse(frames: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of scaled-dB frames `(B, 1, 128, 128)`: the reference's loss."""
    return functional.mse_loss(frames, target)


def gain(frames: Tensor, noisy_frames: Tensor) -> Tensor:
    """What a model's output does to the noisy magnitudes, as a factor: 10^(80 (out - in) / 20)."""
    return torch.exp((frames - noisy_frames) * (-FLOOR_DB / 20 * 2.302585093))


def audible(estimate: Tensor, clean: Tensor) -> Tensor:
    """Compressed-spectrum loss between complex spectra `(B, 128, 128)` at an active level near one.

    L = (1 - c) mean(|E|^p - |S|^p)^2 + c mean| E/|E| |E|^p - S/|S| |S|^p |^2 with p = 0.3. Squared error in
    dB spends itself on silence, where a decibel is worth as much as in speech; here it is worth little.
    """
    tiny = 1e-8
    estimate_power, clean_power = estimate.abs().square() + tiny, clean.abs().square() + tiny
    estimate_short, clean_short = estimate_power ** (POWER / 2), clean_power ** (POWER / 2)
    magnitude = (estimate_short - clean_short).square().mean()
    difference = estimate * (estimate_short / estimate_power.sqrt()) - clean * (clean_short / clean_power.sqrt())
    return (1 - COMPLEX_SHARE) * magnitude + COMPLEX_SHARE * torch.view_as_real(difference).square().sum(-1).mean()


def snr_db(estimate: Tensor, clean: Tensor) -> Tensor:
    """SNR over each frame of complex spectra `(B, 128, 128)`, `(B,)`; frames without speech give NaN."""
    signal = clean.abs().square().sum((-1, -2))
    error = (estimate - clean).abs().square().sum((-1, -2))
    value = 10 * torch.log10(signal / error.clamp(min=1e-12))
    return torch.where(signal > 1e-9, value.clamp(-30, 60), torch.nan)
