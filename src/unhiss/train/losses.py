"""What training minimises, on frames of scaled dB and on what of them can be heard."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from unhiss.dsp.frames import FLOOR_DB
from unhiss.settings import TrainConfig
from unhiss.train import grid
from unhiss.train.causal_batches import CausalBatch
from unhiss.train.listener import Listener
from unhiss.train.perception import Perception

POWER = 0.3  # compression near that of loudness (Braun and Tashev 2020, arXiv 2009.12286)
COMPLEX_SHARE = 0.4  # of the loss is on complex spectra, which rewards removing what is out of phase


def mse(frames: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of scaled-dB frames `(B, 1, 128, 128)`: the reference's loss."""
    return functional.mse_loss(frames, target)


def gain(frames: Tensor, noisy_frames: Tensor) -> Tensor:
    """What a model's output does to the noisy magnitudes, as a factor: 10^(80 (out - in) / 20)."""
    return torch.exp((frames - noisy_frames) * (-FLOOR_DB / 20 * 2.302585093))


def compressed_spectrum(estimate: Tensor, clean: Tensor) -> Tensor:
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


LOST_SPEECH, WAVE, HIGH = 0.05, 0.05, 0.3  # weights beside the compressed spectrum below 8 kHz
LOST_HIGH = 1.5  # above it a band has one gain for sibilants and the noise around them: they are to pass


def causal(estimate: Tensor, batch: CausalBatch, config: TrainConfig | None = None) -> Tensor:
    """Loss of spectra `(B, T, F, 2)`: compressed spectrum as in `compressed_spectrum`, once through the time domain.

    Below 8 kHz the estimate is made sound at 16 kHz and analysed again, so that what overlapping windows
    cancel is not paid for. Beside it: magnitude that fell below the clean one's (speech lost counts more
    than noise left), absolute error of the waveform, and the magnitudes above 8 kHz. Bins where the clean
    recording has no band to judge by count nothing. By the config, what the ear makes of it is added.
    """
    sound, wanted = (low_sound(spectrum) for spectrum in (estimate, batch.clean))
    again, target = (grid.analyse(audio, 16000) * batch.loudness for audio in (sound, wanted))
    heard = batch.heard[..., 0]
    magnitude, difference, lost = _compressed(again, target, heard[..., :257])
    wave = ((sound - wanted).abs().mean(-1) * batch.loudness[:, 0, 0, 0] * 16).mean()
    low = (1 - COMPLEX_SHARE) * magnitude + COMPLEX_SHARE * difference + LOST_SPEECH * lost + WAVE * wave
    if config and config.sdr_weight:
        low = low - config.sdr_weight * _sdr_db(sound, wanted)
    if config and config.dnsmos_weight:
        low = low + config.dnsmos_weight * _misgivings(sound, wanted)
    if config and (config.pesq_weight or config.stoi_weight):
        low = low + _perceived(again, target, batch.heard[:, :, :257], config)
    if estimate.shape[2] <= 257:
        return low
    above, wanted = (spectrum[:, :, 257:] * batch.loudness for spectrum in (estimate, batch.clean))
    high, _, lost = _compressed(above, wanted, heard[..., 257:])
    return low + HIGH * (high + LOST_HIGH * lost)


def _sdr_db(sound: Tensor, wanted: Tensor) -> Tensor:
    """Mean ratio of speech to all that is wrong with it, up to 30 dB, over the examples that hold speech."""
    power, error = wanted.square().sum(-1), (sound - wanted).square().sum(-1)
    ratio = power / (error + 1e-3 * power).clamp(min=1e-12)
    return _over_speech(10 * torch.log10(ratio.clamp(min=1e-12)), wanted)


def _misgivings(sound: Tensor, wanted: Tensor) -> Tensor:
    """Points of MOS that lack to the clean recording's, over the examples that hold speech: a mark above that would
    say something of the listener alone."""
    listener = _listener(sound.device)
    with torch.no_grad():
        best = listener(wanted)
    return _over_speech((best - listener(sound)).clamp(min=0), wanted)


def _over_speech(values: Tensor, clean: Tensor) -> Tensor:
    """Mean of `(B,)`, where an example without speech counts nothing."""
    return torch.where(clean.flatten(1).square().sum(1) > 0, values, 0).mean()


@cache
def _listener(device: torch.device) -> Listener:
    return Listener().to(device)


def _perceived(estimate: Tensor, clean: Tensor, heard: Tensor, config: TrainConfig) -> Tensor:
    """What the ear makes of it, over the examples that hold speech."""
    distances = _ears(estimate.device)(estimate * heard, clean * heard)
    disturbance, unlikeness = (_over_speech(distance, clean) for distance in distances)
    return config.pesq_weight * disturbance + config.stoi_weight * unlikeness


@cache
def _ears(device: torch.device) -> Perception:
    return Perception().to(device)


def low_sound(spectrum: Tensor) -> Tensor:
    """What lies below 8 kHz as audio at 16 kHz."""
    return grid.synthesise(functional.pad(spectrum[:, :, :256], (0, 0, 0, 1)), 16000)


def _compressed(estimate: Tensor, target: Tensor, heard: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean squared errors of compressed magnitudes and spectra, and of the magnitude that is missing."""
    power, wanted = ((s * s).sum(-1) + 1e-8 for s in (estimate, target))
    short, wanted_short = power ** (POWER / 2), wanted ** (POWER / 2)
    change = estimate * (short / power.sqrt())[..., None] - target * (wanted_short / wanted.sqrt())[..., None]
    lost = (wanted_short - short).clamp(min=0).square() * heard
    return ((short - wanted_short).square() * heard).mean(), ((change * change).sum(-1) * heard).mean(), lost.mean()
