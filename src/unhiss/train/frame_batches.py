"""Batches of scaled frames and their spectra, for the frame models."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unhiss.config import Experiment
from unhiss.data.store import Store
from unhiss.dsp.frames import SIZE
from unhiss.train.batches import Batches, mix, to_device
from unhiss.train.distributed import SINGLE_PROCESS, ProcessGroup
from unhiss.train.stft import CONTEXT_SIZE, frame_spectrum, scale_frames

# Typical magnitude of one bin for a signal of RMS 1: sqrt(sum of squared Hann window).
BIN_LEVEL = float(np.sqrt(0.375 * 255))


@dataclass(frozen=True)
class FrameBatch:
    """Complex spectra and scaled frames of B mixtures.

    noisy, clean: complex `(B, 128, 128)` at an active speech level of about one per bin.
    frames, target: scaled noisy and clean frames `(B, 1, 128, 128)`, both by the noisy frame's reference.
    """

    noisy: Tensor
    clean: Tensor
    frames: Tensor
    target: Tensor

    @property
    def inputs(self) -> Tensor:
        """The network's input."""
        return self.frames

    def __len__(self) -> int:
        return len(self.frames)


class FrameBatches(Batches):
    """Batches of frames of 128 columns."""

    def __init__(
        self, store: Store, split: str, experiment: Experiment, device: torch.device,
        group: ProcessGroup = SINGLE_PROCESS,
    ) -> None:  # fmt: skip
        length = SIZE if experiment.frames.edges == "zeros" else CONTEXT_SIZE
        super().__init__(store, split, experiment, device, length, group)

    def batch(self, epoch: int, number: int, size: int) -> FrameBatch:
        config = self.experiment
        rng = self.rng(epoch, number)
        recipes = self.recipes(rng, epoch, number, size)
        mixtures = mix(recipes, self.speech, self.noise, self.length)
        noisy, clean = (frame_spectrum(audio, config.frames.edges) for audio in mixtures)
        offset_db = rng.uniform(*config.mixing.reference_offset_db, len(recipes))
        offset = to_device((10 ** (offset_db / 20)).astype(np.float32), self.device)
        reference = (noisy.abs().amax((-1, -2)) * offset)[:, None, None]
        frames, target = (scale_frames(spectrum.abs(), reference)[:, None] for spectrum in (noisy, clean))
        # The compressing loss depends on the level: active speech is brought to one per bin.
        level = np.array([10 ** (recipe.level_dbfs / 20) for recipe in recipes]) * BIN_LEVEL
        gain = to_device((1 / level).astype(np.float32), self.device)[:, None, None]
        return FrameBatch(noisy=noisy * gain, clean=clean * gain, frames=frames, target=target)
