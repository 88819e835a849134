"""The causal network: spectra and state in, denoised spectra and state out; any rate, any number of frames."""

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from unhiss.settings import CausalConfig
from unhiss.train.speech_head import SpeechHead

LOW = 256  # bins with a mask of their own: 31.25 Hz each, up to 8 kHz
GROUP_BINS = 4  # neighbouring bins that become channels
GROUPS = LOW // GROUP_BINS
HIGH_BAND_BINS = 32  # bins of a band above 8 kHz: 1 kHz
HIGH_BANDS = 16  # up to 24 kHz; bins above that get the gain of the last band
ALL_BINS = LOW + HIGH_BAND_BINS * HIGH_BANDS
INPUT_FRAMES = 2  # of the first convolution: this frame and the one before
MIN_POWER = 1e-10  # far below 16-bit resolution; keeps gradients finite
HIGH_UNITS, HIGH_CONTEXT = 48, 16
MANY_SEQUENCES = 1024  # from here on a kernel of our own takes the place of cuDNN (fused_lstm.py)


class _Reshape(torch.autograd.Function):
    """Reshape where 0 keeps a size and -1 takes the rest: one ONNX node with a constant shape, for any B and T."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, shape: Sequence[int]) -> Tensor:
        ctx.shape = x.shape
        return x.reshape([x.shape[axis] if size == 0 else size for axis, size in enumerate(shape)])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0].reshape(ctx.shape), None

    @staticmethod
    def symbolic(g: Any, x: Any, shape: Sequence[int]) -> Any:
        return g.op("Reshape", x, g.op("Constant", value_t=torch.tensor(shape)))


def reshape(x: Tensor, *shape: int) -> Tensor:
    """x in another shape; 0 keeps a size, -1 takes the rest."""
    out: Tensor = _Reshape.apply(x, shape)  # type: ignore[no-untyped-call]
    return out


class FrequencyConvolution(nn.Module):
    """`(B, C, T, G)` over frequency only: kernel 3, batch norm (folded into it on export), ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, (1, 3), padding=(0, 1))
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.norm(self.conv(x)))


