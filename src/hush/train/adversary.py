"""Critics that learn to tell cleaned speech from clean, and the pull of what they still notice on the model."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from hush.train.causal_batches import CausalBatch
from hush.train.grid import SCALE
from hush.train.losses import low_sound

Learner = Callable[[Tensor], None]  # takes one step that makes this smaller

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
    """The critics and their optimiser."""

    def __init__(self) -> None:
        super().__init__()
        self.critics = nn.ModuleList(Critic(window) for window in WINDOWS)

    def gradient(self, estimate: Tensor, batch: CausalBatch, loss: Tensor, share: float, learn: Learner) -> Tensor:
        """Gradient by `estimate` of the loss and of the pull, after the critics have learned from this batch.

        The pull is made `share` as long as the loss's own gradient (Defossez et al. 2022, arXiv 2210.13438,
        section 3.4): however the critics fare, neither drowns the other.
        """
        heard = batch.heard[:, :, :257]
        gain = batch.loudness[..., 0, 0] * (SCALE / 2) ** 0.5  # active speech at an RMS of about one
        cleaned, clean = _stretch(
            *(low_sound(spectrum[:, :, :257] * heard) * gain for spectrum in (estimate, batch.clean))
        )
        learn(self.lesson(cleaned.detach(), clean))
        (own,) = torch.autograd.grad(loss, estimate, retain_graph=True)
        (other,) = torch.autograd.grad(self.pull(cleaned, clean), estimate)
        return own + other * (share * own.norm() / other.norm().clamp(min=1e-12))

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


def _stretch(*sounds: Tensor) -> tuple[Tensor, ...]:
    """The same stretch of each `(B, L)`."""
    length = int(HEARD_S * RATE)
    start = int(torch.randint(max(1, sounds[0].shape[-1] - length + 1), (1,)))
    return tuple(sound[:, start : start + length] for sound in sounds)
