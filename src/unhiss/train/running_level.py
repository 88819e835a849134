"""A causal network for which every level is alike: its input is divided by a running level, its output multiplied."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from unhiss.settings import CausalConfig
from unhiss.train.causal import CausalNetwork, reshape

FRAMES = 128  # 2 s: how far back the level looks
DECAY_FRAMES = 62.5  # 1 s: a frame's weight falls by e in this time
BAND = slice(4, 128)  # bins from 125 Hz to 4 kHz: no rumble, and the same at every rate
ATTACK = 1 / 16  # a frame is never more than 12 dB above the level
LEVEL = 100.0  # power of a frame that the network sees on average: that of speech near -25 dBFS
TINY = 1e-16  # power far below that of any recording, so that digital silence is divided by something


class LevelNormalisedNetwork(CausalNetwork):
    """`CausalNetwork` on X / r, times r; r follows the signal's level, so that a gain on X is a gain on the output.

    With p(t) the power of frame t from 125 Hz to 4 kHz, and weights w of sum 1 that fall by a factor of e a second:

        r(t)^2 = max( sum_i w(i) p(t - i), p(t) / 16 ) / LEVEL,    i = 0 ... 127

    The powers of the last 127 frames lie at the end of the state. Silence before the start counts, so r is up to
    12 dB too low at an onset, never too high. It has the weights of a CausalNetwork, and no others.
    """

    weights: Tensor
    floor: Tensor

    def __init__(self, config: CausalConfig) -> None:
        super().__init__(config)
        age = torch.arange(FRAMES - 1, -1, -1)
        weights = torch.exp(-age / DECAY_FRAMES)
        self.register_buffer("weights", (weights / weights.sum() / LEVEL)[None, None], persistent=False)
        self.register_buffer("floor", torch.tensor([TINY / LEVEL]), persistent=False)

    @property
    def state_size(self) -> int:
        return super().state_size + FRAMES - 1

    def forward(self, spectrum: Tensor, state: Tensor | None = None) -> tuple[Tensor, ...]:
        state = self.initial_state(len(spectrum)) if state is None else state
        inner, earlier = torch.split(state, [self.state_size - FRAMES + 1, FRAMES - 1], 1)
        scale, powers = self.scale(spectrum, earlier)
        denoised, inner, *speech = super().forward(spectrum / scale, inner)
        return denoised * scale, torch.cat([inner, powers], 1), *speech

    def scale(self, spectrum: Tensor, earlier: Tensor) -> tuple[Tensor, Tensor]:
        """r `(B, T, 1, 1)`, and the last 127 powers `(B, 127)`, from spectra and the powers before them."""
        with torch.autocast(spectrum.device.type, enabled=False):
            band = spectrum[:, :, BAND]
            power = reshape((band * band).sum((2, 3), keepdim=True), 0, 1, -1)
            powers = torch.cat([reshape(earlier, 0, 1, -1), power], 2)
            square = torch.maximum(functional.conv1d(powers, self.weights, self.floor), power * (ATTACK / LEVEL))
            return reshape(torch.sqrt(square), 0, -1, 1, 1), reshape(powers[:, :, 1 - FRAMES :], 0, -1)