class Recurrence(nn.Module):
    """An LSTM over time, `(T, N, inputs)` -> `(T, N, units)`; its state is two tensors `(1, N, units)`.

    Not a GRU: PyTorch trains an LSTM three times as fast on a CPU.
    """

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.cell = nn.LSTM(inputs, units)

    def forward(self, x: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        if x.is_cuda and x.shape[1] >= MANY_SEQUENCES and torch.is_autocast_enabled("cuda") and _has_triton():
            from unhiss.train.fused_lstm import lstm

            return lstm(self.cell, x, state, torch.get_autocast_dtype("cuda"))
        y, next_state = self.cell(x, tuple(part.contiguous() for part in state))  # contiguous: required on a GPU
        return y, next_state


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None


class TimeBandBlock(nn.Module):
    """`(T, B, bands, C)`: an LSTM over time, the same for every band, then mixing over bands; two residuals."""

    def __init__(self, channels: int, bands: int) -> None:
        super().__init__()
        self.channels, self.bands = channels, bands
        self.lstm = Recurrence(channels, channels)
        self.lstm_out = nn.Linear(channels, channels, bias=False)  # a bias beside a residual only adds a node
        self.band_mixing = nn.Parameter(torch.randn(bands, bands) * 0.3 / bands**0.5)
        self.mixing_out = nn.Linear(channels, channels, bias=False)

    def forward(self, x: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        """state: two of `(1, B * bands, C)`."""
        y, next_state = self.lstm(reshape(x, 0, -1, self.channels), state)
        x = x + reshape(self.lstm_out(y), 0, -1, self.bands, self.channels)
        return x + self.mixing_out(functional.relu(torch.matmul(self.band_mixing, x))), next_state


class HighBands(nn.Module):
    """Gains of the sixteen 1 kHz bands from 8 kHz up, from their own levels and the features of the low band."""

    band_to_bins: Tensor

    def __init__(self, bottleneck: int) -> None:
        super().__init__()
        self.context = nn.Linear(bottleneck, HIGH_CONTEXT)
        self.lstm = Recurrence(HIGH_BANDS + HIGH_CONTEXT, HIGH_UNITS)
        self.gains = nn.Linear(HIGH_UNITS, HIGH_BANDS)
        nn.init.constant_(self.gains.bias, 1.0)
        with torch.no_grad():
            # The inputs are logarithms of power, from -16 to 8.
            self.lstm.cell.weight_ih_l0[:, :HIGH_BANDS].mul_(0.2)  # type: ignore[index]
        self.register_buffer("band_to_bins", _band_to_bins(), persistent=False)

    def forward(self, spectrum: Tensor, features: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        """spectrum `(B, T, 512, 2)`, features `(T, B, bottleneck)` -> gains `(B, T, 512, 2)`."""
        power = reshape(spectrum * spectrum, 0, -1, HIGH_BANDS, HIGH_BAND_BINS * 2).mean(-1)
        level = torch.log(power + 1e-7).transpose(0, 1)
        y, next_state = self.lstm(torch.cat([level, torch.tanh(self.context(features))], -1), state)
        gains = torch.sigmoid(self.gains(y)).transpose(0, 1)
        return reshape(torch.matmul(gains, self.band_to_bins), 0, -1, HIGH_BAND_BINS * HIGH_BANDS, 2), next_state


def _band_to_bins() -> Tensor:
    """`(16, 1024)`: gains of bands -> of bins, real and imaginary part, linear between the bands' centres."""
    centres = (torch.arange(HIGH_BANDS) + 0.5) * HIGH_BAND_BINS
    position = (torch.arange(HIGH_BANDS * HIGH_BAND_BINS) + 0.5).clamp(float(centres[0]), float(centres[-1]))
    weights = (1 - (position[None] - centres[:, None]).abs() / HIGH_BAND_BINS).clamp(min=0)
    return weights.repeat_interleave(2, dim=1)


class CausalNetwork(nn.Module):
    """`(spectrum (B, T, F, 2), state (B, S)) -> (denoised, next state)`; the first state is zeros, or None.

    With `causal.speech` there is a third result, the probability of speech `(B, T)`; the state begins with its last.

    Spectra have 31.25 Hz bins at every rate (32 ms windows, half overlapped). Up to 8 kHz each bin gets a
    complex mask, above that each 1 kHz band a gain. Frames may come in calls of any length: with the state
    passed on, the results are the same.

        spectrum -> compress -> 16 x 64 -> encoder (over frequency) ------------- skips ----------> decoder
                                   -> bands -> [LSTM over time, mixing over bands] x blocks -> groups -> mask
                                                  after the second: one LSTM over all bands
    """

    product_inputs: Tensor
    product_sum: Tensor

    def __init__(self, config: CausalConfig) -> None:
        super().__init__()
        self.config = config
        width, channels, bands = config.width, config.channels, config.bands
        inputs = 2 * INPUT_FRAMES * GROUP_BINS
        self.encoder = nn.ModuleList(FrequencyConvolution(size, width) for size in (inputs, width, width))
        to_bands = band_map(bands)
        self.to_bands = nn.Parameter(to_bands)
        self.from_bands = nn.Parameter(to_bands.T / to_bands.T.sum(0).clamp(min=1e-6))
        self.reduce_channels, self.restore_channels = nn.Conv2d(width, channels, 1), nn.Conv2d(channels, width, 1)
        self.blocks = nn.ModuleList(TimeBandBlock(channels, bands) for _ in range(config.blocks))
        self.bottleneck_in = nn.Linear(bands * channels, config.bottleneck, bias=False)
        self.bottleneck_lstm = Recurrence(config.bottleneck, config.bottleneck)
        self.bottleneck_out = nn.Linear(config.bottleneck, bands * channels, bias=False)
        self.decoder = nn.ModuleList(FrequencyConvolution(width, width) for _ in range(2))
        self.mask = nn.Conv2d(width, 2 * GROUP_BINS, 1)
        nn.init.zeros_(self.mask.weight)
        with torch.no_grad():  # a new network passes everything
            self.mask.bias.copy_(torch.tensor([1.0, 0.0] * GROUP_BINS))  # type: ignore[union-attr]
        self.register_buffer("product_inputs", _product_inputs(), persistent=False)
        self.register_buffer("product_sum", _product_sum(), persistent=False)
        self.high_bands = HighBands(config.bottleneck)
        self.speech = SpeechHead(channels * bands) if config.speech else None
        # The state: the compressed spectrum of the frame before, then the LSTM states end to end: two of every block,
        # of the bottleneck and of the high bands. Each lies there in the LSTM's own layout.
        self.units = [channels] * 2 * config.blocks + [config.bottleneck] * 2 + [HIGH_UNITS] * 2
        # Before all these, with a speech head: the probability in the newest frame, which costs no output of its own.
        rows = [bands] * 2 * config.blocks + [1] * 4
        self.newest = [1] if config.speech else []
        self.sizes = [2 * LOW, *(count * units for count, units in zip(rows, self.units, strict=True))]

    @property
    def state_size(self) -> int:
        """S: floats of state of one signal."""
        return sum(self.newest + self.sizes)

    def initial_state(self, count: int) -> Tensor:
        """The state of `count` signals before their start, `(count, S)`."""
        return self.mask.weight.new_zeros(count, self.state_size)

    def forward(self, spectrum: Tensor, state: Tensor | None = None) -> tuple[Tensor, ...]:
        bands, channels = self.config.bands, self.config.channels
        state = self.initial_state(len(spectrum)) if state is None else state
        previous, *parts = torch.split(state, self.newest + self.sizes, 1)[len(self.newest) :]
        lstm_states = [reshape(part, 1, -1, units) for part, units in zip(parts, self.units, strict=True)]
        padded = functional.pad(spectrum, (0, 0, 0, ALL_BINS))[:, :, :ALL_BINS]
        low, high = torch.split(padded, [LOW, ALL_BINS - LOW], 2)
        compressed = compress(low)
        shifted = torch.cat([reshape(previous, -1, 1, LOW, 2), compressed], 1)
        inputs = torch.cat([compressed, shifted[:, :-1]], -1)
        inputs = reshape(inputs, 0, -1, GROUPS, 2 * INPUT_FRAMES * GROUP_BINS).permute(0, 3, 1, 2)
        x, skips = inputs, []
        for layer in self.encoder:
            x = layer(x)
            skips.append(x)
        # The two last axes are exchanged in a step of their own: onnxruntime fuses it with the product.
        x = self.reduce_channels(x).permute(0, 2, 1, 3).transpose(2, 3)
        x = torch.matmul(self.to_bands.T, x).transpose(0, 1)  # (T, B, bands, C)
        next_states: list[Tensor] = []
        for number, block in enumerate(self.blocks):
            x, block_state = block(x, lstm_states[2 * number : 2 * number + 2])
            next_states += block_state
            if number == min(1, len(self.blocks) - 1):
                features = self.bottleneck_in(reshape(x, 0, 0, -1))
                features, bottleneck_state = self.bottleneck_lstm(features, lstm_states[-4:-2])
                x = x + reshape(self.bottleneck_out(features), 0, -1, bands, channels)
        x = x.transpose(0, 1).transpose(2, 3)  # (B, T, C, bands)
        speech = [self.speech(reshape(x, 0, 0, -1))] if self.speech else []
        x = torch.matmul(x, self.from_bands).permute(0, 2, 1, 3)
        x = self.restore_channels(x) + skips[2]
        x = self.decoder[1](self.decoder[0](x) + skips[1]) + skips[0]
        denoised = expand(reshape(self._apply_mask(x, inputs).permute(0, 2, 3, 1), 0, -1, LOW, 2))
        gain, high_state = self.high_bands(high, features, lstm_states[-2:])
        above = spectrum[:, :, ALL_BINS:] * gain[:, :, -1:]
        out = torch.cat([denoised, high * gain, above], 2)[:, :, : spectrum.shape[2]]
        parts = [shifted[:, -1], *next_states, *bottleneck_state, *high_state]
        parts = [reshape(part, -1, size) for part, size in zip(parts, self.sizes, strict=True)]
        return out, torch.cat([*(probability[:, -1:] for probability in speech), *parts], 1), *speech

    def _apply_mask(self, x: Tensor, inputs: Tensor) -> Tensor:
        """Complex product of the mask and this frame: `(B, 8, T, 64)` from features and inputs `(B, 16, T, 64)`.

        As convolutions of kernel 1, with the mask computed twice: onnxruntime runs these in one layout, without
        moving anything, several times faster than the same product written over the last axis.
        """
        weight, bias = self.mask.weight, self.mask.bias
        with _float32(inputs):
            masks = functional.conv2d(x.float(), torch.cat([weight] * 2), torch.cat([bias] * 2))  # type: ignore[list-item]
            return functional.conv2d(masks * functional.conv2d(inputs, self.product_inputs), self.product_sum)


def _product_inputs() -> Tensor:
    """`(16, 16, 1, 1)`: (re, im) of this frame -> (re, -im), then (im, re): the factors of a complex product."""
    weights = torch.zeros(2, GROUP_BINS, 2, GROUP_BINS, INPUT_FRAMES, 2)
    for neighbour in range(GROUP_BINS):
        this_frame = weights[:, neighbour, :, neighbour, 0]
        this_frame[0, 0, 0], this_frame[0, 1, 1] = 1, -1
        this_frame[1, 0, 1], this_frame[1, 1, 0] = 1, 1
    weights = weights.reshape(2, 2 * GROUP_BINS, 2 * INPUT_FRAMES * GROUP_BINS)
    return weights.flatten(0, 1)[:, :, None, None]


def _product_sum() -> Tensor:
    """`(8, 16, 1, 1)`: adds both products of each bin to its real and imaginary part."""
    weights = torch.einsum("nm,pq->npqm", torch.eye(GROUP_BINS), torch.eye(2)).repeat_interleave(2, -1)
    return weights.reshape(2 * GROUP_BINS, 4 * GROUP_BINS, 1, 1)


def _float32(like: Tensor) -> torch.autocast:
    """No autocast inside: `expand` makes an error of bf16 four times as large."""
    return torch.autocast(like.device.type, enabled=False)


_BOTH_PARTS = torch.ones(2, 2)


def _power(spectrum: Tensor) -> Tensor:
    """|X|^2 of `(..., 2)`, repeated for both parts: a later product then needs no broadcasting, which is slow."""
    with _float32(spectrum):
        power: Tensor = torch.matmul(spectrum * spectrum, _BOTH_PARTS.to(spectrum.device))
    return power


def compress(spectrum: Tensor) -> Tensor:
    """X |X|^(-3/4), from square roots alone; `(..., 2)`."""
    root = torch.sqrt(torch.sqrt(_power(spectrum).clamp(min=MIN_POWER)))  # |X|^(1/2)
    return spectrum / (root * torch.sqrt(root))


def expand(compressed: Tensor) -> Tensor:
    """Inverse of `compress`: Y = y |y|^3."""
    power = _power(compressed)
    return compressed * (power * torch.sqrt(power.clamp(min=1e-16)))


def band_map(bands: int) -> Tensor:
    """`(64, bands)`: triangles over the groups of four bins, at even steps of f / (f + 1500 Hz)."""
    hz = (torch.arange(GROUPS) + 0.5) * 8000 / GROUPS
    warped = hz / (hz + 1500)
    centres = torch.linspace(float(warped[0]), float(warped[-1]), bands)
    step = float(centres[1] - centres[0]) if bands > 1 else 1.0
    distance = (warped[:, None] - centres[None]).abs()
    weights = (1 - distance / step).clamp(min=0)
    nearest = functional.one_hot(distance.argmin(0), GROUPS).T.float()
    weights = torch.where(weights.sum(0) > 0, weights, nearest)  # a band narrower than a group takes the nearest
    return weights / weights.sum(0)
