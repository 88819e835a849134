"""Recipes: how a mixture is made from clips, as numbers that give the same samples on any machine."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from unhiss.data.manifest import ManifestRows
from unhiss.data.store import Store
from unhiss.dsp.audio import FULL_SCALE
from unhiss.settings import MixConfig

Range = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """clean = speech_gain * speech, noisy = clean + noise_gain * noise, `length` samples each.

    Clips are given by their index among the rows of their role and split. Where a clip is too short, speech is followed
    by silence, and noise repeats. Gains are float32, so nothing depends on a machine's libm.
    """

    length: int
    speech: int
    speech_start: int
    speech_gain: float
    noises: tuple[int, ...]
    noise_starts: tuple[int, ...]
    noise_gains: tuple[float, ...]
    snr_db: float
    level_dbfs: float  # active speech level of the mixture


def mix(recipe: Recipe, store: Store, split: str) -> tuple[np.ndarray, np.ndarray]:
    """noisy and clean, float32 `(length,)`, of one recipe."""
    row = store.part("speech", split)[recipe.speech]
    start, length = recipe.speech_start, recipe.length
    clean = np.zeros(length, np.float32)
    samples = store.samples(row)[start : start + length]
    clean[: samples.size] = samples * np.float32(recipe.speech_gain)
    noisy = clean.copy()
    for noise, begin, gain in zip(recipe.noises, recipe.noise_starts, recipe.noise_gains, strict=True):
        looped = _loop(store.samples(store.part("noise", split)[noise]), begin, length)
        noisy += looped * np.float32(gain)
    return noisy, clean


def _loop(samples: np.ndarray, begin: int, length: int) -> np.ndarray:
    """`length` samples from `begin` on, repeated as often as needed."""
    if begin + length > samples.size:
        samples = np.tile(samples, -(-(begin + length) // samples.size))
    return samples[begin : begin + length]


class Mixer:
    """Draws recipes for one split of a store, from the ranges of a MixConfig."""

    def __init__(self, store: Store, split: str, config: MixConfig) -> None:
        self.store, self.split, self.config = store, split, config
        self.speech, self.noise = store.part("speech", split), store.part("noise", split)
        self._speech_cdf = _cdf(self.speech.column("length").astype(np.float64))
        self._noise_cdf = _cdf(_balance(self.noise, config.kind_balance))

    def draw(
        self, rng: np.random.Generator, count: int, length: int | None = None, snrs_db: Range | None = None
    ) -> list[Recipe]:
        """`count` recipes of `length` samples, or each as long as its speech if None; SNRs by the config if None.

        With a length, levels are those of entire clips: a short excerpt keeps its own loudness.
        With None, noise is measured where it is cut, so that the mixture has exactly its SNR.
        """
        config, lengths, noise_lengths = self.config, self.speech.column("length"), self.noise.column("length")
        levels_dbfs, noise_levels_dbfs = self.speech.column("level_dbfs"), self.noise.column("level_dbfs")
        speech = np.searchsorted(self._speech_cdf, rng.random(count))
        noises = np.searchsorted(self._noise_cdf, rng.random((count, 2)))
        starts = rng.random((count, 3))
        snr_db = rng.uniform(*(snrs_db or config.snr_db), count).astype(np.float32)
        level_db = rng.uniform(*config.level_dbfs, count)
        kind = rng.random(count)  # noise only, speech only, or both
        two = rng.random(count) < config.two_noises
        recipes = []
        for i in range(count):
            clip_length = int(lengths[speech[i]])
            size = length or clip_length
            picked = tuple(int(n) for n in noises[i, : 1 + int(two[i])])
            begins = tuple(int(starts[i, 1 + k] * noise_lengths[n]) for k, n in enumerate(picked))
            noise_db = level_db[i] - snr_db[i] - 10 * np.log10(len(picked))  # of each noise
            levels = [self._level(n, b, size) if length is None else noise_levels_dbfs[n]
                      for n, b in zip(picked, begins, strict=True)]  # fmt: skip
            recipes.append(Recipe(
                length=size,
                speech=int(speech[i]),
                speech_start=int(starts[i, 0] * max(1, clip_length - size + 1)),
                speech_gain=_gain(level_db[i] - levels_dbfs[speech[i]]) if kind[i] >= config.noise_only else 0.0,
                noises=picked,
                noise_starts=begins,
                noise_gains=tuple(
                    _gain(noise_db - level) if kind[i] < 1 - config.speech_only else 0.0 for level in levels
                ),
                snr_db=float(snr_db[i]),
                level_dbfs=float(np.float32(level_db[i])),
            ))  # fmt: skip
        return recipes

    def _level(self, noise: int, begin: int, length: int) -> float:
        """Level in dBFS of a noise clip where it is cut or repeated; silence counts as 40 dB below the clip.

        Squares of int16 add up exactly in float64, in whatever order, so every machine computes the same level.
        """
        row = self.noise[noise]
        samples = _loop(self.store.samples(row), begin, length).astype(np.float64)
        power = float(np.einsum("i,i->", samples, samples)) / length / FULL_SCALE**2
        return float(max(10 * np.log10(max(power, 1e-15)), row.level_dbfs - 40))


def _gain(change_db: float) -> float:
    """Factor from int16 samples to float audio `change_db` louder, rounded to float32."""
    return float(np.float32(10 ** (change_db / 20) / FULL_SCALE))


def _balance(rows: ManifestRows, balance: float) -> np.ndarray:
    """Weight of each noise clip: the number of clips of its kind, to the power -balance."""
    kinds = rows.names("kind")
    count = Counter(kinds)
    return np.array([count[kind] ** -balance for kind in kinds])


def _cdf(weights: np.ndarray) -> np.ndarray:
    """Cumulative probabilities: upper ends of the intervals of [0, 1) that belong to each item."""
    ends: np.ndarray = np.cumsum(weights) / weights.sum()
    ends[-1] = 1.0
    return ends
