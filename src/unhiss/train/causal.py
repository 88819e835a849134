"""The causal model: spectra and state in, cleaned spectra and state out; any rate, any number of frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from unhiss.settings import CausalConfig

LOW = 256  # bins the network masks one by one: 31.25 Hz each, up to 8 kHz
FOLD = 4  # neighbouring bins that become channels
GROUPS = LOW // FOLD
HIGH_BAND = 32  # bins of a band above 8 kHz: 1 kHz
HIGH_BANDS = 16  # up to 24 kHz; what lies above follows the last one
FULL = LOW + HIGH_BAND * HIGH_BANDS
SEEN = 2  # frames the first convolution sees: this one and the one before
TINY = 1e-10  # power far below 16-bit resolution; keeps gradients finite
HIGH_UNITS, CONTEXT = 48, 16


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


class Recurrence(nn.Module):
    """An LSTM over time, `(T, N, I)` -> `(T, N, units)`; its two memories are `(1, N, units)` each.

    Not a GRU: PyTorch trains an LSTM three times as fast on a CPU.
    """

    def __init__(self, inside: int, units: int) -> None:
        super().__init__()
        self.cell = nn.LSTM(inside, units)

    def forward(self, x: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        y, after = self.cell(x, tuple(part.contiguous() for part in state))  # as a GPU wants them
        return y, after


class Block(nn.Module):
    """`(T, B, bands, C)`: recurrence over time, the same for every band, then mixing over bands."""

    def __init__(self, channels: int, bands: int) -> None:
        super().__init__()
        self.channels, self.bands = channels, bands
        self.time = Recurrence(channels, channels)
        self.out = nn.Linear(channels, channels, bias=False)  # biases beside a residual are only nodes in the graph
        self.mixing = nn.Parameter(torch.randn(bands, bands) * 0.3 / bands**0.5)
        self.after = nn.Linear(channels, channels, bias=False)

    def forward(self, x: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        """state: two of `(1, B * bands, C)`."""
        y, after = self.time(reshape(x, 0, -1, self.channels), state)
        x = x + reshape(self.out(y), 0, -1, self.bands, self.channels)
        return x + self.after(functional.relu(torch.matmul(self.mixing, x))), after


class HighBands(nn.Module):
    """Gains of the sixteen 1 kHz bands from 8 kHz up, from their own levels and what the low band knows."""

    spread: Tensor

    def __init__(self, bottleneck: int) -> None:
        super().__init__()
        self.context = nn.Linear(bottleneck, CONTEXT)
        self.time = Recurrence(HIGH_BANDS + CONTEXT, HIGH_UNITS)
        self.out = nn.Linear(HIGH_UNITS, HIGH_BANDS)
        nn.init.constant_(self.out.bias, 1.0)
        with torch.no_grad():
            # Logarithms of power come in, from -16 to 8.
            self.time.cell.weight_ih_l0[:, :HIGH_BANDS].mul_(0.2)  # type: ignore[index]
        self.register_buffer("spread", _spread(), persistent=False)

    def forward(self, spectrum: Tensor, below: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        """spectrum `(B, T, 512, 2)`, below `(T, B, bottleneck)` -> gains `(B, T, 512, 2)`."""
        power = reshape(spectrum * spectrum, 0, -1, HIGH_BANDS, HIGH_BAND * 2).mean(-1)
        level = torch.log(power + 1e-7).transpose(0, 1)
        y, after = self.time(torch.cat([level, torch.tanh(self.context(below))], -1), state)
        gains = torch.sigmoid(self.out(y)).transpose(0, 1)
        return reshape(torch.matmul(gains, self.spread), 0, -1, HIGH_BAND * HIGH_BANDS, 2), after


def _spread() -> Tensor:
    """`(16, 1024)`: gains of bands -> of bins, real and imaginary, straight from one band's centre to the next."""
    centres = (torch.arange(HIGH_BANDS) + 0.5) * HIGH_BAND
    place = (torch.arange(HIGH_BANDS * HIGH_BAND) + 0.5).clamp(float(centres[0]), float(centres[-1]))
    return (1 - (place[None] - centres[:, None]).abs() / HIGH_BAND).clamp(min=0).repeat_interleave(2, dim=1)


