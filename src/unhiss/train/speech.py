"""The speech head: the probability that somebody speaks in a frame, from what the denoiser knows of it anyway."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from unhiss.train.causal_batches import CausalBatch

UNITS = 16
LOW_BINS = 256  # up to 8 kHz
ACTIVE_DB = -25.0  # re the level of active speech: weak consonants count, the room of a clean recording does not
HANGOVER = 3  # frames, 48 ms: the closure of a plosive is part of its word


class SpeechHead(nn.Module):
    """Features of the last block, `(B, T, C)` -> probabilities `(B, T)`. Trained last and alone.

        p = sigmoid( v . tanh( U x + a ) )

    Not relu: with many inputs a step of training can switch a unit off for good. There are few nodes, since each costs
    two thousandths of a frame of `nano`: no second bias, and v is a vector, since a matrix of one column would need a
    node to drop the last axis.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(features, UNITS)
        self.out = nn.Parameter(torch.randn(UNITS) / UNITS**0.5)

    def forward(self, features: Tensor) -> Tensor:
        return torch.sigmoid(torch.matmul(torch.tanh(self.hidden(features)), self.out))


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
