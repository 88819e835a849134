"""Short-time Fourier transform (STFT) with any window length and hop, of a signal or of parts of it."""

import numpy as np


def window(n_fft: int) -> np.ndarray:
    """Periodic Hann window, float32 `(n_fft,)`."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)


def analyse(audio: np.ndarray, n_fft: int, hop: int) -> np.ndarray:
    """STFT of `(..., T)` without padding: complex64 `(..., F, N)`, F = n_fft // 2 + 1 bins.

    Column n covers samples n * hop to n * hop + n_fft; N = 1 + (T - n_fft) // hop, or 0.
    """
    if audio.shape[-1] < n_fft:
        return np.zeros((*audio.shape[:-1], n_fft // 2 + 1, 0), np.complex64)
    frames = np.lib.stride_tricks.sliding_window_view(audio, n_fft, axis=-1)[..., ::hop, :]
    return np.fft.rfft(frames * window(n_fft), axis=-1).astype(np.complex64).swapaxes(-1, -2)


def synthesise(spectrum: np.ndarray, n_fft: int, hop: int) -> np.ndarray:
    """Overlap-add of windowed inverse transforms: `(..., F, N)` -> `(..., (N - 1) * hop + n_fft)`.

    Not divided by `overlap`, so that parts of a long signal can be added up.
    """
    columns = spectrum.shape[-1]
    frames = np.fft.irfft(spectrum.swapaxes(-1, -2), n_fft, axis=-1).astype(np.float32) * window(n_fft)
    parts = -(-n_fft // hop)
    frames = np.pad(frames, [(0, 0)] * (frames.ndim - 1) + [(0, parts * hop - n_fft)])
    slots = frames.reshape(*frames.shape[:-1], parts, hop)
    out = np.zeros((*spectrum.shape[:-2], columns + parts - 1, hop), np.float32)
    for part in range(parts):
        out[..., part : part + columns, :] += slots[..., part, :]
    return out.reshape(*spectrum.shape[:-2], -1)[..., : (columns - 1) * hop + n_fft]


def overlap(columns: int, n_fft: int, hop: int) -> np.ndarray:
    """The sum of the squared windows of `columns` columns, by which the output of `synthesise` is divided."""
    total = np.zeros((columns - 1) * hop + n_fft, np.float32)
    square = window(n_fft) ** 2
    for column in range(columns):
        total[column * hop : column * hop + n_fft] += square
    return total


def stft(audio: np.ndarray, n_fft: int, hop: int) -> np.ndarray:
    """Centred STFT of `(..., T)` with zeros beyond both ends, as librosa.stft with its defaults."""
    half = n_fft // 2
    return analyse(np.pad(audio, [(0, 0)] * (audio.ndim - 1) + [(half, half)]), n_fft, hop)


def istft(spectrum: np.ndarray, n_fft: int, hop: int, length: int) -> np.ndarray:
    """Inverse of `stft`: float32 `(..., length)`, exact where the sum of the windows is not zero."""
    half = n_fft // 2
    total = overlap(spectrum.shape[-1], n_fft, hop)
    audio = synthesise(spectrum, n_fft, hop) / np.where(total > 1e-8, total, 1)
    audio = audio[..., half : half + length]
    return np.pad(audio, [(0, 0)] * (audio.ndim - 1) + [(0, length - audio.shape[-1])])
