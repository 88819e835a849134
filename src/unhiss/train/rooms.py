"""Room responses by the image source method (Allen and Berkley 1979), computed by pyroomacoustics."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

SECONDS = 0.4  # kept of a response; what is cut off lies some 40 dB down
SMALLEST_M, LARGEST_M = (2.0, 2.0, 2.2), (10.0, 8.0, 4.0)
RT60_S = (0.1, 0.5)
MOST_REFLECTIONS = 12  # the work grows with its cube; what comes later is faint


@lru_cache(maxsize=1)  # training and validation share them
def responses(count: int, rate: int, seed: int) -> Tensor:
    """float32 `(count, 2, SECONDS * rate)`: two sources in each room to one microphone, of unit energy.

    A response starts with its direct sound, so that what it is applied to stays in time.
    """
    from pyroomacoustics import Room, ShoeBox, inverse_sabine

    rng = np.random.default_rng([seed, count])
    length = int(SECONDS * rate)
    fade = np.ones(length)
    fade[-length // 4 :] = np.cos(np.linspace(0, np.pi / 2, length - length * 3 // 4)) ** 2
    out = np.zeros((count, 2, length), np.float32)
    for number in range(count):
        size = rng.uniform(SMALLEST_M, LARGEST_M)
        absorption, order = _walls(inverse_sabine, size, rng.uniform(*RT60_S))
        room: Room = ShoeBox(size, fs=rate, materials=absorption, max_order=order)
        for _ in range(2):
            room.add_source(rng.uniform(0.3, size - 0.3))
        room.add_microphone(rng.uniform(0.3, size - 0.3))
        room.compute_rir()
        for source, response in enumerate(room.rir[0]):
            direct = int(np.argmax(np.abs(response)))
            kept = response[direct : direct + length]
            out[number, source, : len(kept)] = kept * fade[: len(kept)]
    return torch.from_numpy(out / np.sqrt((out**2).sum(-1, keepdims=True)))


def _walls(inverse_sabine, size: np.ndarray, rt60_s: float):
    """Absorption and order of reflections for a reverberation time; the nearest that walls of this room allow."""
    from pyroomacoustics import Material

    shortest_s = 0.161 * size.prod() / (2 * (size[0] * size[1] + size[0] * size[2] + size[1] * size[2]))
    absorption, order = inverse_sabine(max(rt60_s, shortest_s * 1.1), size)
    return Material(absorption), min(order, MOST_REFLECTIONS)


def reverberate(audio: Tensor, response: Tensor) -> Tensor:
    """`(B, L)` convolved with responses `(B, N)`, cut to L."""
    size = audio.shape[-1] + response.shape[-1]
    size = 1 << (size - 1).bit_length()
    spectrum = torch.fft.rfft(audio, size) * torch.fft.rfft(response, size)
    return torch.fft.irfft(spectrum, size)[..., : audio.shape[-1]]
