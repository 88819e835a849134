"""Recipes -> batches of spectra for the causal models, mixed and varied on the device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hush.config import Experiment
from hush.data.mixing import Mixer, Recipe
from hush.data.store import FULL_SCALE, Store
from hush.train import grid
from hush.train.batches import Pool, mix, send
from hush.train.rooms import responses, reverberate

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


class CausalBatches:
    """Batches of one split. Batch number n of an epoch is decided by (seed, epoch, n) alone."""

    def __init__(self, store: Store, split: str, experiment: Experiment, device: torch.device) -> None:
        self.experiment, self.split, self.device = experiment, split, device
        self.rate = experiment.causal.sample_rate
        self.mixer = Mixer(store, split, experiment.mixing)
        self.speech = Pool(store, self.mixer.speech, device)
        self.noise = Pool(store, self.mixer.noise, device)
        if experiment.augment.reverb:
            self.rooms = responses(ROOMS, self.rate, experiment.train.seed).to(device)
        hop = round(self.rate * grid.HOP_S)
        self.length = int(experiment.causal.segment_s * self.rate) // hop * hop

    def batch(self, epoch: int, number: int, size: int) -> CausalBatch:
        config = self.experiment
        epoch = epoch if config.mixing.fresh else 0
        rng = np.random.default_rng([config.train.seed, epoch, number, int(self.split == "valid")])
        recipes = self.mixer.draw(rng, size, self.length)
        noisy, clean = mix(recipes, self.speech, self.noise, self.length)
        self._babble(rng, recipes, noisy, clean)
        self._reverberate(rng, noisy, clean)
        self._overdrive(rng, noisy)
        speech, noise = grid.analyse(clean, self.rate), grid.analyse(noisy - clean, self.rate)
        bins = speech.shape[2]
        speech = speech * self._response(rng, size, bins)
        noise = noise * self._response(rng, size, bins)
        width = torch.from_numpy(self._band_limits(rng, size))
        below = (torch.arange(bins) * BIN_HZ <= width[:, None]).float().to(self.device)[:, None, :, None]
        speech, noise = speech * below, noise * below
        level = np.array([10 ** (recipe.level_dbfs / 20) for recipe in recipes])
        loudness = send((1 / (level * (grid.SCALE / 2) ** 0.5)).astype(np.float32), self.device)
        return CausalBatch(speech + noise, speech, loudness[:, None, None, None], self._heard(recipes, bins))

    def _babble(self, rng: np.random.Generator, recipes: list[Recipe], noisy: Tensor, clean: Tensor) -> None:
        """In some examples the noise is other people, some of them played faster: children."""
        share = self.experiment.augment.babble
        for row, (recipe, chosen) in enumerate(zip(recipes, rng.random(len(recipes)) < share, strict=True)):
            if not chosen or not any(recipe.noise_gains):
                continue
            voices = torch.zeros(self.length, device=self.device)
            for _ in range(rng.integers(*VOICES)):
                voice = int(rng.integers(len(self.mixer.speech)))
                gain = 10 ** ((rng.uniform(-12, 0) - self.mixer.speech[voice].level_dbfs) / 20) / FULL_SCALE
                speed = rng.uniform(*CHILD) if rng.random() < 0.4 else 1.0
                cut = self.speech.take([(voice, int(rng.integers(1 << 20)), gain)], int(self.length * speed) + 2, True)
                voices += _faster(cut[0], speed, self.length)
            level = 10 ** ((recipe.level_dbfs - recipe.snr_db) / 20)
            noisy[row] = clean[row] + voices * (level / voices.square().mean().sqrt().clamp(min=1e-5))

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

    def _band_limits(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Where each mixture ends, in Hz; most end nowhere."""
        limits = np.exp(rng.uniform(np.log(3400), np.log(16000), size))
        return np.where(rng.random(size) < self.experiment.augment.band_limit, limits, np.inf)

    def _heard(self, recipes: list[Recipe], bins: int) -> Tensor:
        width = [self.mixer.speech[r.speech].bandwidth_hz if r.speech_gain else np.inf for r in recipes]
        # Under the very edge of its band a recording fades already.
        inside = np.arange(bins) * BIN_HZ <= np.maximum(0.95 * np.array(width)[:, None], 3400)
        return send(inside.astype(np.float32), self.device)[:, None, :, None]

    def epoch(self, epoch: int, first: int = 0) -> Iterator[CausalBatch]:
        """Batches of one epoch from number `first` on; validation draws the same ones every time."""
        config = self.experiment.train
        if self.split == "train":
            for number in range(first, config.steps_per_epoch):
                yield self.batch(epoch, number, config.batch)
            return
        for number in range(-(-config.valid_examples // config.batch)):
            yield self.batch(0, number, min(config.batch, config.valid_examples - number * config.batch))


def _faster(audio: Tensor, speed: float, length: int) -> Tensor:
    """The first `length` samples of `(T,)` played `speed` times as fast, along straight lines."""
    if speed == 1.0:
        return audio[:length]
    place = torch.arange(length, device=audio.device) * speed
    whole = place.long()
    return torch.lerp(audio[whole], audio[whole + 1], place - whole)
