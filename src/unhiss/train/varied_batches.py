"""Batches of spectra for the long training: every example is a scene of its own, heard by a microphone of its own."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from unhiss.config import Experiment
from unhiss.data.manifest import ManifestRows
from unhiss.data.store import Store
from unhiss.settings import AugmentConfig
from unhiss.train import stft
from unhiss.train.batches import PREFETCH_THREADS, Batches, ClipPool, to_device
from unhiss.train.causal_batches import BIN_HZ, CausalBatch, CausalBatches
from unhiss.train.degradations import gain_control
from unhiss.train.distributed import SINGLE_PROCESS, ProcessGroup
from unhiss.train.frame_batches import FrameBatches
from unhiss.train.noise_variations import envelope_of, response_db, spectrum_of
from unhiss.train.scenes import Scene, Scenes
from unhiss.train.voices import formant_gains

FORMANTS = (0.85, 1.2)
ACTIVE = 10**-1.6  # frames above this share of the mean power count as active speech
LOW_BINS = 256
CORRECTION_DB = 20.0  # how far measured levels of speech may lie from what was asked for


class MappedClipPool(ClipPool):
    """A `ClipPool` that copies nothing: samples stay in the mapped shards, and processes share them."""

    def __init__(self, store: Store, rows: ManifestRows, device: torch.device) -> None:
        self.store, self.rows, self.device = store, list(rows), device

    def segments(self, cuts: list[tuple[int, int, float]], length: int, wrap: bool) -> Tensor:
        return torch.stack([self._segment(*cut, length, wrap) for cut in cuts]).to(self.device)

    def _segment(self, clip: int, start: int, gain: float, length: int, wrap: bool) -> Tensor:
        samples = self.store.samples(self.rows[clip])
        if wrap:
            samples = np.take(samples, np.arange(start, start + length), mode="wrap")
        else:
            samples = samples[start : start + length]
            samples = np.pad(samples, (0, length - samples.size))
        return torch.from_numpy(samples * np.float32(gain))


class VariedBatches(CausalBatches):
    """Training examples by `vary` and `augment`; validation mixtures are plain ones by `mixing`, always the same."""

    pool = MappedClipPool
    prefetch_threads = max(PREFETCH_THREADS, os.cpu_count() or 1)  # scenes are made on the processor

    def __init__(
        self, store: Store, split: str, experiment: Experiment, device: torch.device,
        group: ProcessGroup = SINGLE_PROCESS, plain: bool = False,
    ) -> None:  # fmt: skip
        """plain: mix the clips of any split as validation does, without variations."""
        plain = plain or split == "valid"
        augment = AugmentConfig() if plain else replace(experiment.augment, reverb=0.0)  # Scenes have their own rooms
        super().__init__(store, split, replace(experiment, augment=augment), device, group)
        self.scenes = None if plain else Scenes(store, self.mixer, experiment, self.length)

    def batch(self, epoch: int, number: int, size: int) -> CausalBatch:
        """A batch of scenes, or of plain mixtures."""
        if self.scenes is None:
            return super().batch(epoch, number, size)
        rng = self.rng(epoch, number)
        scenes = [self.scenes.draw(rng) for _ in range(size)]
        speech, target, noise = self._spectra(scenes)
        self._move_formants(rng, speech, target)
        self._vary_noise(rng, speech, noise)
        self._colour(rng, speech, target, noise)
        self._control_gain(rng, speech, target, noise)
        codecs = self._codecs(rng, size)
        mixture = speech + noise
        for row, limit_hz in enumerate(self._band_limits_hz(rng, codecs, size)):
            first = int(min(limit_hz, self.rate) / BIN_HZ) + 1
            mixture[row, :, first:], target[row, :, first:] = 0, 0
        mixture = self._encode(rng, mixture, codecs)
        gains = frame_gains(target, scenes, self.length // (target.shape[1] - 1))
        valid = valid_bins(scenes, target.shape[2])
        return CausalBatch(*(part.to(self.device, non_blocking=True) for part in (mixture, target, gains, valid)))

    def _spectra(self, scenes: list[Scene]) -> tuple[Tensor, Tensor, Tensor]:
        """Spectra `(B, T, F, 2)` of the speech, of its part to be kept, and of the noise."""
        speech, noise = (
            stft.analyse(torch.from_numpy(np.stack([getattr(scene, name) for scene in scenes])), self.rate).contiguous()
            for name in ("speech", "noise")
        )
        rows = [row for row, scene in enumerate(scenes) if scene.early is not scene.speech]
        target = speech.clone()
        if rows:
            early = torch.from_numpy(np.stack([scenes[row].early for row in rows]))
            target[rows] = stft.analyse(early, self.rate)
        return speech, target, noise

    def _move_formants(self, rng: np.random.Generator, speech: Tensor, target: Tensor) -> None:
        for row in np.flatnonzero(rng.random(len(speech)) < self.experiment.vary.formants):
            gains = formant_gains(target[row], float(np.exp(rng.uniform(*np.log(FORMANTS)))))
            speech[row] *= gains
            target[row] *= gains

    def _vary_noise(self, rng: np.random.Generator, speech: Tensor, noise: Tensor) -> None:
        """Some noises get the spectrum of the next example's, some the envelope of its noise or of its speech."""
        vary, size = self.experiment.vary, len(noise)
        kinds = rng.random(size)
        for row in np.flatnonzero(kinds < vary.noise_spectrum + vary.noise_envelope):
            following = (row + 1) % size
            if kinds[row] < vary.noise_spectrum:
                noise[row] *= spectrum_of(noise[row], noise[following])
            else:
                noise[row] *= envelope_of(noise[row], (noise if rng.random() < 0.5 else speech)[following])

    def _colour(self, rng: np.random.Generator, speech: Tensor, target: Tensor, noise: Tensor) -> None:
        """Random responses of the speech and of the noise."""
        hz = np.arange(speech.shape[2]) * BIN_HZ
        vary, eq_db = self.experiment.vary, self.experiment.augment.eq_db
        for spectra in ((speech, target), (noise,)):
            curves = [response_db(rng, hz, eq_db, rng.random() < vary.resonances) for _ in range(len(speech))]
            gains = torch.from_numpy((10 ** (np.stack(curves) / 20)).astype(np.float32))[:, None, :, None]
            for spectrum in spectra:
                spectrum *= gains

    def _control_gain(self, rng: np.random.Generator, speech: Tensor, target: Tensor, noise: Tensor) -> None:
        """A gain that follows the mixture is no noise: the target has it too."""
        for row in np.flatnonzero(rng.random(len(speech)) < self.experiment.vary.gain_control):
            power = (speech[row] + noise[row])[:, :LOW_BINS].square().sum((1, 2))
            levels_db = 10 * np.log10(power.numpy() + 1e-12)
            gains = (10 ** (gain_control(rng, levels_db, stft.HOP_S) / 20)).astype(np.float32)
            for spectrum in (speech, target, noise):
                spectrum[row] *= torch.from_numpy(gains)[:, None, None]


