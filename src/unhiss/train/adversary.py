"""Critics that learn to tell cleaned speech from clean, and the pull of what they still notice on the model."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from unhiss.train.causal_batches import CausalBatch
from unhiss.train.grid import SCALE
from unhiss.train.losses import low_sound

RATE = 16000
WINDOWS = (1024, 512, 256)  # samples: pitch, formants, onsets
CHANNELS = 16
HEARD_S = 0.5  # of each example, from anywhere in it; a verdict is on a tenth of a second
POWER = 0.3
FEATURES = 2.0  # weight of the layers' differences beside the verdict's, as in HiFi-GAN
LR, BETAS = 2e-4, (0.8, 0.99)


class Critic(nn.Module):
    """Sound `(B, L)` at 16 kHz -> the outputs of each layer; the last is a verdict on each patch, 1 for clean.

    Convolutions over a compressed spectrogram (multi-resolution discriminator, Jang et al. 2021,
    arXiv 2106.07889).
    """

    def __init__(self, window: int) -> None:
        super().__init__()
        self.size = window
        self.layers = nn.ModuleList(
            [
                _convolution(1, CHANNELS, 9),
                *(_convolution(CHANNELS, CHANNELS, 9, 2) for _ in range(3)),
                _convolution(CHANNELS, CHANNELS, 3),
                _convolution(CHANNELS, 1, 3),
            ]
        )

    def forward(self, sound: Tensor) -> list[Tensor]:
        with torch.autocast(sound.device.type, enabled=False):
            window = torch.hann_window(self.size, device=sound.device)
            spectrum = torch.stft(
                sound, self.size, self.size // 4, window=window, center=False, normalized=True, return_complex=True
            )
            power = torch.view_as_real(spectrum).square().sum(-1)
            x = ((power + 1e-6) ** (POWER / 2)).transpose(1, 2)[:, None]
        found = []
        for number, layer in enumerate(self.layers, 1):
            x = layer(x)
            found.append(x)
            x = functional.leaky_relu(x, 0.2) if number < len(self.layers) else x
        return found


def _convolution(inside: int, outside: int, width: int, stride: int = 1) -> nn.Module:
    """Over three frames and `width` bins."""
    layer = nn.Conv2d(inside, outside, (3, width), stride=(1, stride), padding=(1, width // 2))
    made: nn.Module = weight_norm(layer)
    return made


class Adversary(nn.Module):
    """The critics, and what they and the model minimise."""

    def __init__(self) -> None:
        super().__init__()
        self.critics = nn.ModuleList(Critic(window) for window in WINDOWS)

    def heard(self, estimate: Tensor, batch: CausalBatch) -> tuple[Tensor, Tensor]:
        """cleaned, clean: the same stretch of both as sound at 16 kHz, active speech at an RMS of about one."""
        gain = batch.loudness[..., 0, 0] * (SCALE / 2) ** 0.5
        known = batch.heard[:, :, :257]
        sounds = [low_sound(spectrum[:, :, :257] * known) * gain for spectrum in (estimate, batch.clean)]
        length = int(HEARD_S * RATE)
        start = int(torch.randint(max(1, sounds[0].shape[-1] - length + 1), (1,)))
        cleaned, clean = (sound[:, start : start + length] for sound in sounds)
        return cleaned, clean

    def lesson(self, cleaned: Tensor, clean: Tensor) -> Tensor:
        """What the critics minimise: least squares to 1 on clean speech, to 0 on cleaned."""
        judged = [(critic(clean)[-1].float(), critic(cleaned)[-1].float()) for critic in self.critics]
        return torch.stack([(a - 1).square().mean() + b.square().mean() for a, b in judged]).sum()

    def pull(self, cleaned: Tensor, clean: Tensor) -> Tensor:
        """What the model minimises: the verdict's distance from clean, and that of every layer below."""
        total = []
        for critic in self.critics:
            with torch.no_grad():
                wanted = critic(clean)
            found = critic(cleaned)
            total.append((found[-1].float() - 1).square().mean())
            total += [
                FEATURES * (a.float() - b.float()).abs().mean() for a, b in zip(found[:-1], wanted[:-1], strict=True)
            ]
        return torch.stack(total).sum()


def joined(loss: Tensor, pull: Tensor, estimate: Tensor, share: float) -> Tensor:
    """Gradient by `estimate` of the loss, and of the pull made `share` as long as that (Defossez et al. 2022,
    arXiv 2210.13438, section 3.4): however the critics fare, neither drowns the other."""
    (own,) = torch.autograd.grad(loss, estimate)
    (other,) = torch.autograd.grad(pull, estimate)
    return own + other * (share * own.norm() / other.norm().clamp(min=1e-12))
