"""Recipes -> batches of spectra for the causal models, mixed and varied on the device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unhiss.config import Experiment
from unhiss.data.mixing import Recipe
from unhiss.data.store import FULL_SCALE, Store
from unhiss.media.codecs import CODECS, Codec
from unhiss.train import grid, variations
from unhiss.train.mixtures import Mixtures, mix, send
from unhiss.train.rooms import responses, reverberate
from unhiss.train.variations import faster

BIN_HZ = 1 / grid.WINDOW_S
VOICES = (3, 7)  # of babble
CHILD = (1.2, 1.7)  # how much faster, thus higher, a grown-up's voice is played
ROOMS = 48  # made anew at each start, in about ten seconds
EQ_POINTS = 9  # of a random response, evenly over log frequency from 60 Hz


@dataclass(frozen=True)
class CausalBatch:
    """noisy, clean: real spectra `(B, T, F, 2)` as the model gets them (levels as recorded).

    loudness `(B, 1, 1, 1)`: factor that brings active speech to about one per bin. heard `(B, 1, F, 1)`:
    1 where the clean recording holds what it should, 0 above its bandwidth, where nobody knows.
    """

    noisy: Tensor
    clean: Tensor
    loudness: Tensor
    heard: Tensor

    def __len__(self) -> int:
        return len(self.noisy)


class CausalBatches(Mixtures):
    """Batches of spectra of some seconds, each example varied in its own way."""

    def __init__(self, store: Store, split: str, experiment: Experiment, device: torch.device) -> None:
        self.rate = experiment.causal.sample_rate
        hop = round(self.rate * grid.HOP_S)
        length = int(experiment.causal.segment_s * self.rate) // hop * hop
        super().__init__(store, split, experiment, device, length)
        if experiment.augment.reverb:
            self.rooms = responses(ROOMS, self.rate, experiment.train.seed).to(device)

    def batch(self, epoch: int, number: int, size: int) -> CausalBatch:
        rng = self.rng(epoch, number)
        recipes = self.recipes(rng, epoch, number, size)
        size = len(recipes)
        speeds = variations.speeds(self.rng(epoch, number, "speeds"), self.experiment.augment, size, self.split)
        noisy, clean = self._played(recipes, speeds)
        self._gate(rng, noisy, clean)
        self._babble(rng, recipes, noisy, clean)
        self._reverberate(rng, noisy, clean)
        self._overdrive(rng, noisy)
        speech, noise = grid.analyse(clean, self.rate), grid.analyse(noisy - clean, self.rate)
        bins = speech.shape[2]
        speech = speech * self._response(rng, size, bins)
        noise = noise * self._response(rng, size, bins)
        codecs = self._codecs(rng, size)
        width = torch.from_numpy(self._band_limits(rng, codecs, size))
        below = (torch.arange(bins) * BIN_HZ <= width[:, None]).float().to(self.device)[:, None, :, None]
        speech, noise = speech * below, noise * below
        mixture = self._encoded(rng, speech + noise, codecs)
        level = np.array([10 ** (recipe.level_dbfs / 20) for recipe in recipes])
        loudness = send((1 / (level * (grid.SCALE / 2) ** 0.5)).astype(np.float32), self.device)
        return CausalBatch(mixture, speech, loudness[:, None, None, None], self._heard(recipes, speeds[0], bins))

    def _played(self, recipes: list[Recipe], speeds: np.ndarray) -> tuple[Tensor, Tensor]:
        """noisy, clean `(B, length)`; speeds `(2, B)` of speech and noise."""
        if (speeds == 1).all():
            return mix(recipes, self.speech, self.noise, self.length)
        noisy, clean = mix(recipes, self.speech, self.noise, int(self.length * speeds.max()) + 4)
        noise = faster(noisy - clean, speeds[1], self.length)
        clean = faster(clean, speeds[0], self.length)
        return clean + noise, clean

    def _gate(self, rng: np.random.Generator, noisy: Tensor, clean: Tensor) -> None:
        """Some noise comes and goes."""
        for row in np.flatnonzero(rng.random(len(noisy)) < self.experiment.augment.gate):
            gains = send(variations.gate(rng, self.length, self.rate), self.device)
            noisy[row] = clean[row] + gains * (noisy[row] - clean[row])

    def _babble(self, rng: np.random.Generator, recipes: list[Recipe], noisy: Tensor, clean: Tensor) -> None:
        """In some examples the noise is other people, some of them played faster: children."""
        chosen = rng.random(len(recipes)) < self.experiment.augment.babble
        rows = [int(row) for row in np.flatnonzero(chosen) if any(recipes[row].noise_gains)]
        crowd = [(row, *self._voice(rng)) for row in rows for _ in range(rng.integers(*VOICES))]
        if not crowd:
            return
        owners, cuts, speeds = zip(*crowd, strict=True)
        found = self.speech.take(list(cuts), int(self.length * max(speeds)) + 4, True)
        found = faster(found, np.array(speeds), self.length)
        voices = torch.zeros_like(noisy).index_add_(0, send(np.array(owners), self.device), found)[rows]
        levels = np.array([10 ** ((recipes[row].level_dbfs - recipes[row].snr_db) / 20) for row in rows])
        gains = send(levels.astype(np.float32), self.device) / voices.square().mean(-1).sqrt().clamp(min=1e-5)
        noisy[rows] = clean[rows] + voices * gains[:, None]

    def _voice(self, rng: np.random.Generator) -> tuple[tuple[int, int, float], float]:
        """One of a babble: what to cut of the speech, and how fast it is played."""
        voice = int(rng.integers(len(self.mixer.speech)))
        gain = 10 ** ((rng.uniform(-12, 0) - self.mixer.speech[voice].level_dbfs) / 20) / FULL_SCALE
        speed = rng.uniform(*CHILD) if rng.random() < 0.4 else 1.0
        return (voice, int(rng.integers(1 << 20)), gain), speed

    def _reverberate(self, rng: np.random.Generator, noisy: Tensor, clean: Tensor) -> None:
        """Some examples happen in a room; its sound on the speech is kept, not taken for noise."""
        chosen = rng.random(len(noisy)) < self.experiment.augment.reverb
        rows = np.flatnonzero(chosen)
        if rows.size:
            room = self.rooms[rng.integers(ROOMS, size=rows.size)]
            noise = reverberate(noisy[rows] - clean[rows], room[:, 1])
            clean[rows] = reverberate(clean[rows], room[:, 0])
            noisy[rows] = clean[rows] + noise

    def _overdrive(self, rng: np.random.Generator, noisy: Tensor) -> None:
        for row in np.flatnonzero(rng.random(len(noisy)) < self.experiment.augment.clip):
            ceiling = noisy[row].abs().max() * rng.uniform(0.25, 0.9)
            noisy[row].clamp_(-ceiling, ceiling)

    def _response(self, rng: np.random.Generator, size: int, bins: int) -> Tensor:
        """Smooth random gains `(B, 1, F, 1)` within ± eq_db."""
        points = rng.uniform(-1, 1, (size, EQ_POINTS)) * self.experiment.augment.eq_db
        place = np.log(np.maximum(np.arange(bins) * BIN_HZ, 60) / 60) / np.log(24000 / 60) * (EQ_POINTS - 1)
        curves = np.stack([np.interp(place, np.arange(EQ_POINTS), row) for row in points])
        return send((10 ** (curves / 20)).astype(np.float32), self.device)[:, None, :, None]

    def _codecs(self, rng: np.random.Generator, size: int) -> dict[int, Codec]:
        """Which rows are encoded, and how."""
        rows = np.flatnonzero(rng.random(size) < self.experiment.augment.codec)
        return {int(row): CODECS[rng.integers(len(CODECS))] for row in rows}

    def _band_limits(self, rng: np.random.Generator, codecs: dict[int, Codec], size: int) -> np.ndarray:
        """Where each mixture ends, in Hz; most end nowhere."""
        limits = np.exp(rng.uniform(np.log(3400), np.log(16000), size))
        limits = np.where(rng.random(size) < self.experiment.augment.band_limit, limits, np.inf)
        for row, codec in codecs.items():
            limits[row] = min(limits[row], codec.width_hz)
        return limits

    def _encoded(self, rng: np.random.Generator, mixture: Tensor, codecs: dict[int, Codec]) -> Tensor:
        """Mixtures of which some went through a codec; the clean speech did not: what a codec adds is noise."""
        for row, codec in codecs.items():
            audio = grid.synthesise(mixture[row : row + 1], self.rate)[0]
            heard = codec(audio.cpu().numpy(), self.rate, rng.uniform(0.2, 0.9))
            mixture[row] = grid.analyse(torch.from_numpy(heard)[None], self.rate)[0].to(self.device)
        return mixture

    def _heard(self, recipes: list[Recipe], speeds: np.ndarray, bins: int) -> Tensor:
        width = [self.mixer.speech[r.speech].bandwidth_hz if r.speech_gain else np.inf for r in recipes]
        # Under the very edge of its band a recording fades already.
        inside = np.arange(bins) * BIN_HZ <= np.maximum(0.95 * (np.array(width) * speeds)[:, None], 3400)
        return send(inside.astype(np.float32), self.device)[:, None, :, None]