def valid_bins(scenes: list[Scene], bins: int) -> Tensor:
    """`(B, 1, F, 1)`: 1 within the band of the recorded speech, 0 above, where the target is unknown."""
    limits_hz = np.array([np.maximum(0.95 * scene.width_hz, 3400) if scene.early.any() else np.inf for scene in scenes])
    valid = np.arange(bins) * BIN_HZ <= limits_hz[:, None]
    return to_device(valid.astype(np.float32), torch.device("cpu"))[:, None, :, None]


def frame_gains(target: Tensor, scenes: list[Scene], hop: int) -> Tensor:
    """Gains `(B, T, 1, 1)` that bring the active speech of whoever speaks to about one per bin.

    A quiet person's speech thus costs as much as a loud one's. A pause has the gain of the turn before it.
    """
    frames = target.shape[1]
    power = target[:, :, :LOW_BINS].square().sum((2, 3)).numpy() / LOW_BINS
    gains = np.empty((len(scenes), frames), np.float32)
    limit = 10 ** (CORRECTION_DB / 10)
    for row, scene in enumerate(scenes):
        bounds = [0, *(turn.first // hop for turn in scene.turns[1:]), frames]
        for turn, first, last in zip(scene.turns, bounds, bounds[1:], strict=False):
            expected = (scene.level * 10 ** (turn.level_db / 20)) ** 2 * (stft.SCALE / 2)
            active = active_power(power[row, first:last]) if scene.early.any() else expected
            gains[row, first:last] = np.clip(active, expected / limit, expected * limit) ** -0.5
    return torch.from_numpy(gains)[:, :, None, None]


def active_power(power: np.ndarray) -> float:
    """Mean power of the frames `(T,)` that hold active speech, by iteration as in ITU-T P.56."""
    level = float(power.mean()) if power.size else 0.0
    for _ in range(8):
        level = float(power[power >= level * ACTIVE].mean()) if power.size else 0.0
    return level


def batches_of(experiment: Experiment, store: Store, split: str, device: torch.device, group: ProcessGroup) -> Batches:
    """The batches that an experiment trains on, or is validated with."""
    if experiment.model.kind != "causal":
        return FrameBatches(store, split, experiment, device, group)
    return (VariedBatches if experiment.vary.on else CausalBatches)(store, split, experiment, device, group)
