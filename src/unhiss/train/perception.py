"""What the ear makes of a difference: losses near PESQ and STOI, smooth enough to train on."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from unhiss.train.grid import SCALE

BIN_HZ, BINS = 31.25, 257  # of spectra at 16 kHz
BARKS = 49
LISTENED = 1e7  # mean square, in 16-bit steps, that P.862 brings 325 to 3250 Hz to
DENSITY = 54 * 6.91e-6 * 0.75  # from |X|^2 to the power P.862 reckons with; its window is Hann's, ours the root
LOUDNESS = 0.1866
# Threshold of hearing as P.862 has it, (Hz, dB), and the exponent of Zwicker's law.
THRESHOLD_HZ = [30, 64, 96, 129, 162, 196, 265, 336, 485, 785, 1130, 2000, 3500, 5000, 6000, 7800]
THRESHOLD_DB = [64, 48.5, 37, 31, 26, 20, 12.5, 7, 0, -5.3, -6, -4, -3, -3.7, -4.4, -2.7]
ZWICKER = 0.23
SPELL, SPELLS_APART = 20, 10  # frames that are judged by their worst
SEGMENT = 24  # frames, 384 ms, over which STOI compares envelopes


class Perception(torch.nn.Module):
    """Two distances `(B,)` between spectra `(B, T, 257, 2)` at 16 kHz.

    disturbance: how many points of MOS PESQ would take off (ITU-T P.862, as in Martin-Donas et al. 2018,
    doi 10.1109/LSP.2018.2871419): Bark bands, level and response made equal, Zwicker's loudness, what is added
    counted more than what is missing, the worst of each third of a second. No time alignment.
    unlikeness: one minus the correlation of third-octave envelopes over 384 ms (STOI without its clipping,
    Taal et al. 2011, doi 10.1109/TASL.2011.2114881).
    """

    bands: Tensor
    threshold: Tensor
    exponent: Tensor
    thirds: Tensor

    def __init__(self) -> None:
        super().__init__()
        bands, hz, self.width = _bark_bands()
        self.register_buffer("bands", torch.from_numpy(bands))
        threshold_db = np.interp(np.log(hz), np.log(THRESHOLD_HZ), THRESHOLD_DB)
        self.register_buffer("threshold", torch.from_numpy(10 ** (threshold_db / 10)).float())
        power = ZWICKER * np.clip(6 / (_bark(hz) + 2), 1, 2) ** 0.15
        self.register_buffer("exponent", torch.from_numpy(power).float())
        self.register_buffer("thirds", torch.from_numpy(_third_octaves()))

    def forward(self, estimate: Tensor, clean: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(estimate.device.type, enabled=False):
            powers = [spectrum.float().square().sum(-1) for spectrum in (estimate, clean)]
            return self.disturbance(*powers), self.unlikeness(*powers)

    def disturbance(self, estimate: Tensor, clean: Tensor) -> Tensor:
        """From powers `(B, T, 257)`."""
        heard, wanted = (self._barks(power) for power in (estimate, clean))
        speech = self._audible(wanted, 100).sum(-1, keepdim=True) > LISTENED
        means = [(self._audible(power, 100) * speech).mean(1, keepdim=True) for power in (heard, wanted)]
        wanted = wanted * ((means[0] + 1000) / (means[1] + 1000)).clamp(0.01, 100)
        loud, quiet = (self._audible(power, 1).sum(-1, keepdim=True) + 5e3 for power in (wanted, heard))
        ratio = loud / quiet
        ratio = torch.cat([ratio[:, :1], 0.8 * ratio[:, 1:] + 0.2 * ratio[:, :-1]], 1).clamp(3e-4, 5)
        heard = heard * ratio
        now, then = self._loudness(heard), self._loudness(wanted)
        difference = now - then
        difference = torch.sign(difference) * (difference.abs() - 0.25 * torch.minimum(now, then)).clamp(min=0)
        added = ((heard + 50) / (wanted + 50)) ** 1.2
        added = torch.where(added < 3, torch.zeros_like(added), added.clamp(max=12))
        total = self.width * (BARKS - 1)
        both = total**0.5 * self.width * (difference[..., 1:].square().sum(-1) + 1e-8).sqrt()
        more = self.width * (difference * added)[..., 1:].abs().sum(-1)
        weight = ((self._audible(wanted, 1).sum(-1) + 1e5) / 1e7) ** 0.04
        return 0.1 * _worst((both / weight).clamp(max=45)) + 0.0309 * _worst((more / weight).clamp(max=45))

    def unlikeness(self, estimate: Tensor, clean: Tensor) -> Tensor:
        """From powers `(B, T, 257)`."""
        heard, wanted = (torch.matmul(power, self.thirds).clamp(min=1e-10).sqrt() for power in (estimate, clean))
        usual = wanted.square().mean(1)[:, None] * SEGMENT
        heard, wanted = (envelope.unfold(1, SEGMENT, SEGMENT // 4) for envelope in (heard, wanted))
        heard, wanted = (cut - cut.mean(-1, keepdim=True) for cut in (heard, wanted))
        # Where speech is far quieter than usual, nobody asks how its envelope went.
        weight = wanted.square().sum(-1)
        weight = weight / (weight + 1e-3 * usual + 1e-12)
        sizes = [(cut.square().sum(-1) + 1e-12).sqrt() for cut in (heard, wanted)]
        alike = (heard * wanted).sum(-1) / (sizes[0] * sizes[1])
        return (weight * (1 - alike)).sum((1, 2)) / weight.sum((1, 2)).clamp(min=1)

    def _barks(self, power: Tensor) -> Tensor:
        """Power in 49 Bark bands of sound brought to the level that is listened at."""
        listened = power[..., 10:105].sum(-1).mean(-1)[:, None, None] * 2 / (SCALE * SCALE / 2)
        return torch.matmul(power, self.bands) * (LISTENED / listened.clamp(min=1e-12))

    def _audible(self, power: Tensor, factor: float) -> Tensor:
        return power * (power > factor * self.threshold)

    def _loudness(self, power: Tensor) -> Tensor:
        over = (0.5 + 0.5 * power.clamp(min=self.threshold) / self.threshold) ** self.exponent - 1
        return LOUDNESS * (2 * self.threshold) ** self.exponent * over


def _worst(frames: Tensor) -> Tensor:
    """`(B, T)` -> `(B,)`: L6 over spells of a third of a second, L2 over those."""
    spells = frames.clamp(min=1e-6).unfold(1, SPELL, SPELLS_APART).pow(6).mean(-1).pow(1 / 6)
    return spells.square().mean(-1).sqrt()


def _bark(hz: np.ndarray) -> np.ndarray:
    """Traunmueller 1990, doi 10.1121/1.399849."""
    return 26.81 / (1 + 1960 / hz) - 0.53


def _bark_bands() -> tuple[np.ndarray, np.ndarray, float]:
    """Weights `(257, 49)` of bins in bands of equal width in Bark, the bands' centres in Hz, and the width."""
    ends = np.linspace(0, float(_bark(np.array(8000.0))), BARKS + 1)
    edges = 1960 / (26.81 / (ends + 0.53) - 1)
    edges[0] = 20.0
    low, high = edges[:-1], edges[1:]
    bins = np.arange(BINS)[:, None] * BIN_HZ
    share = (np.minimum(bins + BIN_HZ / 2, high) - np.maximum(bins - BIN_HZ / 2, low)).clip(0) / BIN_HZ
    share *= DENSITY * _high_pass(bins)
    return share.astype(np.float32), np.sqrt(low * high), float(ends[1])


def _high_pass(hz: np.ndarray) -> np.ndarray:
    """|H|^2 of the filter that P.862.2 puts before wide-band sound."""
    z = np.exp(-2j * math.pi * hz / 16000)
    return np.abs((2.740826 * (1 - 2 * z + z * z)) / (1 - 1.9444777 * z + 0.94597794 * z * z)) ** 2


def _third_octaves() -> np.ndarray:
    """Ones `(257, 15)` where a bin lies in a third of an octave, from 150 Hz."""
    centres = 150 * 2 ** (np.arange(15) / 3)
    hz = np.arange(BINS)[:, None] * BIN_HZ
    return ((hz >= centres * 2 ** (-1 / 6)) & (hz < centres * 2 ** (1 / 6))).astype(np.float32)
