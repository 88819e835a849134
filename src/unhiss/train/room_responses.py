"""Room impulse responses by the image source method (Allen and Berkley 1979), computed by pyroomacoustics."""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

LENGTH_S = 0.4  # of a response; what is cut off lies some 40 dB down
SMALLEST_M, LARGEST_M = (2.0, 2.0, 2.2), (10.0, 8.0, 4.0)
RT60_S = (0.1, 0.5)
MAX_ORDER = 12  # of reflections; the work grows with its cube, and later ones are faint


@lru_cache(maxsize=1)  # training and validation share them
def room_responses(count: int, rate: int, seed: int) -> Tensor:
    """float32 `(count, 2, LENGTH_S * rate)` of unit energy: in each room, two sources to one microphone.

    A response starts with the direct sound, so that it does not delay what it is applied to.
    """
    from pyroomacoustics import Room, ShoeBox

    rng = np.random.default_rng([seed, count])
    length = int(LENGTH_S * rate)
    fade = np.ones(length)
    fade[-length // 4 :] = np.cos(np.linspace(0, np.pi / 2, length - length * 3 // 4)) ** 2
    out = np.zeros((count, 2, length), np.float32)
    for number in range(count):
        size = rng.uniform(SMALLEST_M, LARGEST_M)
        absorption, order = _walls(size, rng.uniform(*RT60_S))
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


def _walls(size: np.ndarray, rt60_s: float) -> tuple[Any, int]:
    """Wall material and reflection order for a reverberation time, or for the shortest that the room allows."""
    from pyroomacoustics import Material, inverse_sabine

    shortest_s = 0.161 * size.prod() / (2 * (size[0] * size[1] + size[0] * size[2] + size[1] * size[2]))
    absorption, order = inverse_sabine(max(rt60_s, shortest_s * 1.1), size)
    return Material(absorption), min(order, MAX_ORDER)


def reverberate(audio: Tensor, response: Tensor) -> Tensor:
    """`(B, T)` convolved with responses `(B, N)`, cut to T."""
    size = 1 << (audio.shape[-1] + response.shape[-1] - 1).bit_length()
    spectrum = torch.fft.rfft(audio, size) * torch.fft.rfft(response, size)
    reverberant: Tensor = torch.fft.irfft(spectrum, size)[..., : audio.shape[-1]]
    return reverberant
