"""Batches of spectra for the long training: every example is a scene of its own, heard by a microphone of its own."""

from __future__ import annotations

import copy
import os
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from unhiss.config import Experiment
from unhiss.data.store import Store
from unhiss.settings import AugmentConfig
from unhiss.train import stft
from unhiss.train.batches import PREFETCH_THREADS, Batches, to_device
from unhiss.train.causal_batches import BIN_HZ, CausalBatch, CausalBatches, bins_up_to
from unhiss.train.degradations import gain_control
from unhiss.train.distributed import SINGLE_PROCESS, ProcessGroup
from unhiss.train.early_rooms import Rooms
from unhiss.train.frame_batches import FrameBatches
from unhiss.train.noise_variations import envelope_of, responses_db, spectrum_of
from unhiss.train.pieces import MappedClipPool
from unhiss.train.planner import Planner
from unhiss.train.scene_audio import SceneAudio, render
from unhiss.train.scenes import Scene, Scenes
from unhiss.train.voices import formant_gains

FORMANTS = (0.85, 1.2)
ACTIVE = 10**-1.6  # frames above this share of the mean power count as active speech
LOW_BINS = 256
PLANNERS = 3  # processes that draw scenes for a GPU
CORRECTION_DB = 20.0  # how far measured levels of speech may lie from what was asked for


