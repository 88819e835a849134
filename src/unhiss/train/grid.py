"""The causal models' spectra in torch: 32 ms windows, half overlapped, the same bins at every rate."""

from __future__ import annotations

import torch
from torch import Tensor

WINDOW_S, HOP_S = 0.032, 0.016
SCALE = 512  # a spectrum is that of 512 samples, so that levels do not depend on the rate


def window(size: int, device: torch.device) -> Tensor:
    """Root of the periodic Hann window: applied twice and half overlapped it adds up to one."""
    return torch.hann_window(size, device=device).sqrt()


def analyse(audio: Tensor, rate: int) -> Tensor:
    """`(B, L)`, L a whole number of hops -> `(B, L / hop + 1, F, 2)`; silence before and after."""
    size = round(rate * WINDOW_S)
    half = size // 2
    frames = torch.nn.functional.pad(audio, (half, half)).unfold(-1, size, half)
    spectrum = torch.fft.rfft(frames * window(size, audio.device)) * (SCALE / size)
    return torch.view_as_real(spectrum)


def synthesise(spectrum: Tensor, rate: int) -> Tensor:
    """The inverse: `(B, T, F, 2)` -> `(B, (T - 1) * hop)`."""
    size = round(rate * WINDOW_S)
    frames = torch.fft.irfft(torch.view_as_complex(spectrum.contiguous()), size) * (size / SCALE)
    first, second = (frames * window(size, spectrum.device)).split(size // 2, dim=-1)
    return (second[:, :-1] + first[:, 1:]).flatten(1)
