"""Distances near PESQ and STOI, smooth enough to train on."""

import math

import numpy as np
import torch
from torch import Tensor

from unhiss.train.stft import SCALE

BIN_HZ, BINS = 31.25, 257  # of spectra at 16 kHz
BARKS = 49
LISTENING_POWER = 1e7  # mean square, in 16-bit steps, that P.862 brings 325 to 3250 Hz to
DENSITY = 54 * 6.91e-6 * 0.75  # from |X|^2 to the power in P.862; its window is Hann's, ours the root
LOUDNESS = 0.1866
# Threshold of hearing in P.862, (Hz, dB), and the exponent of Zwicker's law.
THRESHOLD_HZ = [30, 64, 96, 129, 162, 196, 265, 336, 485, 785, 1130, 2000, 3500, 5000, 6000, 7800]
THRESHOLD_DB = [64, 48.5, 37, 31, 26, 20, 12.5, 7, 0, -5.3, -6, -4, -3, -3.7, -4.4, -2.7]
ZWICKER = 0.23
INTERVAL, INTERVAL_HOP = 20, 10  # frames that are judged by their worst
SEGMENT = 24  # frames, 384 ms, over which STOI compares envelopes


class PerceptualDistances(torch.nn.Module):
    """(PESQ distance, STOI distance), `(B,)` each, between spectra `(B, T, 257, 2)` at 16 kHz.

    pesq: the points of MOS that PESQ would take off (ITU-T P.862, as in Martin-Donas et al. 2018,
    doi 10.1109/LSP.2018.2871419): Bark bands, level and response equalised, Zwicker's loudness, additions
    weighted more than losses, the worst of each third of a second. No time alignment.
    stoi: one minus the correlation of third-octave envelopes over 384 ms (STOI without its clipping,
    Taal et al. 2011, doi 10.1109/TASL.2011.2114881).
    """

    bands: Tensor
    threshold: Tensor
    exponent: Tensor
    third_octaves: Tensor

    def __init__(self) -> None:
        super().__init__()
        bands, hz, self.width = _bark_bands()
        self.register_buffer("bands", torch.from_numpy(bands))
        threshold_db = np.interp(np.log(hz), np.log(THRESHOLD_HZ), THRESHOLD_DB)
        self.register_buffer("threshold", torch.from_numpy(10 ** (threshold_db / 10)).float())
        exponent = ZWICKER * np.clip(6 / (_bark(hz) + 2), 1, 2) ** 0.15
        self.register_buffer("exponent", torch.from_numpy(exponent).float())
        self.register_buffer("third_octaves", torch.from_numpy(_third_octaves()))

    def forward(self, estimate: Tensor, clean: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(estimate.device.type, enabled=False):
            powers = [spectrum.float().square().sum(-1) for spectrum in (estimate, clean)]
            return self.pesq_distance(*powers), self.stoi_distance(*powers)

    def pesq_distance(self, estimate: Tensor, clean: Tensor) -> Tensor:
        """`(B,)` from powers `(B, T, 257)`."""
        estimate, clean = self._equalised(*(self._bark_powers(power) for power in (estimate, clean)))
        loudness, clean_loudness = self._loudness(estimate), self._loudness(clean)
        difference = loudness - clean_loudness
        masked = 0.25 * torch.minimum(loudness, clean_loudness)
        difference = torch.sign(difference) * (difference.abs() - masked).clamp(min=0)
        asymmetry = ((estimate + 50) / (clean + 50)) ** 1.2
        asymmetry = torch.where(asymmetry < 3, torch.zeros_like(asymmetry), asymmetry.clamp(max=12))
        total_width = self.width * (BARKS - 1)
        symmetric = total_width**0.5 * self.width * (difference[..., 1:].square().sum(-1) + 1e-8).sqrt()
        asymmetric = self.width * (difference * asymmetry)[..., 1:].abs().sum(-1)
        weight = ((self._audible(clean, 1).sum(-1) + 1e5) / 1e7) ** 0.04
        symmetric, asymmetric = ((frames / weight).clamp(max=45) for frames in (symmetric, asymmetric))
        return 0.1 * _aggregate(symmetric) + 0.0309 * _aggregate(asymmetric)

    def _equalised(self, estimate: Tensor, clean: Tensor) -> tuple[Tensor, Tensor]:
        """Bark powers with the clean one's response and the estimate's level, frame by frame, brought to each other."""
        speech = self._audible(clean, 100).sum(-1, keepdim=True) > LISTENING_POWER
        means = [(self._audible(power, 100) * speech).mean(1, keepdim=True) for power in (estimate, clean)]
        clean = clean * ((means[0] + 1000) / (means[1] + 1000)).clamp(0.01, 100)
        clean_level, level = (self._audible(power, 1).sum(-1, keepdim=True) + 5e3 for power in (clean, estimate))
        ratio = clean_level / level
        ratio = torch.cat([ratio[:, :1], 0.8 * ratio[:, 1:] + 0.2 * ratio[:, :-1]], 1).clamp(3e-4, 5)
        return estimate * ratio, clean

    def stoi_distance(self, estimate: Tensor, clean: Tensor) -> Tensor:
        """`(B,)` from powers `(B, T, 257)`."""
        envelopes = [torch.matmul(power, self.third_octaves).clamp(min=1e-10).sqrt() for power in (estimate, clean)]
        average = envelopes[1].square().mean(1)[:, None] * SEGMENT
        segments = [envelope.unfold(1, SEGMENT, SEGMENT // 4) for envelope in envelopes]
        estimate, clean = (segment - segment.mean(-1, keepdim=True) for segment in segments)
        # Where speech is far quieter than on average, its envelope does not count.
        weight = clean.square().sum(-1)
        weight = weight / (weight + 1e-3 * average + 1e-12)
        norms = [(segment.square().sum(-1) + 1e-12).sqrt() for segment in (estimate, clean)]
        correlation = (estimate * clean).sum(-1) / (norms[0] * norms[1])
        return (weight * (1 - correlation)).sum((1, 2)) / weight.sum((1, 2)).clamp(min=1)

    def _bark_powers(self, power: Tensor) -> Tensor:
        """Power in 49 Bark bands, brought to P.862's listening level."""
        mean = power[..., 10:105].sum(-1).mean(-1)[:, None, None] * 2 / (SCALE * SCALE / 2)
        return torch.matmul(power, self.bands) * (LISTENING_POWER / mean.clamp(min=1e-12))

    def _audible(self, power: Tensor, factor: float) -> Tensor:
        """Powers above `factor` times the threshold of hearing, else zero."""
        return power * (power > factor * self.threshold)

    def _loudness(self, power: Tensor) -> Tensor:
        excess = (0.5 + 0.5 * power.clamp(min=self.threshold) / self.threshold) ** self.exponent - 1
        return LOUDNESS * (2 * self.threshold) ** self.exponent * excess


def _aggregate(frames: Tensor) -> Tensor:
    """`(B, T)` -> `(B,)`: L6 norm over intervals of a third of a second, L2 norm over those."""
    intervals = frames.clamp(min=1e-6).unfold(1, INTERVAL, INTERVAL_HOP).pow(6).mean(-1).pow(1 / 6)
    return intervals.square().mean(-1).sqrt()


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
    overlap = (np.minimum(bins + BIN_HZ / 2, high) - np.maximum(bins - BIN_HZ / 2, low)).clip(0) / BIN_HZ
    overlap *= DENSITY * _high_pass(bins)
    return overlap.astype(np.float32), np.sqrt(low * high), float(ends[1])


def _high_pass(hz: np.ndarray) -> np.ndarray:
    """|H|^2 of the input filter of P.862.2 for wide-band audio."""
    z = np.exp(-2j * math.pi * hz / 16000)
    power: np.ndarray = np.abs((2.740826 * (1 - 2 * z + z * z)) / (1 - 1.9444777 * z + 0.94597794 * z * z)) ** 2
    return power


def _third_octaves() -> np.ndarray:
    """`(257, 15)`: 1 where a bin lies in a third-octave band, from 150 Hz."""
    centres = 150 * 2 ** (np.arange(15) / 3)
    hz = np.arange(BINS)[:, None] * BIN_HZ
    return ((hz >= centres * 2 ** (-1 / 6)) & (hz < centres * 2 ** (1 / 6))).astype(np.float32)