class Causal(nn.Module):
    """`(spectrum (B, T, F, 2), state (B, S)) -> (cleaned, next state)`; zeros, or None, are the state at the start.

    Spectra have 31.25 Hz bins at every rate (32 ms windows, half overlapped). Up to 8 kHz each bin gets a
    complex mask, above that each 1 kHz a gain. Cut anywhere in time, with the state handed
    on, the results are the same.

        spectrum -> compress -> 16 x 64 -> convolutions over frequency ---------- skips ----------.
                                   -> bands -> [LSTM over time, mixing over bands] x blocks -> groups -> mask
                                                  after the second: one LSTM over all bands
    """

    turn: Tensor
    add: Tensor

    def __init__(self, config: CausalConfig) -> None:
        super().__init__()
        self.config = config
        width, channels, bands = config.width, config.channels, config.bands
        self.front = nn.ModuleList([Convolution(2 * SEEN * FOLD, width), *(Convolution(width, width) for _ in "ab")])
        squeeze = band_map(bands)
        self.squeeze, self.stretch = nn.Parameter(squeeze), nn.Parameter(squeeze.T / squeeze.T.sum(0).clamp(min=1e-6))
        self.narrow, self.widen = nn.Conv2d(width, channels, 1), nn.Conv2d(channels, width, 1)
        self.blocks = nn.ModuleList(Block(channels, bands) for _ in range(config.blocks))
        self.into = nn.Linear(bands * channels, config.bottleneck, bias=False)
        self.time = Recurrence(config.bottleneck, config.bottleneck)
        self.back = nn.Linear(config.bottleneck, bands * channels, bias=False)
        self.rear = nn.ModuleList(Convolution(width, width) for _ in "ab")
        self.mask = nn.Conv2d(width, 2 * FOLD, 1)
        nn.init.zeros_(self.mask.weight)
        with torch.no_grad():  # at first, all passes
            self.mask.bias.copy_(torch.tensor([1.0, 0.0] * FOLD))  # type: ignore[union-attr]
        self.register_buffer("turn", _turn(), persistent=False)
        self.register_buffer("add", _add(), persistent=False)
        self.high = HighBands(config.bottleneck)
        # The state: the compressed spectrum of the frame before, then memories end to end, two of every block, of the
        # bottleneck and of the high bands. An LSTM takes each as it lies there.
        self.units = [channels] * 2 * config.blocks + [config.bottleneck] * 2 + [HIGH_UNITS] * 2
        rows = [bands] * 2 * config.blocks + [1] * 4
        self.sizes = [2 * LOW, *(count * units for count, units in zip(rows, self.units, strict=True))]

    @property
    def state_size(self) -> int:
        """S: floats of state of one signal."""
        return sum(self.sizes)

    def silence(self, count: int) -> Tensor:
        """The state of `count` signals before their start."""
        return self.mask.weight.new_zeros(count, self.state_size)

    def forward(self, spectrum: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        bands, channels = self.config.bands, self.config.channels
        state = self.silence(len(spectrum)) if state is None else state
        before, *parts = state.split(self.sizes, 1)
        memories = [reshape(part, 1, -1, units) for part, units in zip(parts, self.units, strict=True)]
        bottom, top = memories[-4:-2], memories[-2:]
        low, high = functional.pad(spectrum, (0, 0, 0, FULL))[:, :, :FULL].split([LOW, FULL - LOW], 2)
        small = compress(low)
        shifted = torch.cat([reshape(before, -1, 1, LOW, 2), small], 1)
        seen = reshape(torch.cat([small, shifted[:, :-1]], -1), 0, -1, GROUPS, 2 * SEEN * FOLD).permute(0, 3, 1, 2)
        x, skips = seen, []
        for layer in self.front:
            x = layer(x)
            skips.append(x)
        # The two last axes are exchanged by themselves: onnxruntime does that within the product.
        x = self.narrow(x).permute(0, 2, 1, 3).transpose(2, 3)
        x = torch.matmul(self.squeeze.T, x).transpose(0, 1)  # (T, B, bands, C)
        after: list[Tensor] = []
        for number, block in enumerate(self.blocks):
            x, own = block(x, memories[2 * number : 2 * number + 2])
            after += own
            if number == min(1, len(self.blocks) - 1):
                below, bottom = self.time(self.into(reshape(x, 0, 0, -1)), bottom)
                x = x + reshape(self.back(below), 0, -1, bands, channels)
        x = torch.matmul(x.transpose(0, 1).transpose(2, 3), self.stretch).permute(0, 2, 1, 3)
        x = self.widen(x) + skips[2]
        x = self.rear[1](self.rear[0](x) + skips[1]) + skips[0]
        cleaned = expand(reshape(self._masked(x, seen).permute(0, 2, 3, 1), 0, -1, LOW, 2))
        gain, top = self.high(high, below, top)
        above = spectrum[:, :, FULL:] * gain[:, :, -1:]
        out = torch.cat([cleaned, high * gain, above], 2)[:, :, : spectrum.shape[2]]
        parts = [shifted[:, -1], *after, *bottom, *top]
        return out, torch.cat([reshape(part, -1, size) for part, size in zip(parts, self.sizes, strict=True)], 1)

    def _masked(self, x: Tensor, seen: Tensor) -> Tensor:
        """Mask times this frame, complex: `(B, 8, T, 64)` from features and `(B, 16, T, 64)`.

        As convolutions of kernel 1, the mask made twice: onnxruntime runs these in one layout, without
        moving anything, several times faster than the same product written over the last axis.
        """
        weight, bias = self.mask.weight, self.mask.bias
        with _exact(seen):
            twice = functional.conv2d(x.float(), torch.cat([weight] * 2), torch.cat([bias] * 2))  # type: ignore[list-item]
            return functional.conv2d(twice * functional.conv2d(seen, self.turn), self.add)


def _turn() -> Tensor:
    """`(16, 16, 1, 1)`: (re, im) of this frame -> (re, -im), then (im, re), so that a product is a sum of products."""
    turn = torch.zeros(2, FOLD, 2, FOLD, SEEN, 2)
    for neighbour in range(FOLD):
        here = turn[:, neighbour, :, neighbour, 0]
        here[0, 0, 0], here[0, 1, 1] = 1, -1
        here[1, 0, 1], here[1, 1, 0] = 1, 1
    turn = turn.reshape(2, 2 * FOLD, 2 * SEEN * FOLD)
    return turn.flatten(0, 1)[:, :, None, None]


def _add() -> Tensor:
    """`(8, 16, 1, 1)`: over both products of each neighbour, to its real and imaginary part."""
    add = torch.zeros(FOLD, 2, 2, FOLD, 2)
    for neighbour in range(FOLD):
        for part in range(2):
            add[neighbour, part, part, neighbour] = 1
    return add.reshape(2 * FOLD, 4 * FOLD, 1, 1)


def _exact(like: Tensor) -> torch.autocast:
    """Keep what is inside in float32: expansion makes an error of bf16 four times as large."""
    return torch.autocast(like.device.type, enabled=False)


_BOTH = torch.ones(2, 2)


def _power(spectrum: Tensor) -> Tensor:
    """|X|^2 of `(..., 2)`, given to both parts: a later product then needs no broadcasting, which is slow."""
    with _exact(spectrum):
        power: Tensor = torch.matmul(spectrum * spectrum, _BOTH.to(spectrum.device))
    return power


def compress(spectrum: Tensor) -> Tensor:
    """X |X|^(-3/4), from square roots alone; `(..., 2)`."""
    root = torch.sqrt(torch.sqrt(_power(spectrum).clamp(min=TINY)))  # |X|^(1/2)
    return spectrum / (root * torch.sqrt(root))


def expand(small: Tensor) -> Tensor:
    """Undo the compression: Y = y |y|^3."""
    power = _power(small)
    return small * (power * torch.sqrt(power.clamp(min=1e-16)))


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