class VariedBatches(CausalBatches):
    """Training examples by `vary` and `augment`; validation mixtures are plain ones by `mixing`, always the same."""

    pool = MappedClipPool
    prefetch_threads = max(PREFETCH_THREADS, (os.cpu_count() or 1) // 2)  # codecs run on the processor

    def __init__(
        self, store: Store, split: str, experiment: Experiment, device: torch.device,
        group: ProcessGroup = SINGLE_PROCESS,
    ) -> None:  # fmt: skip
        augment = AugmentConfig() if split == "valid" else replace(experiment.augment, reverb=0.0)  # scenes have rooms
        super().__init__(store, split, replace(experiment, augment=augment), device, group)
        self.planner: Planner | None = None
        if split == "valid":
            return
        scenes = Scenes(self.mixer, experiment, self.rate, self.length)
        self.planner = Planner(scenes, PLANNERS if device.type == "cuda" else 0)  # a CPU has no core to spare
        rooms = (experiment.vary.rooms, self.length, self.rate, experiment.train.seed, device)
        self.room_responses = Rooms(*rooms) if experiment.augment.reverb else None

    def plain(self) -> VariedBatches:
        """Batches of the same clips, mixed as validation mixes its own, without variations."""
        other = copy.copy(self)
        other.planner, other.experiment = None, replace(self.experiment, augment=AugmentConfig())
        return other

    def batch(self, epoch: int, number: int, size: int) -> CausalBatch:
        """A batch of scenes, or of plain mixtures."""
        if self.planner is None:
            return super().batch(epoch, number, size)
        scenes, rng = self.planner(self.rng(epoch, number, "scenes"), size), self.rng(epoch, number)
        clips = self.speech, self.noise
        audio = render(scenes, *clips, self.room_responses, self.length, self.rate, int(rng.integers(2**62)))
        speech, target, noise = self._spectra(audio)
        self._move_formants(rng, speech, target)
        self._vary_noise(rng, speech, noise)
        self._colour(rng, speech, target, noise)
        self._control_gain(rng, speech, target, noise)
        codecs = self._codecs(rng, size)
        mixture = speech + noise
        passed = bins_up_to(self._band_limits_hz(rng, codecs, size), mixture.shape[2], self.device)
        mixture, target = self._encode(rng, mixture * passed, codecs), target * passed
        gains = frame_gains(target, scenes, audio.level, self.length // (target.shape[1] - 1))
        return CausalBatch(mixture, target, gains, valid_bins(scenes, target.shape[2], self.device))

    def _spectra(self, audio: SceneAudio) -> tuple[Tensor, Tensor, Tensor]:
        """Spectra `(B, T, F, 2)` of the speech, of its part to be kept, and of the noise."""
        speech, noise = (stft.analyse(sound, self.rate).contiguous() for sound in (audio.speech, audio.noise))
        target = speech.clone()
        if len(audio.rows):
            target[audio.rows] = stft.analyse(audio.early, self.rate)
        return speech, target, noise

    def _chosen(self, chosen: np.ndarray) -> Tensor:
        """Numbers of the rows that are True in `(B,)`."""
        return to_device(np.flatnonzero(chosen), self.device)

    def _move_formants(self, rng: np.random.Generator, speech: Tensor, target: Tensor) -> None:
        rows = self._chosen(rng.random(len(speech)) < self.experiment.vary.formants)
        if len(rows):
            low, high = np.log(FORMANTS)
            gains = formant_gains(target[rows], np.exp(rng.uniform(low, high, len(rows))))
            speech[rows] *= gains
            target[rows] *= gains

    def _vary_noise(self, rng: np.random.Generator, speech: Tensor, noise: Tensor) -> None:
        """Some noises get the spectrum of the next example's, some the envelope of its noise or of its speech."""
        vary, size = self.experiment.vary, len(noise)
        kinds, halves = rng.random(size), rng.random(size) < 0.5
        by_spectrum = kinds < vary.noise_spectrum
        by_envelope = ~by_spectrum & (kinds < vary.noise_spectrum + vary.noise_envelope)
        changes = [
            (spectrum_of, by_spectrum, noise), (envelope_of, by_envelope & halves, noise),
            (envelope_of, by_envelope & ~halves, speech),
        ]  # fmt: skip
        rows = [self._chosen(chosen) for _, chosen, _ in changes]
        gains = [
            change(noise[row], other[(row + 1) % size]) if len(row) else None
            for (change, _, other), row in zip(changes, rows, strict=True)
        ]
        for row, gain in zip(rows, gains, strict=True):
            if gain is not None:
                noise[row] *= gain

    def _colour(self, rng: np.random.Generator, speech: Tensor, target: Tensor, noise: Tensor) -> None:
        """Random responses of the speech and of the noise."""
        hz = np.arange(speech.shape[2]) * BIN_HZ
        vary, eq_db = self.experiment.vary, self.experiment.augment.eq_db
        for spectra in ((speech, target), (noise,)):
            curves = responses_db(rng, hz, eq_db, rng.random(len(speech)) < vary.resonances)
            gains = to_device((10 ** (curves / 20)).astype(np.float32), self.device)[:, None, :, None]
            for spectrum in spectra:
                spectrum *= gains

    def _control_gain(self, rng: np.random.Generator, speech: Tensor, target: Tensor, noise: Tensor) -> None:
        """A gain that follows the mixture is no noise: the target has it too."""
        rows = self._chosen(rng.random(len(speech)) < self.experiment.vary.gain_control)
        if len(rows):
            power = (speech[rows, :, :LOW_BINS] + noise[rows, :, :LOW_BINS]).square().sum((2, 3))
            gains = 10 ** (gain_control(rng, 10 * torch.log10(power + 1e-12), stft.HOP_S) / 20)
            for spectrum in (speech, target, noise):
                spectrum[rows] *= gains[:, :, None, None]


def valid_bins(scenes: list[Scene], bins: int, device: torch.device) -> Tensor:
    """`(B, 1, F, 1)`: 1 within the band of the recorded speech, 0 above, where the target is unknown."""
    limits_hz = np.array([np.maximum(0.95 * scene.width_hz, 3400) if scene.speech else np.inf for scene in scenes])
    return bins_up_to(limits_hz, bins, device)


def frame_gains(target: Tensor, scenes: list[Scene], levels: Tensor, hop: int) -> Tensor:
    """Gains `(B, T, 1, 1)` that bring the active speech of whoever speaks to about one per bin.

    A quiet person's speech thus costs as much as a loud one's. A pause has the gain of the turn before it.
    levels `(B,)`: RMS of the loudest active speech of each scene.
    """
    size, frames = target.shape[:2]
    count = max(len(scene.turns) for scene in scenes)
    numbers, levels_db = np.zeros((size, frames), np.int64), np.zeros((size, count), np.float32)
    for row, scene in enumerate(scenes):
        for number, turn in enumerate(scene.turns):
            levels_db[row, number] = turn.level_db
            numbers[row, turn.first // hop if number else 0 :] = number
    speaking = to_device(numbers, target.device)
    expected = (levels[:, None] * 10 ** (to_device(levels_db, target.device) / 20)).square() * (stft.SCALE / 2)
    power = target[:, :, :LOW_BINS].square().sum((2, 3)) / LOW_BINS
    own = functional.one_hot(speaking, count).transpose(1, 2).float()  # (B, turns, T)
    speaks = to_device(np.array([bool(scene.speech) for scene in scenes]), target.device)[:, None]
    active = torch.where(speaks, active_power(power[:, None], own), expected)
    limit = 10 ** (CORRECTION_DB / 10)
    gains = torch.clamp(active, expected / limit, expected * limit) ** -0.5
    return gains.gather(1, speaking)[:, :, None, None]


def active_power(power: Tensor, own: Tensor) -> Tensor:
    """Mean power of the frames `(…, T)` that hold active speech, among those where `own` is 1: `(…)`.

    By iteration as in ITU-T P.56.
    """
    active = own
    for _ in range(9):
        level = (power * active).sum(-1) / active.sum(-1).clamp(min=1)
        active = own * (power >= level[..., None] * ACTIVE)
    return level


def batches_of(experiment: Experiment, store: Store, split: str, device: torch.device, group: ProcessGroup) -> Batches:
    """The batches that an experiment trains on, or is validated with."""
    if experiment.model.kind != "causal":
        return FrameBatches(store, split, experiment, device, group)
    return (VariedBatches if experiment.vary.on else CausalBatches)(store, split, experiment, device, group)
