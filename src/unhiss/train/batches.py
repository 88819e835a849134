"""Batches of mixtures: the data set lies on the device as int16 samples and is mixed there."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from unhiss.config import Experiment
from unhiss.data.manifest import ManifestRows
from unhiss.data.mixing import Mixer, Recipe
from unhiss.data.store import Store
from unhiss.train.distributed import SINGLE_PROCESS, ProcessGroup

PREFETCH_THREADS = 4  # make batches for a GPU, which would wait for Python otherwise; a CPU has no core to spare
Item = TypeVar("Item")


class ClipPool:
    """All clips of one role and split end to end on the device, int16, and where each starts."""

    def __init__(self, store: Store, rows: ManifestRows, device: torch.device) -> None:
        self.device, self.lengths = device, rows.column("length")
        samples = torch.empty(int(self.lengths.sum()), dtype=torch.int16)
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)])
        for row, start in zip(rows, self.starts, strict=False):
            samples[start : start + row.length] = torch.from_numpy(np.array(store.samples(row)))
        self.samples = samples.to(device)

    def segments(self, cuts: list[tuple[int, int, float]], length: int, wrap: bool) -> Tensor:
        """float32 `(B, length)` of (clip, start, gain) each; past its end a clip starts over (wrap) or is silent."""
        device = self.device
        if device.type == "cpu":  # copying runs of samples is several times faster there than gathering each
            return torch.stack([self._segment(*cut, length, wrap) for cut in cuts])
        clips, starts, gains = (np.array(column) for column in zip(*cuts, strict=True))
        position = to_device(starts, device)[:, None] + torch.arange(length, device=device)
        size = to_device(self.lengths[clips], device)[:, None]
        inside = position % size if wrap else position.clamp(max=size - 1)
        audio = self.samples[to_device(self.starts[clips], device)[:, None] + inside].float()
        audio *= to_device(gains.astype(np.float32), device)[:, None]
        return audio if wrap else audio * (position < size)

    def cut(self, clip: int, first: int, last: int) -> Tensor:
        """Samples `first` to `last` of a clip, or to its end."""
        start = self.starts[clip]
        return self.samples[start + first : min(start + last, self.starts[clip + 1])]

    def _segment(self, clip: int, start: int, gain: float, length: int, wrap: bool) -> Tensor:
        """One row of `segments`."""
        out, done = torch.zeros(length), 0
        start = start % int(self.lengths[clip]) if wrap else start
        while done < length:
            piece = self.cut(clip, start, start + length - done)
            out[done : done + len(piece)] = piece
            done, start = done + len(piece), 0
            if not wrap:
                break
        return out.mul_(gain)


def to_device(values: np.ndarray, device: torch.device) -> Tensor:
    """The array on the device; does not wait for work that is queued there."""
    return torch.from_numpy(values).to(device, non_blocking=True)


def mix(recipes: list[Recipe], speech: ClipPool, noise: ClipPool, length: int) -> tuple[Tensor, Tensor]:
    """noisy, clean `(B, length)`: the same samples as data.mixing.mix, computed on the device."""
    cuts = [(recipe.speech, recipe.speech_start, recipe.speech_gain) for recipe in recipes]
    clean = speech.segments(cuts, length, wrap=False)
    noisy = clean.clone()
    for k in range(2):
        rows = [row for row, recipe in enumerate(recipes) if len(recipe.noises) > k]
        if rows:
            chosen = [recipes[row] for row in rows]
            cuts = [(recipe.noises[k], recipe.noise_starts[k], recipe.noise_gains[k]) for recipe in chosen]
            noisy[rows] += noise.segments(cuts, length, wrap=True)
    return noisy, clean


def prefetch(make: Callable[[int], Item], numbers: Iterable[int], threads: int) -> Iterator[Item]:
    """make(n) of each number, in order, computed by `threads` threads ahead of use; 0: computed when asked for."""
    if not threads:
        yield from map(make, numbers)
        return
    pending: deque[Future[Item]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for number in numbers:
            pending.append(pool.submit(make, number))
            if len(pending) > threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


class Batches:
    """Batches of mixtures of one split; a subclass for each kind of model says in `batch` what a batch holds.

    Batch n of an epoch depends on (seed, epoch, n) alone. A training step takes `train.micro_batches` of them;
    the processes of a group share those, so that their number does not change the results.
    """

    pool: type[ClipPool] = ClipPool
    prefetch_threads = PREFETCH_THREADS  # on a GPU

    def __init__(
        self, store: Store, split: str, experiment: Experiment, device: torch.device, length: int,
        group: ProcessGroup = SINGLE_PROCESS,
    ) -> None:  # fmt: skip
        self.experiment, self.split, self.device, self.length, self.group = experiment, split, device, length, group
        self.mixer = Mixer(store, split, experiment.mixing)
        self.speech = self.pool(store, self.mixer.speech, device)
        self.noise = self.pool(store, self.mixer.noise, device)
        self.fixed: list[Recipe] = []  # the mixtures of every epoch, where mixing is not dynamic
        if split == "train" and not experiment.mixing.dynamic:
            rng = np.random.default_rng(experiment.train.seed)
            self.fixed = self.mixer.draw(rng, experiment.train.examples, length)

    def batch(self, epoch: int, number: int, size: int) -> Any:
        raise NotImplementedError

    def rng(self, epoch: int, number: int, use: str = "") -> np.random.Generator:
        """The random generator of one batch, for one use. Every batch, split and use has its own."""
        seeds = [self.experiment.train.seed, epoch, number, int(self.split == "valid")]
        return np.random.default_rng([*seeds, *use.encode()])

    def recipes(self, rng: np.random.Generator, epoch: int, number: int, size: int) -> list[Recipe]:
        """The mixtures of one batch."""
        train = self.experiment.train
        if not self.fixed:
            return self.mixer.draw(rng, size, self.length, self._snr_db(epoch, number))
        # A new order each epoch, as in the reference's framework.
        order = np.random.default_rng([train.seed, epoch]).permutation(len(self.fixed))
        return [self.fixed[index] for index in order[number * train.micro_batch_size :][:size]]

    def _snr_db(self, epoch: int, number: int) -> tuple[float, float]:
        """The range of SNRs: its upper half when training starts, all of it when the curriculum ends."""
        train, (low, high) = self.experiment.train, self.experiment.mixing.snr_db
        if self.split != "train" or not train.curriculum_epochs:
            return low, high
        done = (epoch + number / (train.steps_per_epoch * train.micro_batches)) / train.curriculum_epochs
        return low + max(0.0, 1 - done) * (high - low) / 2, high

    def epoch(self, epoch: int, first: int = 0) -> Iterator[tuple[Any, ...]]:
        """This process's micro-batches of each step of one epoch, from step `first` on."""
        train = self.experiment.train
        numbers = range(self.group.rank, train.micro_batches, self.group.count)

        def step_batches(step: int) -> tuple[Any, ...]:
            first = step * train.micro_batches
            return tuple(self.batch(epoch, first + number, train.micro_batch_size) for number in numbers)

        steps = range(first, train.steps_per_epoch)
        if self.device.type != "cuda":
            yield from prefetch(step_batches, steps, 0)
            return
        # A stream of their own, so that making batches overlaps with training and waits for itself alone.
        now = torch.cuda.current_stream(self.device)
        stream: torch.cuda.Stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]

        stream.wait_stream(now)  # the clips lie there by then

        def made(step: int) -> tuple[tuple[Any, ...], torch.cuda.Event]:
            with torch.cuda.stream(stream):
                return step_batches(step), stream.record_event()

        for batches, event in prefetch(made, steps, self.prefetch_threads):
            now.wait_event(event)
            for part in (part for batch in batches for part in vars(batch).values()):
                part.record_stream(now)  # its memory is not free before what is queued now is done
            yield batches

    def validation(self) -> Iterator[Any]:
        """This process's share of the validation batches, the same ones every time."""
        count, size = self.experiment.train.valid_examples, self.experiment.train.micro_batch_size
        for number in range(self.group.rank, -(-count // size), self.group.count):
            yield self.batch(0, number, min(size, count - number * size))
