"""Training losses: of scaled frames, of compressed spectra, and of what quality metrics measure."""

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from unhiss.config import Experiment
from unhiss.dsp.frames import FLOOR_DB
from unhiss.settings import TrainConfig
from unhiss.train import stft
from unhiss.train.causal_batches import CausalBatch
from unhiss.train.dnsmos import DnsmosP808
from unhiss.train.frame_batches import FrameBatch
from unhiss.train.log_mel import LogMelDistance
from unhiss.train.perceptual_losses import BIN_HZ, PerceptualDistances
from unhiss.train.speech import speech_loss

Batch = FrameBatch | CausalBatch

POWER = 0.3  # compression near that of loudness (Braun and Tashev 2020, arXiv 2009.12286)
COMPLEX_WEIGHT = 0.4  # of the error of complex spectra, which rewards removing what is out of phase
LOW_BINS = 257  # up to 8 kHz
LOST_SPEECH_WEIGHT, WAVEFORM_WEIGHT, HIGH_WEIGHT = 0.05, 0.05, 0.3  # beside the compressed spectrum below 8 kHz
LOST_HIGH_WEIGHT = 4.0  # above 8 kHz a band has one gain for sibilants and the noise around them: they are to pass


def evaluate(model: nn.Module, batch: Batch, experiment: Experiment) -> tuple[Tensor, Tensor]:
    """Loss of a batch, and the model's estimate of its clean spectra."""
    if isinstance(batch, CausalBatch):
        return evaluate_causal(model, batch, experiment)[:2]
    frames = model(batch.frames)
    # The estimate has the phase of the noisy input.
    estimate = batch.noisy * torch.exp((frames - batch.frames) * (-FLOOR_DB / 20 * 2.302585093))[:, 0]
    if experiment.train.loss == "mse":
        return functional.mse_loss(frames, batch.target), estimate
    return compressed_spectrum_loss(estimate, batch.clean), estimate


def evaluate_causal(
    model: nn.Module, batch: CausalBatch, experiment: Experiment
) -> tuple[Tensor, Tensor, Tensor | None]:
    """As `evaluate`, and the probability of speech `(B, T)` from a model that has the head, which is trained alone."""
    denoised, _, *speech = model(batch.noisy)
    estimate: Tensor = denoised.float()
    if speech:
        return speech_loss(speech[0], batch), estimate, speech[0]
    return causal_loss(estimate, batch, experiment.train), estimate, None


