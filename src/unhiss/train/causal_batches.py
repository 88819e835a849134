"""Batches of spectra for the causal models, mixed and augmented on the device."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unhiss.config import Experiment
from unhiss.data.mixing import Recipe
from unhiss.data.store import Store
from unhiss.dsp.audio import FULL_SCALE
from unhiss.media.codecs import CODECS, Codec
from unhiss.train import stft
from unhiss.train.augmentation import change_speed, draw_speeds, intermittent_gains
from unhiss.train.batches import Batches, mix, to_device
from unhiss.train.distributed import SINGLE_PROCESS, ProcessGroup
from unhiss.train.noise_variations import responses_db
from unhiss.train.room_responses import reverberate, room_responses

BIN_HZ = 1 / stft.WINDOW_S
VOICES = (3, 7)  # of babble
CHILD_SPEED = (1.2, 1.7)  # an adult's voice played faster sounds like a child's
ROOMS = 48  # simulated at each start, in about ten seconds


@dataclass(frozen=True)
class CausalBatch:
    """noisy, clean: real spectra `(B, T, F, 2)` as the model gets them (levels as recorded).

    gain `(B, 1, 1, 1)`: factor that brings active speech to about one per bin. valid_bins `(B, 1, F, 1)`:
    1 within the clean recording's own bandwidth, 0 above, where the target is unknown.
    """

    noisy: Tensor
    clean: Tensor
    gain: Tensor
    valid_bins: Tensor

    @property
    def inputs(self) -> Tensor:
        """The network's input."""
        return self.noisy

    def __len__(self) -> int:
        return len(self.noisy)


