"""Short-time Fourier transforms in torch: those of the frame models, of the causal models, and of the losses."""

import torch
from torch import Tensor
from torch.nn import functional

from unhiss.dsp.frames import AMIN, BINS, FLOOR_DB, HOP, N_FFT

WINDOW_S, HOP_S = 0.032, 0.016  # of the causal models
SCALE = 512  # a causal spectrum has the level of a 512-sample window, so that levels do not depend on the rate
CONTEXT_SIZE = (BINS - 1) * HOP + N_FFT  # samples under the 128 columns of a frame, without padding


def stft(audio: Tensor, window: Tensor, hop: int) -> Tensor:
    """Complex `(B, F, N)` of audio `(B, T)` without padding; column n starts at sample n * hop."""
    return torch.stft(audio, len(window), hop, window=window, center=False, return_complex=True)


def power_spectrogram(audio: Tensor, size: int, hop: int) -> Tensor:
    """|X|^2 `(B, N, F)` of audio `(B, T)` with a Hann window of `size` samples; no padding."""
    spectrum = stft(audio, torch.hann_window(size, device=audio.device), hop)
    return torch.view_as_real(spectrum).square().sum(-1).transpose(1, 2)


def frame_spectrum(audio: Tensor, edges: str = "zeros") -> Tensor:
    """Complex `(B, 128, 128)` of audio `(B, 8064)`, padded with zeros, or `(B, 8256)` (edges = "context")."""
    if edges == "zeros":
        audio = functional.pad(audio, (N_FFT // 2, N_FFT // 2))
    return stft(audio, torch.hann_window(N_FFT, device=audio.device), HOP)


def scale_frames(magnitude: Tensor, reference: Tensor) -> Tensor:
    """Magnitudes -> (dB + 80) / 80 in [0, 1]; see unhiss.dsp.frames.scale."""
    level_db = 20 * torch.log10(magnitude.clamp(min=AMIN) / reference.clamp(min=AMIN))
    return level_db.clamp(FLOOR_DB, 0) / -FLOOR_DB + 1


def _root_window(rate: int, device: torch.device) -> Tensor:
    """Square root of the periodic Hann window: applied twice and half overlapped, it adds up to one."""
    return torch.hann_window(round(rate * WINDOW_S), device=device).sqrt()


def analyse(audio: Tensor, rate: int) -> Tensor:
    """Causal models' spectrum `(B, T / hop + 1, F, 2)` of audio `(B, T)`, T a whole number of hops; zeros around it."""
    window = _root_window(rate, audio.device)
    half = len(window) // 2
    spectrum = stft(functional.pad(audio, (half, half)), window, half).transpose(1, 2)
    return torch.view_as_real(spectrum * (SCALE / len(window)))


def synthesise(spectrum: Tensor, rate: int) -> Tensor:
    """Inverse of `analyse`: `(B, N, F, 2)` -> `(B, (N - 1) * hop)`."""
    window = _root_window(rate, spectrum.device)
    size = len(window)
    frames = torch.fft.irfft(torch.view_as_complex(spectrum.contiguous()), size) * (size / SCALE)
    first, second = (frames * window).split(size // 2, dim=-1)
    audio: Tensor = (second[:, :-1] + first[:, 1:]).flatten(1)
    return audio