def snrs_db(estimate: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """SNR of each example before and after denoising, `(B,)` each; examples without speech give NaN."""
    spectra = batch.noisy, estimate.detach(), batch.clean
    if isinstance(batch, CausalBatch):
        spectra = tuple(torch.view_as_complex(s.contiguous()) * batch.gain[..., 0] for s in spectra)  # type: ignore[assignment]
    return snr_db(spectra[0], spectra[2]), snr_db(spectra[1], spectra[2])


def snr_db(estimate: Tensor, clean: Tensor) -> Tensor:
    """SNR over each frame of complex spectra `(B, T, F)`, `(B,)`; frames without speech give NaN."""
    signal = clean.abs().square().sum((-1, -2))
    error = (estimate - clean).abs().square().sum((-1, -2))
    value = 10 * torch.log10(signal / error.clamp(min=1e-12))
    return torch.where(signal > 1e-9, value.clamp(-30, 60), torch.nan)


def compressed_spectrum_loss(estimate: Tensor, clean: Tensor) -> Tensor:
    """(1 - c) mean(|E|^p - |S|^p)^2 + c mean| E/|E| |E|^p - S/|S| |S|^p |^2, p = 0.3, of complex `(B, 128, 128)`.

    Squared error in dB weighs a decibel in silence as much as one in speech; this loss weighs it little.
    """
    magnitude, difference, _ = _compressed_errors(torch.view_as_real(estimate), torch.view_as_real(clean))
    return (1 - COMPLEX_WEIGHT) * magnitude + COMPLEX_WEIGHT * difference


def causal_loss(estimate: Tensor, batch: CausalBatch, config: TrainConfig) -> Tensor:
    """Loss of spectra `(B, T, F, 2)`: the compressed-spectrum loss and weighted terms beside it.

    Below 8 kHz the estimate is resynthesised at 16 kHz and analysed again, so that what overlapping windows
    cancel costs nothing. Added: the magnitude that fell below the clean one (lost speech costs more than noise
    left), absolute error of the waveform, magnitudes above 8 kHz, and by the config SDR, DNSMOS, PESQ, STOI and
    log-mel spectra. Bins that are not valid cost nothing; by the config the others count as the ear spaces them.
    """
    audio, clean_audio = (low_band_audio(spectrum) for spectrum in (estimate, batch.clean))
    low, clean_low = (stft.analyse(sound, 16000) * batch.gain for sound in (audio, clean_audio))
    low_valid, high_valid = batch.valid_bins[:, :, :LOW_BINS], batch.valid_bins[:, :, LOW_BINS:]
    weights = low_valid[..., 0] * _bin_weights(config.erb_weighting, low.device)
    magnitude, difference, lost = _compressed_errors(low, clean_low, weights)
    gain = sample_gain(batch.gain)
    waveform = ((audio - clean_audio) * gain).abs().mean() * 16
    loss = (1 - COMPLEX_WEIGHT) * magnitude + COMPLEX_WEIGHT * difference
    loss = loss + LOST_SPEECH_WEIGHT * lost + WAVEFORM_WEIGHT * waveform
    if config.sdr_weight:
        loss = loss - config.sdr_weight * _sdr_db(audio, clean_audio)
    if config.si_sdr_weight:
        loss = loss - config.si_sdr_weight * _si_sdr_db(audio * gain, clean_audio * gain)
    if config.dnsmos_weight:
        loss = loss + config.dnsmos_weight * dnsmos_penalty(audio, clean_audio)
    if config.pesq_weight or config.stoi_weight or config.mel_weight:
        loss = loss + _distances(low * low_valid, clean_low * low_valid, config)
    if estimate.shape[2] > LOW_BINS:
        loss = loss + HIGH_WEIGHT * _high_loss(estimate, batch, high_valid)
    return loss


def _distances(low: Tensor, clean: Tensor, config: TrainConfig) -> Tensor:
    """The weighted distances of what is heard, over the examples with speech, of spectra `(B, T, 257, 2)`."""
    total = low.new_zeros(())
    if config.pesq_weight or config.stoi_weight:
        pesq, stoi = _on(low.device, PerceptualDistances)(low, clean)
        total = total + _mean_over_speech(config.pesq_weight * pesq + config.stoi_weight * stoi, clean)
    if config.mel_weight:
        total = total + config.mel_weight * _mean_over_speech(_on(low.device, LogMelDistance)(low, clean), clean)
    return total


def _high_loss(estimate: Tensor, batch: CausalBatch, valid: Tensor) -> Tensor:
    """Error of the magnitudes above 8 kHz. On a CPU examples without any, which are most, are not computed."""
    rows: Tensor | slice = slice(None)
    if estimate.device.type == "cpu":
        rows = valid.flatten(1).any(1)
        if not rows.any():
            return estimate.new_zeros(())
    high, clean_high = (spectrum[rows, :, LOW_BINS:] * batch.gain[rows] for spectrum in (estimate, batch.clean))
    magnitude, lost = _magnitude_errors(high, clean_high, valid[rows, ..., 0])
    return (magnitude + LOST_HIGH_WEIGHT * lost) * (len(high) / len(estimate))


def _sdr_db(audio: Tensor, clean: Tensor) -> Tensor:
    """Mean signal-to-distortion ratio, up to 30 dB, over the examples with speech."""
    power, error = clean.square().sum(-1), (audio - clean).square().sum(-1)
    ratio = power / (error + 1e-3 * power).clamp(min=1e-12)
    return _mean_over_speech(10 * torch.log10(ratio.clamp(min=1e-12)), clean)


def _si_sdr_db(audio: Tensor, clean: Tensor) -> Tensor:
    """Mean scale-invariant signal-to-distortion ratio, up to 40 dB, over the examples with speech."""
    power = clean.square().sum(-1)
    target = ((audio * clean).sum(-1) / power.clamp(min=1e-12))[:, None] * clean
    ratio = target.square().sum(-1) / ((audio - target).square().sum(-1) + 1e-4 * power).clamp(min=1e-12)
    return _mean_over_speech(10 * torch.log10(ratio.clamp(min=1e-3)), clean)


def sample_gain(gain: Tensor) -> Tensor:
    """Gains of frames `(B, T or 1, 1, 1)` -> of the samples at 16 kHz between them, `(B, L or 1)`."""
    gain = gain[:, :, 0, 0]
    return gain if gain.shape[1] == 1 else gain[:, 1:].repeat_interleave(256, 1)


def dnsmos_penalty(audio: Tensor, clean: Tensor) -> Tensor:
    """Points of DNSMOS P.808 by which audio `(B, T)` falls below the clean recording, over the examples with speech.

    A score above the clean recording's brings nothing: it would only exploit the network.
    """
    dnsmos = _on(audio.device, DnsmosP808)
    with torch.no_grad():
        target = dnsmos(clean)
    return _mean_over_speech((target - dnsmos(audio)).clamp(min=0), clean)


def _mean_over_speech(values: Tensor, clean: Tensor) -> Tensor:
    """Mean of `(B,)`, where an example without speech counts as zero."""
    return torch.where(clean.flatten(1).square().sum(1) > 0, values, 0).mean()


@cache
def _on(device: torch.device, kind: type[nn.Module]) -> nn.Module:
    """The one instance of a fixed network or distance on a device."""
    return kind().to(device)


@cache
def _bin_weights(exponent: float, device: torch.device) -> Tensor:
    """Weights `(257,)` of the bins below 8 kHz, with a mean of one: the density of the ERB scale to a power.

    0: every bin counts alike. 1: every equivalent rectangular bandwidth does, 24.7 (1 + 4.37 kHz) Hz wide
    (Glasberg and Moore 1990): an eighth of the bins, those below 1 kHz, then have 48 % of the weight.
    """
    density = (1 + 4.37e-3 * BIN_HZ * torch.arange(LOW_BINS, device=device)) ** -exponent
    return density / density.mean()


def low_band_audio(spectrum: Tensor) -> Tensor:
    """Audio at 16 kHz of the bins below 8 kHz."""
    return stft.synthesise(functional.pad(spectrum[:, :, :256], (0, 0, 0, 1)), 16000)


def _compressed_errors(estimate: Tensor, target: Tensor, valid: Tensor | float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """Mean squared errors of compressed magnitudes, of compressed spectra, and of the magnitude that was lost."""
    power, target_power = ((spectrum * spectrum).sum(-1) + 1e-8 for spectrum in (estimate, target))
    magnitude, target_magnitude = power ** (POWER / 2), target_power ** (POWER / 2)
    difference = estimate * (magnitude / power.sqrt())[..., None]
    difference = difference - target * (target_magnitude / target_power.sqrt())[..., None]
    lost = (target_magnitude - magnitude).clamp(min=0).square()
    errors = (magnitude - target_magnitude).square(), (difference * difference).sum(-1), lost
    magnitude_error, spectrum_error, lost_error = ((error * valid).mean() for error in errors)
    return magnitude_error, spectrum_error, lost_error


def _magnitude_errors(estimate: Tensor, target: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """The first and the last of `_compressed_errors`."""
    magnitude, target_magnitude = (((s * s).sum(-1) + 1e-8) ** (POWER / 2) for s in (estimate, target))
    lost = (target_magnitude - magnitude).clamp(min=0).square()
    return ((magnitude - target_magnitude).square() * valid).mean(), (lost * valid).mean()
