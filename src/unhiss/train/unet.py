"""The reference U-Net: 128 x 128 scaled magnitudes in and out, 1,941,093 parameters."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = (16, 32, 64, 128, 256)
SLOPE = 0.3  # Keras's default LeakyReLU, as in the reference


class ConvolutionPair(nn.Module):
    """Two 3 x 3 convolutions, each followed by LeakyReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.leaky_relu(self.first(x), SLOPE)
        return functional.leaky_relu(self.second(x), SLOPE)


class UNet(nn.Module):
    """Five levels down to 8 x 8 x 256 and up again with skips; `(B, 1, 128, 128)` -> the same shape.

    3 x 3 convolutions, "same" padding, LeakyReLU 0.3 after all but the last, He-normal weights; dropout
    after the pairs of the two deepest levels; up: nearest x 2, 2 x 2 convolution to half the channels,
    skip concatenated, pair. Ronneberger et al. 2015 (arXiv 1505.04597), sized as docs/models/unet.md says.
    """

    def __init__(self, dropout: float = 0.5) -> None:
        super().__init__()
        self.dropout = dropout
        self.down = nn.ModuleList(ConvolutionPair(i, o) for i, o in pairwise((1, *CHANNELS[:-1])))
        self.bottom = ConvolutionPair(CHANNELS[-2], CHANNELS[-1])
        upwards = CHANNELS[::-1]
        self.widen = nn.ModuleList(nn.Conv2d(i, o, 2) for i, o in pairwise(upwards))
        self.up = nn.ModuleList(ConvolutionPair(2 * o, o) for o in upwards[1:])
        self.head = nn.Conv2d(CHANNELS[0], 2, 3, padding=1)
        self.last = nn.Conv2d(2, 1, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")  # variance 2 / fan-in, as Keras's he_normal
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for level, pair in enumerate(self.down):
            x = pair(x)
            if level == len(self.down) - 1:
                x = functional.dropout(x, self.dropout, self.training)
            skips.append(x)
            x = functional.max_pool2d(x, 2)
        x = functional.dropout(self.bottom(x), self.dropout, self.training)
        for widen, pair, skip in zip(self.widen, self.up, reversed(skips), strict=True):
            x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            # "same" for an even kernel, as TensorFlow does it: the odd row and column go below and right.
            x = functional.leaky_relu(widen(functional.pad(x, (0, 1, 0, 1))), SLOPE)
            x = pair(torch.cat([x, skip], dim=1))
        out: Tensor = self.last(functional.leaky_relu(self.head(x), SLOPE))
        return out
