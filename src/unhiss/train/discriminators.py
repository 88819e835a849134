"""Adversarial training: networks that learn to tell denoised speech from clean, and the losses on both sides."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from unhiss.train.causal_batches import CausalBatch
from unhiss.train.losses import LOW_BINS, low_band_audio, sample_gain
from unhiss.train.stft import SCALE, power_spectrogram

RATE = 16000
WINDOWS = (1024, 512, 256)  # samples: pitch, formants, onsets
# Convolutions over three frames: channels in and out, bins, stride over bins.
LAYERS = ((1, 16, 9, 1), (16, 16, 9, 2), (16, 16, 9, 2), (16, 16, 9, 2), (16, 16, 3, 1), (16, 1, 3, 1))
SEGMENT_S = 0.5  # of each example, from a random position; an output covers a tenth of a second
POWER = 0.3
FEATURE_WEIGHT = 2.0  # of the feature-matching loss, as in HiFi-GAN
LR, BETAS = 2e-4, (0.8, 0.99)


class SpectrogramDiscriminator(nn.Module):
    """Audio `(B, T)` at 16 kHz -> the outputs of each layer; the last scores each patch, 1 for clean.

    Convolutions over a compressed spectrogram (multi-resolution discriminator, Jang et al. 2021,
    arXiv 2106.07889).
    """

    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(inputs, outputs, (3, bins), stride=(1, stride), padding=(1, bins // 2)))
            for inputs, outputs, bins, stride in LAYERS
        )

    def forward(self, audio: Tensor) -> list[Tensor]:
        with torch.autocast(audio.device.type, enabled=False):
            power = power_spectrogram(audio, self.window, self.window // 4) / self.window
            x = ((power + 1e-6) ** (POWER / 2))[:, None]
        outputs = []
        for number, layer in enumerate(self.layers, 1):
            x = layer(x)
            outputs.append(x)
            x = functional.leaky_relu(x, 0.2) if number < len(self.layers) else x
        return outputs


class Discriminator(nn.Module):
    """One spectrogram discriminator for each window length, and the losses of both sides."""

    def __init__(self) -> None:
        super().__init__()
        self.resolutions = nn.ModuleList(SpectrogramDiscriminator(window) for window in WINDOWS)

    def segments(self, estimate: Tensor, batch: CausalBatch) -> tuple[Tensor, Tensor]:
        """denoised, clean: the same random segment of both, at 16 kHz, active speech at an RMS of about one."""
        gain = sample_gain(batch.gain) * (SCALE / 2) ** 0.5
        valid = batch.valid_bins[:, :, :LOW_BINS]
        denoised, clean = (low_band_audio(s[:, :, :LOW_BINS] * valid) * gain for s in (estimate, batch.clean))
        length = int(SEGMENT_S * RATE)
        start = int(torch.randint(max(1, denoised.shape[-1] - length + 1), (1,)))
        return denoised[:, start : start + length], clean[:, start : start + length]

    def discriminator_loss(self, denoised: Tensor, clean: Tensor) -> Tensor:
        """Least squares: scores of clean speech to 1, of denoised speech to 0."""
        scores = [(network(clean)[-1].float(), network(denoised)[-1].float()) for network in self.resolutions]
        return torch.stack([(real - 1).square().mean() + fake.square().mean() for real, fake in scores]).sum()

    def generator_loss(self, denoised: Tensor, clean: Tensor) -> Tensor:
        """Least squares: scores of denoised speech to 1; plus the difference of all features below the score."""
        losses = []
        for network in self.resolutions:
            with torch.no_grad():
                *targets, _ = network(clean)
            *features, score = network(denoised)
            losses.append((score.float() - 1).square().mean())
            losses += [
                FEATURE_WEIGHT * (feature.float() - target.float()).abs().mean()
                for feature, target in zip(features, targets, strict=True)
            ]
        return torch.stack(losses).sum()


def balanced_gradient(loss: Tensor, generator_loss: Tensor, estimate: Tensor, weight: float) -> Tensor:
    """Gradient by `estimate` of the loss plus that of the generator loss, scaled to `weight` times its norm.

    Neither side drowns the other, however well the discriminators do (Defossez et al. 2022, arXiv 2210.13438, 3.4).
    """
    (gradient,) = torch.autograd.grad(loss, estimate)
    (adversarial,) = torch.autograd.grad(generator_loss, estimate)
    balanced: Tensor = gradient + adversarial * (weight * gradient.norm() / adversarial.norm().clamp(min=1e-12))
    return balanced
