"""The speech head: the probability that somebody speaks in a frame, from what the denoiser knows of it anyway."""

import torch
from torch import Tensor, nn

UNITS = 16


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
