"""The causal model: spectra and state in, cleaned spectra and state out; any rate, any number of frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hush.settings import CausalConfig

LOW = 256  # bins the network masks one by one: 31.25 Hz each, up to 8 kHz
FOLD = 4  # neighbouring bins that become channels
GROUPS = LOW // FOLD
HIGH_BAND = 32  # bins of a band above 8 kHz: 1 kHz
HIGH_BANDS = 16  # up to 24 kHz; what lies above follows the last one
FULL = LOW + HIGH_BAND * HIGH_BANDS
TAPS = 2  # this frame and the one before
POWER = 0.3  # spectra are compressed to X |X|^(POWER - 1)
TINY = 1e-10  # power far below 16-bit resolution; keeps gradients finite
HIGH_UNITS, CONTEXT = 48, 16
# (re, im) of both taps -> (re, -im) and (im, re) of both: with these a complex product is one dot product.
TURNS = [
    [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0],
    [0.0, -1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0],
    [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0],
    [0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 1.0, 0.0],
]


class _Reshape(torch.autograd.Function):
    """Reshape where 0 keeps a size and -1 takes the rest: one ONNX node with a constant shape, for any B and T."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, shape: Sequence[int]) -> Tensor:
        ctx.shape = x.shape
        return x.reshape([x.shape[place] if size == 0 else size for place, size in enumerate(shape)])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0].reshape(ctx.shape), None

    @staticmethod
    def symbolic(g: Any, x: Any, shape: Sequence[int]) -> Any:
        return g.op("Reshape", x, g.op("Constant", value_t=torch.tensor(shape)))


def reshape(x: Tensor, *shape: int) -> Tensor:
    out: Tensor = _Reshape.apply(x, shape)
    return out


class Convolution(nn.Module):
    """Over frequency only: kernel 3, batch norm (folded into it on export), ReLU; `(B, C, T, G)`."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, (1, 3), padding=(0, 1))
        self.norm = nn.BatchNorm2d(outside)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.norm(self.conv(x)))


class Block(nn.Module):
    """`(T, B, bands, C)`: recurrence over time, the same for every band, then mixing over bands."""

    def __init__(self, channels: int, bands: int) -> None:
        super().__init__()
        self.channels, self.bands = channels, bands
        self.time = nn.GRU(channels, channels)
        self.out = nn.Linear(channels, channels, bias=False)  # biases beside a residual are only nodes in the graph
        self.mixing = nn.Parameter(torch.randn(bands, bands) * 0.3 / bands**0.5)
        self.after = nn.Linear(channels, channels, bias=False)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """state: `(1, B * bands, C)`."""
        y, state = self.time(reshape(x, 0, -1, self.channels), state)
        x = x + reshape(self.out(y), 0, -1, self.bands, self.channels)
        return x + self.after(functional.relu(torch.matmul(self.mixing, x))), state


class HighBands(nn.Module):
    """Gains of the sixteen 1 kHz bands from 8 kHz up, from their own levels and what the low band knows."""

    spread: Tensor

    def __init__(self, bottleneck: int) -> None:
        super().__init__()
        self.context = nn.Linear(bottleneck, CONTEXT)
        self.time = nn.GRU(HIGH_BANDS + CONTEXT, HIGH_UNITS)
        self.out = nn.Linear(HIGH_UNITS, HIGH_BANDS)
        nn.init.constant_(self.out.bias, 1.0)
        with torch.no_grad():
            # Logarithms of power come in, from -16 to 8.
            self.time.weight_ih_l0[:, :HIGH_BANDS].mul_(0.2)  # type: ignore[index]
        self.register_buffer("spread", _spread(), persistent=False)

    def forward(self, spectrum: Tensor, below: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """spectrum `(B, T, 512, 2)`, below `(T, B, bottleneck)` -> gains `(B, T, 512, 1)`."""
        power = reshape(spectrum * spectrum, 0, -1, HIGH_BANDS, HIGH_BAND * 2).mean(-1)
        level = torch.log(power + 1e-7).transpose(0, 1)
        y, state = self.time(torch.cat([level, torch.tanh(self.context(below))], -1), state)
        gains = torch.sigmoid(self.out(y)).transpose(0, 1)
        return torch.matmul(gains, self.spread).unsqueeze(-1), state


def _spread() -> Tensor:
    """`(16, 512)`: gains of bands -> of bins, along straight lines between the bands' centres."""
    centres = (torch.arange(HIGH_BANDS) + 0.5) * HIGH_BAND
    place = (torch.arange(HIGH_BANDS * HIGH_BAND) + 0.5).clamp(float(centres[0]), float(centres[-1]))
    return (1 - (place[None] - centres[:, None]).abs() / HIGH_BAND).clamp(min=0)


