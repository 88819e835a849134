"""Training of the speech head: labels, loss, and how well its probability tells speech from the rest."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from unhiss.train.causal_batches import CausalBatch

LOW_BINS = 256  # up to 8 kHz
ACTIVE_DB = -25.0  # re the level of active speech: weak consonants count, the room of a clean recording does not
HANGOVER = 3  # frames, 48 ms: the closure of a plosive is part of its word


def speech_activity(power: Tensor) -> Tensor:
    """Whether somebody speaks in each frame, 0 or 1, of the clean speech's power `(B, T)` re that of active speech.

    A frame is active from ACTIVE_DB on, and as long as one of the HANGOVER frames before it is.
    """
    active = (power >= 10 ** (ACTIVE_DB / 10)).float()
    return functional.max_pool1d(functional.pad(active, (HANGOVER, 0)), HANGOVER + 1, 1)


def speech_labels(batch: CausalBatch) -> Tensor:
    """`speech_activity` of a batch; its gain brings active speech to about one per bin."""
    clean = batch.clean[:, :, :LOW_BINS] * batch.gain
    return speech_activity(clean.square().sum(-1).mean(-1))


def speech_loss(probability: Tensor, batch: CausalBatch) -> Tensor:
    """Cross entropy of probabilities `(B, T)` and the labels of a batch."""
    with torch.autocast(probability.device.type, enabled=False):
        return functional.binary_cross_entropy(probability.float(), speech_labels(batch))


def area_under_curve(score: Tensor, label: Tensor) -> Tensor:
    """Area under the ROC curve: how often a frame of speech has the higher score than one without; NaN without both.

    >>> area_under_curve(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]))
    tensor(0.7500)
    """
    speech, rest = score[label > 0].contiguous(), score[label == 0].sort().values
    ranks = torch.searchsorted(rest, speech) + torch.searchsorted(rest, speech, right=True)  # ties count half
    return ranks.float().mean() / (2 * len(rest))