class CausalBatches(Batches):
    """Batches of spectra of some seconds, each example augmented in its own way."""

    def __init__(
        self, store: Store, split: str, experiment: Experiment, device: torch.device,
        group: ProcessGroup = SINGLE_PROCESS,
    ) -> None:  # fmt: skip
        self.rate = experiment.causal.sample_rate
        hop = round(self.rate * stft.HOP_S)
        length = int(experiment.causal.segment_s * self.rate) // hop * hop
        super().__init__(store, split, experiment, device, length, group)
        if experiment.augment.reverb:
            self.rooms = room_responses(ROOMS, self.rate, experiment.train.seed).to(device)

    def batch(self, epoch: int, number: int, size: int) -> CausalBatch:
        rng = self.rng(epoch, number)
        recipes = self.recipes(rng, epoch, number, size)
        size = len(recipes)
        speeds = draw_speeds(self.rng(epoch, number, "speeds"), self.experiment.augment, size, self.split)
        noisy, clean = self._mixtures(recipes, speeds)
        self._make_intermittent(rng, noisy, clean)
        self._add_babble(rng, recipes, noisy, clean)
        self._reverberate(rng, noisy, clean)
        self._clip(rng, noisy)
        speech, noise = stft.analyse(clean, self.rate), stft.analyse(noisy - clean, self.rate)
        bins = speech.shape[2]
        speech = speech * self._response(rng, size, bins)
        noise = noise * self._response(rng, size, bins)
        codecs = self._codecs(rng, size)
        passed = bins_up_to(self._band_limits_hz(rng, codecs, size), bins, self.device)
        speech, noise = speech * passed, noise * passed
        mixture = self._encode(rng, speech + noise, codecs)
        level = np.array([10 ** (recipe.level_dbfs / 20) for recipe in recipes])
        gain = to_device((1 / (level * (stft.SCALE / 2) ** 0.5)).astype(np.float32), self.device)
        return CausalBatch(mixture, speech, gain[:, None, None, None], self._valid_bins(recipes, speeds[0], bins))

    def _mixtures(self, recipes: list[Recipe], speeds: np.ndarray) -> tuple[Tensor, Tensor]:
        """noisy, clean `(B, length)`; speeds `(2, B)` of speech and noise."""
        if (speeds == 1).all():
            return mix(recipes, self.speech, self.noise, self.length)
        noisy, clean = mix(recipes, self.speech, self.noise, int(self.length * speeds.max()) + 4)
        noise = change_speed(noisy - clean, speeds[1], self.length)
        clean = change_speed(clean, speeds[0], self.length)
        return clean + noise, clean

    def _make_intermittent(self, rng: np.random.Generator, noisy: Tensor, clean: Tensor) -> None:
        for row in np.flatnonzero(rng.random(len(noisy)) < self.experiment.augment.gate):
            gains = to_device(intermittent_gains(rng, self.length, self.rate), self.device)
            noisy[row] = clean[row] + gains * (noisy[row] - clean[row])

    def _add_babble(self, rng: np.random.Generator, recipes: list[Recipe], noisy: Tensor, clean: Tensor) -> None:
        """Replace the noise of some examples by other voices, some of them played faster, as children."""
        chosen = rng.random(len(recipes)) < self.experiment.augment.babble
        rows = [int(row) for row in np.flatnonzero(chosen) if any(recipes[row].noise_gains)]
        voices = [(row, *self._voice(rng)) for row in rows for _ in range(rng.integers(*VOICES))]
        if not voices:
            return
        owners, cuts, speeds = zip(*voices, strict=True)
        audio = self.speech.segments(list(cuts), int(self.length * max(speeds)) + 4, True)
        audio = change_speed(audio, np.array(speeds), self.length)
        babble = torch.zeros_like(noisy).index_add_(0, to_device(np.array(owners), self.device), audio)[rows]
        levels = np.array([10 ** ((recipes[row].level_dbfs - recipes[row].snr_db) / 20) for row in rows])
        gains = to_device(levels.astype(np.float32), self.device) / babble.square().mean(-1).sqrt().clamp(min=1e-5)
        noisy[rows] = clean[rows] + babble * gains[:, None]

    def _voice(self, rng: np.random.Generator) -> tuple[tuple[int, int, float], float]:
        """One voice of a babble: the cut (clip, start, gain) of the speech, and its playback speed."""
        voice = int(rng.integers(len(self.mixer.speech)))
        gain = 10 ** ((rng.uniform(-12, 0) - self.mixer.speech[voice].level_dbfs) / 20) / FULL_SCALE
        speed = rng.uniform(*CHILD_SPEED) if rng.random() < 0.4 else 1.0
        return (voice, int(rng.integers(1 << 20)), gain), speed

    def _reverberate(self, rng: np.random.Generator, noisy: Tensor, clean: Tensor) -> None:
        """Put some examples into a room; the target keeps the speech's reverberation."""
        rows = np.flatnonzero(rng.random(len(noisy)) < self.experiment.augment.reverb)
        if rows.size:
            responses = self.rooms[rng.integers(ROOMS, size=rows.size)]
            noise = reverberate(noisy[rows] - clean[rows], responses[:, 1])
            clean[rows] = reverberate(clean[rows], responses[:, 0])
            noisy[rows] = clean[rows] + noise

    def _clip(self, rng: np.random.Generator, noisy: Tensor) -> None:
        for row in np.flatnonzero(rng.random(len(noisy)) < self.experiment.augment.clip):
            ceiling = noisy[row].abs().max() * rng.uniform(0.25, 0.9)
            noisy[row].clamp_(-ceiling, ceiling)

    def _response(self, rng: np.random.Generator, size: int, bins: int) -> Tensor:
        """Smooth random gains `(B, 1, F, 1)` within +- eq_db."""
        hz, eq_db = np.arange(bins) * BIN_HZ, self.experiment.augment.eq_db
        curves_db = responses_db(rng, hz, eq_db, np.zeros(size, bool))
        return to_device((10 ** (curves_db / 20)).astype(np.float32), self.device)[:, None, :, None]

    def _codecs(self, rng: np.random.Generator, size: int) -> dict[int, Codec]:
        """The rows that are encoded, each with its codec."""
        rows = np.flatnonzero(rng.random(size) < self.experiment.augment.codec)
        return {int(row): CODECS[rng.integers(len(CODECS))] for row in rows}

    def _band_limits_hz(self, rng: np.random.Generator, codecs: dict[int, Codec], size: int) -> np.ndarray:
        """The highest frequency of each mixture; infinite for most."""
        limits = np.exp(rng.uniform(np.log(3400), np.log(16000), size))
        limits = np.where(rng.random(size) < self.experiment.augment.band_limit, limits, np.inf)
        for row, codec in codecs.items():
            limits[row] = min(limits[row], codec.width_hz)
        return limits

    def _encode(self, rng: np.random.Generator, mixture: Tensor, codecs: dict[int, Codec]) -> Tensor:
        """Send some mixtures through a codec. The clean speech stays as it is: what a codec adds is noise."""
        if codecs:
            rows = to_device(np.array(list(codecs)), self.device)
            sounds = stft.synthesise(mixture[rows], self.rate).cpu().numpy()  # once: it waits for the device
            decoded = [
                codec(a, self.rate, rng.uniform(0.2, 0.9)) for codec, a in zip(codecs.values(), sounds, strict=True)
            ]
            mixture[rows] = stft.analyse(to_device(np.stack(decoded), self.device), self.rate)
        return mixture

    def _valid_bins(self, recipes: list[Recipe], speeds: np.ndarray, bins: int) -> Tensor:
        width_hz = [self.mixer.speech[r.speech].bandwidth_hz if r.speech_gain else np.inf for r in recipes]
        # A recording already fades just below the edge of its band.
        return bins_up_to(np.maximum(0.95 * (np.array(width_hz) * speeds), 3400), bins, self.device)


def bins_up_to(limits_hz: np.ndarray, bins: int, device: torch.device) -> Tensor:
    """`(B, 1, F, 1)`: 1 up to the limit of each row, 0 above."""
    passed = np.arange(bins) * BIN_HZ <= limits_hz[:, None]
    return to_device(passed.astype(np.float32), device)[:, None, :, None]