class Causal(nn.Module):
    """`(spectrum (B, T, F, 2), state (B, S)) -> (cleaned, next state)`; zeros are the state at the start.

    Spectra have 31.25 Hz bins at every rate (32 ms windows, half overlapped). Up to 8 kHz each bin gets a
    complex mask of two taps, above that each 1 kHz a gain. Cut anywhere in time, with the state handed
    on, the results are the same.

        spectrum -> compress -> 16 x 64 -> convolutions over frequency ---------- skips ----------.
                                   -> bands -> [GRU over time, mixing over bands] x blocks -> groups -> mask
                                                  after the second: one GRU over all bands
    """

    turns: Tensor

    def __init__(self, config: CausalConfig) -> None:
        super().__init__()
        self.config = config
        width, channels, bands = config.width, config.channels, config.bands
        self.front = nn.ModuleList([Convolution(2 * TAPS * FOLD, width), *(Convolution(width, width) for _ in "ab")])
        squeeze = band_map(bands)
        self.squeeze, self.stretch = nn.Parameter(squeeze), nn.Parameter(squeeze.T / squeeze.T.sum(0).clamp(min=1e-6))
        self.narrow, self.widen = nn.Conv2d(width, channels, 1), nn.Conv2d(channels, width, 1)
        self.blocks = nn.ModuleList(Block(channels, bands) for _ in range(config.blocks))
        self.into = nn.Linear(bands * channels, config.bottleneck, bias=False)
        self.time = nn.GRU(config.bottleneck, config.bottleneck)
        self.back = nn.Linear(config.bottleneck, bands * channels, bias=False)
        self.rear = nn.ModuleList(Convolution(width, width) for _ in "ab")
        self.mask = nn.Conv2d(width, 2 * TAPS * FOLD, 1)
        nn.init.zeros_(self.mask.weight)
        with torch.no_grad():  # at first, all passes: one times this frame, nothing of the last
            self.mask.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0] * FOLD))  # type: ignore[union-attr]
        self.register_buffer("turns", torch.tensor(TURNS), persistent=False)
        self.high = HighBands(config.bottleneck)
        self.sizes = [2 * LOW, *[bands * channels] * config.blocks, config.bottleneck, HIGH_UNITS]

    @property
    def state_size(self) -> int:
        """S: floats of state of one signal."""
        return sum(self.sizes)

    def silence(self, count: int) -> Tensor:
        """The state of `count` signals before their start."""
        return self.mask.weight.new_zeros(count, self.state_size)

    def forward(self, spectrum: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        bands, channels = self.config.bands, self.config.channels
        before, *memories = state.split(self.sizes, dim=1)
        full = functional.pad(spectrum, (0, 0, 0, FULL))[:, :, :FULL]
        low = full[:, :, :LOW]
        small = low * (low * low).sum(-1, keepdim=True).clamp(min=TINY) ** ((POWER - 1) / 2)
        shifted = torch.cat([before.reshape(-1, 1, LOW, 2), small], 1)
        taps = torch.cat([small, shifted[:, :-1]], -1)  # (B, T, 256, 4)
        x = reshape(taps, 0, -1, GROUPS, 2 * TAPS * FOLD).permute(0, 3, 1, 2)
        skips = []
        for layer in self.front:
            x = layer(x)
            skips.append(x)
        x = torch.matmul(self.narrow(x), self.squeeze).permute(2, 0, 3, 1)  # (T, B, bands, C)
        after: list[Tensor] = [shifted[:, -1:].reshape(-1, 2 * LOW)]
        for number, block in enumerate(self.blocks):
            x, memory = block(x, memories[number].reshape(1, -1, channels))
            after.append(memory.reshape(-1, bands * channels))
            if number == min(1, len(self.blocks) - 1):
                below, memory = self.time(self.into(reshape(x, 0, 0, -1)), memories[-2].unsqueeze(0))
                x = x + reshape(self.back(below), 0, -1, bands, channels)
                bottom = memory.squeeze(0)
        x = self.widen(torch.matmul(x.permute(1, 3, 0, 2), self.stretch)) + skips[2]
        x = self.rear[1](self.rear[0](x) + skips[1]) + skips[0]
        mask = reshape(self.mask(x).permute(0, 2, 3, 1), 0, -1, LOW, 1, 2 * TAPS)
        turned = reshape(torch.matmul(taps, self.turns), 0, -1, LOW, 2, 2 * TAPS)
        cleaned = expand((mask * turned).sum(-1))
        gain, memory = self.high(full[:, :, LOW:], below, memories[-1].unsqueeze(0))
        above = spectrum[:, :, FULL:] * gain[:, :, -1:]
        out = torch.cat([cleaned, full[:, :, LOW:] * gain, above], 2)[:, :, : spectrum.shape[2]]
        return out, torch.cat([*after, bottom, memory.squeeze(0)], 1)


def expand(small: Tensor) -> Tensor:
    """Undo the compression: Y = y |y|^(1 / POWER - 1)."""
    return small * (small * small).sum(-1, keepdim=True).clamp(min=1e-12) ** ((1 / POWER - 1) / 2)


def band_map(bands: int) -> Tensor:
    """`(64, bands)`: triangles over the groups of four bins, at even steps of f / (f + 1500 Hz)."""
    hz = (torch.arange(GROUPS) + 0.5) * 8000 / GROUPS
    warped = hz / (hz + 1500)
    centres = torch.linspace(float(warped[0]), float(warped[-1]), bands)
    step = float(centres[1] - centres[0]) if bands > 1 else 1.0
    weights = (1 - (warped[:, None] - centres[None]).abs() / step).clamp(min=0)
    nearest = functional.one_hot((warped[:, None] - centres[None]).abs().argmin(0), GROUPS).T.float()
    weights = torch.where(weights.sum(0) > 0, weights, nearest)  # a band narrower than a group takes the nearest
    return weights / weights.sum(0)
