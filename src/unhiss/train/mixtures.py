"""Recipes -> mixtures on the device: the whole data set lies there as int16, and is mixed there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unhiss.config import Experiment
from unhiss.data.manifest import ManifestRows
from unhiss.data.mixing import Mixer, Recipe
from unhiss.data.store import Store
from unhiss.train.ahead import ahead
from unhiss.train.processes import ALONE, Place

AHEAD = 4  # threads that make batches for a GPU, which would wait for the Python else; a CPU has no core to spare


class Pool:
    """All clips of one role and split end to end on the device, int16, and where each begins."""

    def __init__(self, store: Store, rows: ManifestRows, device: torch.device) -> None:
        self.lengths = rows.column("length")
        samples = torch.empty(int(self.lengths.sum()), dtype=torch.int16)
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)])
        for row, start in zip(rows, self.starts, strict=False):
            samples[start : start + row.length] = torch.from_numpy(np.array(store.samples(row)))
        self.samples = samples.to(device)

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


class Mixtures:
    """Batches of mixtures of one split; what a batch holds beside them, each kind of model says in `batch`.

    Batch number n of an epoch is decided by (seed, epoch, n) alone. A step of training takes `train.micro_batches` of
    them; processes share those, so that how many there are changes nothing.
    """

    place: Place = ALONE  # of this process among those that train together

    def __init__(self, store: Store, split: str, experiment: Experiment, device: torch.device, length: int) -> None:
        self.experiment, self.split, self.device, self.length = experiment, split, device, length
        self.mixer = Mixer(store, split, experiment.mixing)
        self.speech = Pool(store, self.mixer.speech, device)
        self.noise = Pool(store, self.mixer.noise, device)
        self.fixed: list[Recipe] = []  # the mixtures of every epoch, where they are not drawn anew
        if split == "train" and not experiment.mixing.dynamic:
            rng = np.random.default_rng(experiment.train.seed)
            self.fixed = self.mixer.draw(rng, experiment.train.examples, length)

    def batch(self, epoch: int, number: int, size: int) -> Any:
        raise NotImplementedError

    def rng(self, epoch: int, number: int, use: str = "") -> np.random.Generator:
        """The generator of one batch, and of one use of it; no two splits share one."""
        numbers = [self.experiment.train.seed, epoch, number, int(self.split == "valid")]
        return np.random.default_rng([*numbers, *use.encode()])

    def recipes(self, rng: np.random.Generator, epoch: int, number: int, size: int) -> list[Recipe]:
        train = self.experiment.train
        if not self.fixed:
            return self.mixer.draw(rng, size, self.length, self._snr_db(epoch, number))
        # The order is new each epoch, as in the reference's framework.
        order = np.random.default_rng([train.seed, epoch]).permutation(len(self.fixed))
        return [self.fixed[place] for place in order[number * train.micro_batch_size :][:size]]

    def _snr_db(self, epoch: int, number: int) -> tuple[float, float]:
        """The range of SNRs: as training begins its upper half, by the end of the curriculum all of it."""
        train, (low, high) = self.experiment.train, self.experiment.mixing.snr_db
        if self.split != "train" or not train.curriculum_epochs:
            return low, high
        done = (epoch + number / (train.steps_per_epoch * train.micro_batches)) / train.curriculum_epochs
        return low + max(0.0, 1 - done) * (high - low) / 2, high

    def epoch(self, epoch: int, first: int = 0) -> Iterator[tuple[Any, ...]]:
        """This process's batches of each step of one epoch, from step `first` on."""
        train = self.experiment.train
        own = range(self.place.rank, train.micro_batches, self.place.count)

        def batches(step: int) -> tuple[Any, ...]:
            return tuple(self.batch(epoch, step * train.micro_batches + part, train.micro_batch_size) for part in own)

        return ahead(batches, range(first, train.steps_per_epoch), AHEAD if self.device.type == "cuda" else 0)

    def all(self) -> Iterator[Any]:
        """This process's share of the batches for validation, the same ones every time."""
        train = self.experiment.train
        count = -(-train.valid_examples // train.micro_batch_size)
        for number in range(self.place.rank, count, self.place.count):
            yield self.batch(
                0, number, min(train.micro_batch_size, train.valid_examples - number * train.micro_batch_size)
            )
