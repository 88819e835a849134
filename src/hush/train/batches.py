"""Recipes -> batches on the device: the whole data set lies there as int16, and is mixed there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hush.config import Experiment
from hush.data.mixing import Mixer, Recipe
from hush.data.store import Row, Store
from hush.dsp.frames import SIZE
from hush.train.spectra import CONTEXT_SIZE, scale, spectrum


@dataclass(frozen=True)
class Batch:
    """Complex spectra and scaled frames of B mixtures.

    noisy, clean: complex `(B, 128, 128)` at an active speech level of about one per bin.
    frames, target: scaled `(B, 1, 128, 128)`, both by the noisy frame's reference.
    """

    noisy: Tensor
    clean: Tensor
    frames: Tensor
    target: Tensor

    def __len__(self) -> int:
        return len(self.frames)


class Pool:
    """All clips of one role and split end to end on the device, int16, and where each begins."""

    def __init__(self, store: Store, rows: list[Row], device: torch.device) -> None:
        samples = torch.empty(sum(row.length for row in rows), dtype=torch.int16)
        self.starts = np.concatenate([[0], np.cumsum([row.length for row in rows])])
        for row, start in zip(rows, self.starts, strict=False):
            samples[start : start + row.length] = torch.from_numpy(np.array(store.samples(row)))
        self.samples = samples.to(device)
        self.lengths = np.array([row.length for row in rows])

    def take(self, cuts: list[tuple[int, int, float]], length: int, wrap: bool) -> Tensor:
        """float32 `(B, length)` of (clip, begin, gain) each; where a clip ends it starts over, or is silent."""
        device = self.samples.device
        if device.type == "cpu":  # where copying runs of samples is several times faster than gathering each
            return torch.stack([self._run(*cut, length, wrap) for cut in cuts])
        clips, begins, gains = (np.array(column) for column in zip(*cuts, strict=True))
        where = send(begins, device)[:, None] + torch.arange(length, device=device)
        size = send(self.lengths[clips], device)[:, None]
        inside = where % size if wrap else where.clamp(max=size - 1)
        found = self.samples[send(self.starts[clips], device)[:, None] + inside].float()
        found *= send(gains.astype(np.float32), device)[:, None]
        return found if wrap else found * (where < size)

    def _run(self, clip: int, begin: int, gain: float, length: int, wrap: bool) -> Tensor:
        """One row of `take`."""
        samples = self.samples[self.starts[clip] : self.starts[clip + 1]]
        out, done = torch.zeros(length), 0
        begin = begin % len(samples) if wrap else begin
        while done < length:
            piece = samples[begin : begin + length - done]
            out[done : done + len(piece)] = piece
            done, begin = done + len(piece), 0
            if not wrap:
                break
        return out.mul_(gain)


def send(values: np.ndarray, device: torch.device) -> Tensor:
    """An array on the device, without waiting for what the device is still at."""
    return torch.from_numpy(values).to(device, non_blocking=True)


def mix(recipes: list[Recipe], speech: Pool, noise: Pool, length: int) -> tuple[Tensor, Tensor]:
    """noisy, clean `(B, length)`: the samples of data.mixing.mix, made on the device."""
    cuts = [(recipe.speech, recipe.speech_start, recipe.speech_gain) for recipe in recipes]
    clean = speech.take(cuts, length, wrap=False)
    noisy = clean.clone()
    for k in range(2):
        rows = [row for row, recipe in enumerate(recipes) if len(recipe.noises) > k]
        if rows:
            chosen = [recipes[row] for row in rows]
            cuts = [(recipe.noises[k], recipe.noise_starts[k], recipe.noise_gains[k]) for recipe in chosen]
            noisy[rows] += noise.take(cuts, length, wrap=True)
    return noisy, clean


class Batches:
    """Batches of one split. Batch number n of an epoch is decided by (seed, epoch, n) alone."""

    def __init__(self, store: Store, split: str, experiment: Experiment, device: torch.device) -> None:
        self.experiment, self.split, self.device = experiment, split, device
        self.mixer = Mixer(store, split, experiment.mixing)
        self.speech = Pool(store, self.mixer.speech, device)
        self.noise = Pool(store, self.mixer.noise, device)
        self.length = SIZE if experiment.frames.edges == "zeros" else CONTEXT_SIZE
        self.fixed: list[Recipe] = []  # the mixtures of every epoch, where they are not drawn anew
        if split == "train" and not experiment.mixing.fresh:
            rng = np.random.default_rng(experiment.train.seed)
            self.fixed = self.mixer.draw(rng, experiment.train.examples, self.length)

    def _recipes(self, rng: np.random.Generator, epoch: int, number: int, size: int) -> list[Recipe]:
        if not self.fixed:
            return self.mixer.draw(rng, size, self.length)
        train = self.experiment.train  # the order is new each epoch, as in the reference's framework
        order = np.random.default_rng([train.seed, epoch]).permutation(len(self.fixed))
        return [self.fixed[place] for place in order[number * train.batch :][:size]]

    def batch(self, epoch: int, number: int, size: int) -> Batch:
        config = self.experiment
        rng = np.random.default_rng([config.train.seed, epoch, number, int(self.split == "valid")])
        recipes = self._recipes(rng, epoch, number, size)
        noisy, clean = (
            spectrum(audio, config.frames.edges) for audio in mix(recipes, self.speech, self.noise, self.length)
        )
        offset_db = rng.uniform(*config.mixing.reference_offset_db, len(recipes))
        below = send((10 ** (offset_db / 20)).astype(np.float32), self.device)
        reference = (noisy.abs().amax((-1, -2)) * below)[:, None, None]
        frames, target = (scale(s.abs(), reference)[:, None] for s in (noisy, clean))
        # A loss that compresses needs a level that means something: active speech is brought to one.
        active = np.array([10 ** (recipe.level_dbfs / 20) for recipe in recipes]) * BIN_LEVEL
        loud = send((1 / active).astype(np.float32), self.device)[:, None, None]
        return Batch(noisy=noisy * loud, clean=clean * loud, frames=frames, target=target)

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """Batches of one epoch from number `first` on; validation draws the same ones every time."""
        config = self.experiment.train
        if self.split == "train":
            for number in range(first, config.steps_per_epoch):
                yield self.batch(epoch, number, config.batch)
            return
        for number in range(-(-config.valid_examples // config.batch)):
            yield self.batch(0, number, min(config.batch, config.valid_examples - number * config.batch))


# Typical magnitude of one bin for a signal of RMS 1: sqrt(sum of squared Hann window).
BIN_LEVEL = float(np.sqrt(0.375 * 255))
