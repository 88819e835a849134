"""Mixtures -> scaled frames and their spectra, for the frame models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unhiss.config import Experiment
from unhiss.data.store import Store
from unhiss.dsp.frames import SIZE
from unhiss.train.mixtures import Mixtures, mix, send
from unhiss.train.spectra import CONTEXT_SIZE, scale, spectrum


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


class Batches(Mixtures):
    """Batches of frames of 128 columns."""

    def __init__(self, store: Store, split: str, experiment: Experiment, device: torch.device) -> None:
        length = SIZE if experiment.frames.edges == "zeros" else CONTEXT_SIZE
        super().__init__(store, split, experiment, device, length)

    def batch(self, epoch: int, number: int, size: int) -> Batch:
        config = self.experiment
        rng = self.rng(epoch, number)
        recipes = self.recipes(rng, epoch, number, size)
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


# Typical magnitude of one bin for a signal of RMS 1: sqrt(sum of squared Hann window).
BIN_LEVEL = float(np.sqrt(0.375 * 255))
