"""The distance of log-mel spectra: what recognisers hear."""

import numpy as np
import torch
from torch import Tensor

from unhiss.dsp.filter_bank import triangular_filters
from unhiss.train.perceptual_losses import BIN_HZ, BINS

BANDS = 40
FLOOR = 1e-5  # of a band's mean power, where active speech has about one per bin: 50 dB below it nothing counts


class LogMelDistance(torch.nn.Module):
    """Mean absolute difference of the logarithms of 40 mel bands, in nepers (8.7 dB), `(B,)`.

    From spectra `(B, T, 257, 2)` at 16 kHz whose active speech has a power of about one per bin. A decibel counts alike
    in a vowel, in a quiet consonant and in a pause.
    """

    bands: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("bands", torch.from_numpy(mel_bands()))

    def forward(self, estimate: Tensor, clean: Tensor) -> Tensor:
        with torch.autocast(estimate.device.type, enabled=False):
            logs = [torch.log(torch.matmul(s.float().square().sum(-1), self.bands) + FLOOR) for s in (estimate, clean)]
        return (logs[0] - logs[1]).abs().mean((1, 2)) / 2


def mel_bands() -> np.ndarray:
    """`(257, 40)`: triangles of equal width in mel (2595 log10(1 + Hz / 700)) up to 8 kHz, each with the sum one."""
    mel = np.linspace(0, 2595 * np.log10(1 + 8000 / 700), BANDS + 2)
    filters = triangular_filters(700 * (10 ** (mel / 2595) - 1), np.arange(BINS) * BIN_HZ).T
    return np.asarray(filters / filters.sum(0), np.float32)
