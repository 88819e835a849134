"""Rooms whose early reflections belong to the speech, and whose late ones are to be removed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

EARLY_S = 0.05  # reflections up to here make speech louder and clearer; later ones blur it
LENGTH_S = 0.7
SMALLEST_M, LARGEST_M = (2.0, 2.0, 2.2), (12.0, 9.0, 4.5)
RT60_S, NEAR_M = (0.15, 1.0), (0.3, 3.0)
MIXING_S, SOUND_M_PER_S = 0.06, 343.0  # image sources up to here; then a diffuse tail


class Rooms:
    """Some rooms for signals of `length` samples, simulated once by the image source method (Allen and Berkley)."""

    def __init__(self, count: int, length: int, rate: int, seed: int, device: torch.device) -> None:
        self.length, self.size = length, fast_size(length + int(LENGTH_S * rate))
        responses = torch.from_numpy(np.stack(simulated(count, rate, seed))).to(device)
        self.spectra = torch.fft.rfft(responses, self.size)  # (rooms, 3, size / 2 + 1)

    def reverberate(self, numbers: Tensor, speech: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Speech and noise `(R, length)` in the rooms `numbers` `(R,)`: the speech, its early part, and the noise."""
        rooms = self.spectra[numbers]
        dry = torch.fft.rfft(speech, self.size)
        spectra = dry * rooms[:, 0], dry * rooms[:, 1], torch.fft.rfft(noise, self.size) * rooms[:, 2]
        full, early, noise = (torch.fft.irfft(spectrum, self.size)[:, : self.length] for spectrum in spectra)
        return full, early, noise


def simulated(count: int, rate: int, seed: int) -> list[np.ndarray]:
    """Responses float32 `(3, LENGTH_S * rate)` of each room: of the speech, of its early part, of noise elsewhere."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda number: _responses([seed, number], rate), range(count)))


def _responses(seed: list[int], rate: int) -> np.ndarray:
    speech, noise = (
        response / np.sqrt(np.sum(response**2)) for response in simulate(np.random.default_rng(seed), rate)
    )
    size = round(EARLY_S * rate)
    fade = np.linspace(1, 0, size // 5)
    early = speech * np.concatenate([np.ones(size - fade.size), fade, np.zeros(speech.size - size)])
    return np.stack([speech, early, noise]).astype(np.float32)


def fast_size(least: int) -> int:
    """The smallest length from `least` on of which a transform is fast: 2^a 3^b 5^c, even."""
    powers = (2**a * 3**b * 5**c for a in range(1, 22) for b in range(5) for c in range(5))
    return int(min(size for size in powers if size >= least))


def simulate(rng: np.random.Generator, rate: int) -> list[np.ndarray]:
    """Responses of two sources to one microphone, speech near it, noise anywhere; each starts with the direct sound."""
    from pyroomacoustics import ShoeBox

    size, rt60_s = rng.uniform(SMALLEST_M, LARGEST_M), rng.uniform(*RT60_S)
    absorption, order = _walls(size, rt60_s)
    room: Any = ShoeBox(size, fs=rate, materials=absorption, max_order=order)
    microphone = rng.uniform(0.3, size - 0.3)
    direction = rng.standard_normal(3)
    near = microphone + direction / np.linalg.norm(direction) * np.exp(rng.uniform(*np.log(NEAR_M)))
    room.add_source(np.clip(near, 0.2, size - 0.2))
    room.add_source(rng.uniform(0.3, size - 0.3))
    room.add_microphone(microphone)
    room.compute_rir()
    return [_with_tail(rng, response, rate, rt60_s) for response in room.rir[0]]


def _with_tail(rng: np.random.Generator, response: np.ndarray, rate: int, rt60_s: float) -> np.ndarray:
    """The response from its direct sound on, `(LENGTH_S * rate,)`, continued by noise that decays as the room does."""
    length, mixing = int(LENGTH_S * rate), int(MIXING_S * rate)
    start = int(np.argmax(np.abs(response)))
    out = np.zeros(length)
    kept = response[start : start + length]
    out[: kept.size] = kept
    decay = 10 ** (-3 * np.arange(length) / (rt60_s * rate))
    before = np.sqrt(np.mean(out[mixing // 2 : mixing] ** 2)) / decay[mixing * 3 // 4]
    tail = rng.standard_normal(length) * decay * before
    share = np.clip((np.arange(length) - mixing / 2) / (mixing / 2), 0, 1)
    return np.asarray(out * np.sqrt(1 - share) + tail * np.sqrt(share))


def _walls(size: np.ndarray, rt60_s: float) -> tuple[Any, int]:
    """Wall material and reflection order for a reverberation time, or for the shortest that the room allows."""
    from pyroomacoustics import Material, inverse_sabine

    shortest_s = 0.161 * size.prod() / (2 * (size[0] * size[1] + size[0] * size[2] + size[1] * size[2]))
    absorption, order = inverse_sabine(max(rt60_s, shortest_s * 1.1), size)
    return Material(absorption), min(order, int(MIXING_S * SOUND_M_PER_S / size.mean()) + 2)
